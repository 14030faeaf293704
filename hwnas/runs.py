"""The folder of a run: what was asked, what was found, and every file that came of it.

runs/<space>-<target>-<hash>/   the hash is of the request: the same command, the same folder
    request.json                what was asked
    search.json                 winner, paths, costs, audit
    checkpoint.pt, train.json   full training of the winner
    earlier/<hash>/             the same of a network that was the winner before
    export/                     verified model files
    bench.json                  measured against predicted and budget
runs/latest                     link to the run that a command without --run means
runs/evaluations.sqlite         scores of all runs
"""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.errors import UserError
from hwnas.files import fingerprint, read_json, require_writable, write_json, write_text

if TYPE_CHECKING:
    from collections.abc import Iterator


EXTENDABLE = frozenset({"max_evaluations"})
"""What may change in the request of a run: a search with another limit is the same search, ended
sooner or later."""


EARLIER = "earlier"


@dataclass(frozen=True, slots=True)
class Run:
    """One run's folder."""

    path: Path

    @property
    def checkpoint(self) -> Path:
        """State of the full training."""
        return self.path / "checkpoint.pt"

    def trainings(self) -> list[Path]:
        """Return the folders that may hold a training: this one, then those of winners before."""
        return [self.path, *sorted((self.path / EARLIER).glob("*"))]

    def has(self, name: str) -> bool:
        """Return whether a file of the run is there."""
        return (self.path / name).is_file()

    def write(self, name: str, value: Any) -> None:
        """Write one of the run's JSON files."""
        write_json(self.path / name, value)

    def read(self, name: str, remedy: str) -> Any:
        """Read one of the run's JSON files.

        Raises:
            UserError: it is not there; the message ends with `remedy`.
        """
        return read_json(self.path / name, remedy)

    @contextmanager
    def as_written(self, name: str) -> Iterator[None]:
        """Tell what cannot be read in a file of the run in one line.

        Raises:
            UserError: the file is damaged, or another version of hwnas wrote it.
        """
        try:
            yield
        except (AttributeError, KeyError, TypeError, ValueError):
            raise UserError(
                f"{self.path / name} is not as this version writes it. Search again; what was "
                "scored is not scored again."
            ) from None

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes out of this run.

        Raises:
            UserError: another process is at work in it.
        """
        with (self.path / ".lock").open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise UserError(
                    f"another process is working in {self.path}. Wait for it, or take another "
                    "folder with --run."
                ) from None
            yield


def run_for(workspace: Path, name: str, request: dict[str, Any], folder: Path | None) -> Run:
    """Return the run that belongs to a request, making its folder, and make it the latest.

    Args:
        workspace: holds runs/.
        name: readable start of the folder's name.
        request: everything that was asked; all but what is `EXTENDABLE` names the folder.
        folder: the folder to use instead of a derived one.

    Raises:
        UserError: `folder` holds another request, or cannot be written; or another process is at
            work in it.
    """
    named = {key: value for key, value in request.items() if key not in EXTENDABLE}
    path = folder or workspace / "runs" / f"{name}-{fingerprint(named)[:6]}"
    require_writable(path)
    run = Run(path)
    with run.lock():
        _require_same(run, request)
        # A finished run stays what it is until the search with another limit has finished.
        if not run.has("search.json"):
            run.write("request.json", request)
    _set_latest(workspace, path)
    return run


def _require_same(run: Run, request: dict[str, Any]) -> None:
    if not run.has("request.json"):
        return
    remedy = f"Remove {run.path}; what was scored is kept, and not scored again."
    before = read_json(run.path / "request.json", remedy)
    if not isinstance(before, dict) or not before:
        raise UserError(f"{run.path / 'request.json'} is not as this version writes it. {remedy}")
    changed = {key for key in before | request if before.get(key) != request.get(key)}
    if changed - EXTENDABLE:
        raise UserError(
            f"{run.path} holds a search with another {', '.join(sorted(changed))}: take another "
            "folder with --run, or leave --run out."
        )


def find_run(workspace: Path, folder: Path | None) -> Run:
    """Return a run by folder, or the latest of the workspace.

    Raises:
        UserError: there is none.
    """
    start = "Start one: hwnas search --budget-latency 190ms"
    if folder is not None:
        if not (folder / "request.json").is_file():
            raise UserError(f"{folder} holds no run. {start}")
        return Run(folder)
    latest = workspace / "runs" / "latest"
    if latest.is_symlink() or latest.is_dir():
        target = latest.resolve()
    elif latest.is_file():
        target = latest.parent / latest.read_text(encoding="utf-8").strip()
    else:
        raise UserError(f"there is no run in {workspace / 'runs'}. {start}")
    if not (target / "request.json").is_file():
        raise UserError(f"the latest run, {target}, is gone. {start}")
    try:
        return Run(target.relative_to(Path.cwd()))
    except ValueError:
        return Run(target)


def _set_latest(workspace: Path, path: Path) -> None:
    latest = workspace / "runs" / "latest"
    latest.parent.mkdir(parents=True, exist_ok=True)
    latest.unlink(missing_ok=True)
    target, runs = path.resolve(), latest.parent.resolve()
    if target.is_relative_to(runs):
        target = target.relative_to(runs)  # so that the whole workspace can be moved
    try:
        latest.symlink_to(target, target_is_directory=True)
    except OSError:
        write_text(latest, str(target))
