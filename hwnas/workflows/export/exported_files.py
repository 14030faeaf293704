"""The model files that `hwnas export` left in a run's folder: found, and checked before use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.errors import UserError
from hwnas.files import read_json, sha256
from hwnas.graph import PRECISIONS

if TYPE_CHECKING:
    from hwnas.progress import Reporter
    from hwnas.runs import Run
    from hwnas.workflows.winner import Winner

FOLDER = "export"


@dataclass(frozen=True, slots=True)
class Exported:
    """A file of the network, as it is deployed.

    Attributes:
        path: of the file.
        model: its bytes.
    """

    path: Path
    model: bytes


def about_name(form: str, precision: str) -> str:
    """Return the name of the JSON file that tells of an export."""
    return f"{form}.json" if precision == "fp32" else f"{form}-{precision}.json"


def find_exported(run: Run, winner: Winner, form: str, reporter: Reporter) -> dict[str, Exported]:
    """Return the run's files of a format by precision; only those of this very network.

    Args:
        run: whose folder is searched.
        winner: the network.
        form: as in `--format`, of one file (no package).
        reporter: told in one line of each file that is there and not used.
    """
    found = {}
    for precision in PRECISIONS:
        about = run.path / FOLDER / about_name(form, precision)
        if not about.is_file():
            continue
        try:
            found[precision] = _checked(about, winner.space.format(winner.arch))
        except (UserError, OSError, KeyError, TypeError) as error:
            told = error if isinstance(error, UserError) else f"{about} is damaged"
            option = "" if precision == "fp32" else f" --precision {precision}"
            reporter.warn(
                f"{told}: this file is not used. Export again: hwnas export --format {form}{option}"
            )
    return found


def _checked(about: Path, arch: str) -> Exported:
    told: dict[str, Any] = read_json(about, "")
    path = about.parent / Path(told["file"]).name
    if told["arch"] != arch:
        raise UserError(f"{path} is of another network than the winner")
    if not path.is_file():
        raise UserError(f"{path} is missing")
    model = path.read_bytes()
    if sha256(model) != told["sha256"]:
        raise UserError(f"{path} was changed after its export (its SHA-256 is not that of {about})")
    return Exported(path, model)
