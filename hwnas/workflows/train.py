"""`hwnas train`: train a run's winner in full, at its deployment geometry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hwnas.data.catalog import find_dataset
from hwnas.data.selection import USUAL, Selection
from hwnas.errors import UserError
from hwnas.runs import EARLIER
from hwnas.train.final import default_device, network_id, network_of, train_final
from hwnas.train.recipe import final_recipe
from hwnas.workflows.winner import of_run

if TYPE_CHECKING:
    from pathlib import Path

    from hwnas.progress import Reporter
    from hwnas.runs import Run


EMBEDDED_EPOCHS, CPU_EPOCHS, GPU_EPOCHS = 6, 30, 200


def default_epochs(dataset: str) -> int:
    """Return the usual number of epochs: a minute for the embedded data, 200 on a GPU."""
    if dataset == "cluttered-digits":
        return EMBEDDED_EPOCHS
    return GPU_EPOCHS if default_device().type == "cuda" else CPU_EPOCHS


def train_winner(
    run: Run,
    reporter: Reporter,
    *,
    dataset: str | None = None,
    data_dir: Path | None = None,
    selection: Selection | None = None,
    epochs: int | None = None,
) -> dict[str, Any]:
    """Train, write train.json, and return its content.

    Args:
        run: a run whose search has finished.
        reporter: told the progress.
        dataset: another data set than the run's.
        data_dir: where it lies.
        selection: what is held out or left out of it; None: as in the run, if it is its data set.
        epochs: passes over the data, or None for the data set's usual number.

    Raises:
        UserError: the search has not finished, or the data set has other classes than the space.
    """
    winner = of_run(run)
    request = run.read("request.json", "")
    name = dataset or winner.dataset or request["dataset"]
    folder = data_dir or winner.data_dir
    if selection is None:
        selection = winner.selection if name == winner.dataset else USUAL
    data = find_dataset(name, folder, selection, reporter)
    if len(data.labels) != winner.space.classes:
        raise UserError(
            f"{winner.space.name} has {winner.space.classes} classes, but {name} has "
            f"{len(data.labels)}: give a data set with as many (--dataset), or search "
            f"--space rcnet --input {winner.space.resolution} --classes "
            f"{len(data.labels)}."
        )
    data.prepare(winner.space.resolution, reporter)
    recipe = final_recipe(data.train_size, epochs or default_epochs(name))
    graph = winner.space.graph(winner.arch)
    with run.lock():
        _make_room(run, network_id(graph), reporter)
        result = train_final(graph, data, recipe, winner.seed, run.checkpoint, reporter)
        content = {
            "run": str(run.path),
            "arch": winner.space.format(winner.arch),
            "dataset": name,
            "data_dir": None if folder is None else str(folder),
            **({"selection": selection.to_json()} if selection.to_json() else {}),
            "recipe": recipe.as_dict(),
            **result.to_json(),
        }
        run.write("train.json", content)
    return content


def _make_room(run: Run, network: str, reporter: Reporter) -> None:
    """Put the training of another winner aside, and take up an earlier one of this winner.

    The files move in such an order that a kill between them loses nothing.
    """
    earlier, checkpoint, about = run.path / EARLIER, run.checkpoint.name, "train.json"
    if run.checkpoint.exists() and (before := network_of(run.checkpoint)) != network:
        _move([about, checkpoint], run.path, earlier / before)
        reporter.info(
            f"the winner has changed since it was trained; that training is kept in "
            f"{earlier / before}"
        )
    if not run.checkpoint.exists() and (earlier / network / checkpoint).exists():
        _move([checkpoint, about], earlier / network, run.path)
        reporter.info(f"taking up the training of this winner from {earlier / network}")


def _move(names: list[str], source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for name in names:
        if (source / name).exists():
            (source / name).replace(target / name)
