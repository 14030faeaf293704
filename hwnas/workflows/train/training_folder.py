"""The files of a training in a folder, and room for another training beside them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from hwnas.errors import UserError
from hwnas.files import fingerprint
from hwnas.runs import EARLIER
from hwnas.train.full.checkpoint import best_of_checkpoint, read
from hwnas.train.full.listeners import CourseFiles

if TYPE_CHECKING:
    from pathlib import Path

    from hwnas.progress import Reporter
    from hwnas.runs import Run

ABOUT = "train.json"
CURVE = "train.csv"
CONFUSION = "confusion.csv"
BOARD = "tensorboard"


def course_files(folder: Run) -> CourseFiles:
    """Return the files that hold the course of the training."""
    return CourseFiles(folder.path / CURVE, folder.path / CONFUSION)


def files_of(folder: Run) -> dict[str, str]:
    """Return the paths of the files that are there, by what they hold."""
    names = {
        "checkpoint": folder.checkpoint.name,
        "best": best_of_checkpoint(folder.checkpoint).name,
        "curve": CURVE,
        "confusion": CONFUSION,
        "tensorboard": BOARD,
    }
    found = {what: folder.path / name for what, name in names.items()}
    return {what: str(path) for what, path in found.items() if path.exists()}


def make_room(run: Run, network: str, reporter: Reporter) -> None:
    """Put the training of another winner aside, and take up an earlier one of this winner.

    The files move in such an order that a kill between them loses nothing.
    """
    earlier, checkpoint = run.path / EARLIER, run.checkpoint.name
    if (
        run.checkpoint.exists()
        and (before := read(run.checkpoint)["identity"]["network"]) != network
    ):
        _move([ABOUT, *_extras(run), checkpoint], run.path, earlier / before)
        reporter.info(
            f"the winner has changed since it was trained; that training is kept in "
            f"{earlier / before}"
        )
    if not run.checkpoint.exists() and (earlier / network / checkpoint).exists():
        _move([*_extras(run), checkpoint, ABOUT], earlier / network, run.path)
        reporter.info(f"taking up the training of this winner from {earlier / network}")


def put_aside(folder: Run, reporter: Reporter) -> None:
    """Keep the training that is there, finished or not, in a folder of its own."""
    if not folder.checkpoint.exists():
        return
    try:
        identity = read(folder.checkpoint)["identity"]
        name = f"{identity['network']}-{fingerprint(identity)[:6]}"
    except UserError:
        name = "unreadable"
    kept = folder.path / EARLIER / name
    _move([ABOUT, *_extras(folder), folder.checkpoint.name], folder.path, kept)
    reporter.info(f"the training that was there is kept in {kept}")


def _extras(folder: Run) -> list[str]:
    return [best_of_checkpoint(folder.checkpoint).name, CURVE, CONFUSION, BOARD]


def _move(names: list[str], source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for name in names:
        if (source / name).exists():
            if (target / name).is_dir():
                shutil.rmtree(target / name)
            (source / name).replace(target / name)
