"""`hwnas train`: train a run's winner, or a network given by hand, in full."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from hwnas.data.catalog import find_dataset
from hwnas.errors import Interrupted, UserError
from hwnas.files import fingerprint, require_writable
from hwnas.options import refuse
from hwnas.runs import Run, find_run
from hwnas.spaces import find_space
from hwnas.train.full.checkpoint import Job, network_id
from hwnas.train.full.listeners import Board, require_tensorboard
from hwnas.train.full.presets import find_preset, full_recipe
from hwnas.train.full.training import train_final
from hwnas.train.world import ALONE
from hwnas.workflows.train.training_folder import (
    ABOUT,
    BOARD,
    course_files,
    files_of,
    make_room,
    put_aside,
)
from hwnas.workflows.winner import Winner, of_run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hwnas.data.dataset import Dataset
    from hwnas.progress import Reporter
    from hwnas.train.full.listeners import Listener
    from hwnas.train.world import World
    from hwnas.workflows.train.options import TrainOptions

EMBEDDED_EPOCHS, CPU_EPOCHS, GPU_EPOCHS = 6, 30, 200


def default_epochs(dataset: str) -> int:
    """Return the usual number of epochs: a minute for the embedded data, 200 on a GPU."""
    if dataset == "cluttered-digits":
        return EMBEDDED_EPOCHS
    return GPU_EPOCHS if ALONE.device.type == "cuda" else CPU_EPOCHS


def train(options: TrainOptions, reporter: Reporter, world: World = ALONE) -> dict[str, Any]:
    """Train, write train.json, and return its content.

    Args:
        options: name a run whose search has finished, or an architecture with its data.
        reporter: told the progress.
        world: the processes that train it together.

    Raises:
        UserError: options that do not go together, something that they name is not there, or the
            data set has other classes than the space.
        Interrupted: Ctrl-C or SIGTERM; the state is saved.
    """
    find_preset(options.recipe)
    if options.tensorboard:
        require_tensorboard()
    searched = options.arch is None
    folder, winner = _of_run(options) if searched else _named(options)
    data = _data(winner, reporter)
    usual = default_epochs(str(winner.dataset))
    recipe = full_recipe(options.recipe, data.train_size, usual, options)
    graph = winner.space.graph(winner.arch)
    seed = winner.seed if options.seed is None else options.seed
    with _alone_in(folder, world):
        if world.first and options.fresh:
            put_aside(folder, reporter)
        elif world.first and searched:
            make_room(folder, network_id(graph), reporter)
        world.wait()
        with _going_on(fresh=options.fresh):
            result = train_final(
                Job(graph, data, recipe, seed, folder.checkpoint),
                reporter,
                world=world,
                listeners=_listeners(folder, world, tensorboard=options.tensorboard),
            )
        content = {
            "run": str(folder.path) if searched else None,
            "space": winner.space.name,
            "arch": winner.space.format(winner.arch),
            "dataset": data.name,
            "data_dir": None if winner.data_dir is None else str(winner.data_dir),
            **({"selection": chosen} if (chosen := winner.selection.to_json()) else {}),
            "preset": options.recipe,
            "recipe": asdict(recipe),
            "seed": seed,
            **result.to_json(),
            "files": files_of(folder),
        }
        if world.first:
            folder.write(ABOUT, content)
    return content


def _of_run(options: TrainOptions) -> tuple[Run, Winner]:
    """Return a run and its winner, with the data that it is to be trained on."""
    refuse(
        options,
        "--space --input --classes --width --out",
        "--space, --input, --classes, --width and --out go with --arch: a run knows its own.",
    )
    run = find_run(options.workspace, options.run)
    winner = of_run(run)
    dataset, selection = options.dataset or winner.dataset, options.selection
    if not selection.to_json() and dataset == winner.dataset:
        selection = winner.selection
    data_dir = options.data_dir or winner.data_dir
    return run, replace(winner, dataset=dataset, data_dir=data_dir, selection=selection)


def _named(options: TrainOptions) -> tuple[Run, Winner]:
    """Return a network that no search has found, and the folder that gets the files of a run."""
    refuse(options, "--run", "give either --arch or --run.")
    if options.dataset is None or options.space is None:
        raise UserError(
            "--arch needs its geometry and its data: for instance --space rcnet-cifar10 "
            "--dataset cifar10 --data-dir DIR."
        )
    space = find_space(options.space, **options.geometry)
    arch = space.canonical(space.parse(str(options.arch)))
    name = f"{space.name}-{fingerprint(space.format(arch))[:6]}"
    return Run(options.out or options.workspace / "trained" / name), Winner(
        space,
        arch,
        dataset=options.dataset,
        data_dir=options.data_dir,
        selection=options.selection,
    )


def _data(winner: Winner, reporter: Reporter) -> Dataset:
    """Return the data set of a training, ready."""
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


def _listeners(folder: Run, world: World, *, tensorboard: bool) -> list[Listener]:
    if not world.first:
        return []
    board: list[Listener] = [Board(folder.path / BOARD)] if tensorboard else []
    return [course_files(folder), *board]


@contextmanager
def _going_on(*, fresh: bool) -> Iterator[None]:
    try:
        yield
    except Interrupted as stopped:
        if not fresh:
            raise
        raise Interrupted(f"{stopped} Leave --fresh out then: it would begin anew.") from None
