"""`hwnas train`: train a run's winner, or a network given by hand, in full."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from hwnas.data.catalog import find_dataset
from hwnas.data.selection import USUAL, Selection
from hwnas.errors import Interrupted, UserError
from hwnas.files import require_writable
from hwnas.runs import Run
from hwnas.train.full.checkpoint import network_id
from hwnas.train.full.listeners import Board, require_tensorboard
from hwnas.train.full.presets import DEFAULT, Changes, find_preset, full_recipe
from hwnas.train.full.training import default_device, train_final
from hwnas.train.world import ALONE
from hwnas.workflows.train.folder import (
    ABOUT,
    BOARD,
    course_files,
    files_of,
    make_room,
    put_aside,
)
from hwnas.workflows.winner import by_hand, of_run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hwnas.data.dataset import Dataset
    from hwnas.progress import Reporter
    from hwnas.spaces import RcnetSpace
    from hwnas.train.full.listeners import Listener
    from hwnas.train.world import World
    from hwnas.workflows.winner import Winner


EMBEDDED_EPOCHS, CPU_EPOCHS, GPU_EPOCHS = 6, 30, 200


def default_epochs(dataset: str) -> int:
    """Return the usual number of epochs: a minute for the embedded data, 200 on a GPU."""
    if dataset == "cluttered-digits":
        return EMBEDDED_EPOCHS
    return GPU_EPOCHS if default_device().type == "cuda" else CPU_EPOCHS


@dataclass(frozen=True, slots=True)
class How:
    """How a network is to be trained.

    Attributes:
        recipe: name of a preset.
        changes: what is wanted otherwise than in the preset.
        seed: of weights and batches, or None for the run's own.
        fresh: put a training that is there aside and begin anew.
        tensorboard: write event files, too.
        world: the processes that train it together.
    """

    recipe: str = DEFAULT
    changes: Changes = field(default_factory=Changes)
    seed: int | None = None
    fresh: bool = False
    tensorboard: bool = False
    world: World = ALONE

    def __post_init__(self) -> None:
        find_preset(self.recipe)
        if self.tensorboard:
            require_tensorboard()


def train_winner(
    run: Run,
    reporter: Reporter,
    *,
    dataset: str | None = None,
    data_dir: Path | None = None,
    selection: Selection | None = None,
    how: How | None = None,
) -> dict[str, Any]:
    """Train, write train.json, and return its content.

    Args:
        run: a run whose search has finished.
        reporter: told the progress.
        dataset: another data set than the run's.
        data_dir: where it lies.
        selection: what is held out or left out of it; None: as in the run, if it is its data set.
        how: recipe and surroundings.

    Raises:
        UserError: the search has not finished, or the data set has other classes than the space.
    """
    winner = of_run(run)
    request = run.read("request.json", "")
    name = dataset or winner.dataset or request["dataset"]
    if selection is None:
        selection = winner.selection if name == winner.dataset else USUAL
    winner = replace(
        winner, dataset=name, data_dir=data_dir or winner.data_dir, selection=selection
    )
    return _train(run, winner, how or How(), reporter, searched=True)


def train_by_hand(
    arch: str,
    space: RcnetSpace,
    folder: Path,
    reporter: Reporter,
    data: tuple[str, Path | None, Selection],
    how: How | None = None,
) -> dict[str, Any]:
    """Train a network that no search has found; otherwise like `train_winner`.

    Args:
        arch: as people write it.
        space: its geometry.
        folder: made when missing; gets the same files as a run.
        reporter: told the progress.
        data: name of a data set with as many classes as the space, where it lies, and what is left
            out of it.
        how: recipe and surroundings.

    Raises:
        UserError: the architecture is not one of the space, or the data set has other classes.
    """
    winner = by_hand(arch, space, None, 0, data)
    return _train(Run(folder), winner, how or How(), reporter, searched=False)


def _train(
    folder: Run, winner: Winner, how: How, reporter: Reporter, *, searched: bool
) -> dict[str, Any]:
    data = _data(winner, reporter)
    usual = default_epochs(str(winner.dataset))
    recipe = full_recipe(how.recipe, data.train_size, usual, how.changes)
    graph = winner.space.graph(winner.arch)
    seed = winner.seed if how.seed is None else how.seed
    with _alone_in(folder, how.world):
        if how.world.first and how.fresh:
            put_aside(folder, reporter)
        elif how.world.first and searched:
            make_room(folder, network_id(graph), reporter)
        how.world.wait()
        with _going_on(how):
            result = train_final(
                graph,
                data,
                recipe,
                seed,
                folder.checkpoint,
                reporter,
                world=how.world,
                listeners=_listeners(folder, how),
            )
        content = {
            "run": str(folder.path) if searched else None,
            "space": winner.space.name,
            "arch": winner.space.format(winner.arch),
            "dataset": winner.dataset,
            "data_dir": None if winner.data_dir is None else str(winner.data_dir),
            **({"selection": chosen} if (chosen := winner.selection.to_json()) else {}),
            "preset": how.recipe,
            "recipe": asdict(recipe),
            "seed": seed,
            **result.to_json(),
            "files": files_of(folder),
        }
        if how.world.first:
            folder.write(ABOUT, content)
    return content


def _data(winner: Winner, reporter: Reporter) -> Dataset:
    """Return the data set of a training, ready.

    Raises:
        UserError: it cannot be used, or has other classes than the network.
    """
    space, name = winner.space, str(winner.dataset)
    data = find_dataset(name, winner.data_dir, winner.selection, reporter)
    found = len(data.labels)
    if found != space.classes:
        raise UserError(
            f"{space.name} has {space.classes} classes, but {name} has {found}: give a data set "
            f"with as many (--dataset), or take --space rcnet --input {space.resolution} "
            f"--classes {found}."
        )
    # First of all: large images are decoded for one resolution, whatever is asked of them.
    data.prepare(space.resolution, reporter)
    return data


@contextmanager
def _alone_in(folder: Run, world: World) -> Iterator[None]:
    """Keep others out of the folder; the first process does for all of its training."""
    if not world.first:
        yield
        return
    require_writable(folder.path)
    with folder.lock():
        yield


def _listeners(folder: Run, how: How) -> list[Listener]:
    if not how.world.first:
        return []
    board: list[Listener] = [Board(folder.path / BOARD)] if how.tensorboard else []
    return [course_files(folder), *board]


@contextmanager
def _going_on(how: How) -> Iterator[None]:
    try:
        yield
    except Interrupted as stopped:
        if not how.fresh:
            raise
        raise Interrupted(f"{stopped} Leave --fresh out then: it would begin anew.") from None
