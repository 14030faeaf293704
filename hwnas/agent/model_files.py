"""The model files that a device may fetch: those of the panel, and of the jobs in work.

They are made in the background, so that a device does not wait for them.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self, TypeVar

from hwnas.errors import UserError
from hwnas.files import sha256, write_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future
    from pathlib import Path

    from hwnas.bundle.manifest import TimedModel
    from hwnas.bundle.models import Maker
    from hwnas.graph import Graph
    from hwnas.progress import Reporter

Made = TypeVar("Made")


class ModelFiles:
    """A folder of files by hash; what is not in it by its full hash cannot be asked for."""

    def __init__(self, folder: Path) -> None:
        """Use a folder; what an earlier host left there is checked before it is offered."""
        self._folder = folder
        self._known: dict[str, Path] = {}

    def add(self, content: bytes) -> str:
        """Keep a file; return its SHA-256.

        Raises:
            UserError: the folder cannot be written.
        """
        name = sha256(content)
        path = self._folder / name
        if name not in self._known:
            write_bytes(path, content)
            self._known[name] = path
        return name

    def find(self, name: str) -> Path | None:
        """Return where the file of a hash lies, or None."""
        return self._known.get(name)

    def remove(self) -> None:
        """Remove everything."""
        self._known = {}
        for path in self._folder.glob("*"):
            path.unlink(missing_ok=True)
        if self._folder.is_dir():
            self._folder.rmdir()


class Workshop:
    """Makes every model once; a context manager, which ends what is in work."""

    def __init__(self, maker: Maker, files: ModelFiles) -> None:
        """Make models with `maker` and put them among `files`."""
        self._maker, self._files = maker, files
        self._made: dict[str, TimedModel] = {}
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="models")
        self._closing = threading.Event()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Drop what is in work; the model that is being made is still finished."""
        self._closing.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def make_all(self, graphs: Mapping[str, Graph], reporter: Reporter) -> dict[str, TimedModel]:
        """Return models by name, made now, with a bar.

        Raises:
            UserError: they cannot be written.
        """
        with reporter.task("writing models", len(graphs)) as step:
            for name, graph in graphs.items():
                self._make(name, graph)
                step(1)
        return {name: self._made[name] for name in graphs}

    def make_ahead(
        self, graphs: Mapping[str, Graph], then: Callable[[dict[str, TimedModel]], Made]
    ) -> Future[Made]:
        """Make models in the background; what `then` makes of them is the result."""
        return self._pool.submit(lambda: then(self._made_of(graphs)))

    def _made_of(self, graphs: Mapping[str, Graph]) -> dict[str, TimedModel]:
        for name, graph in graphs.items():
            if self._closing.is_set():
                raise UserError("interrupted while models were made.")
            self._make(name, graph)
        return {name: self._made[name] for name in graphs}

    def _make(self, name: str, graph: Graph) -> None:
        if name not in self._made:
            artifact, model = self._maker.make(graph)
            self._files.add(artifact.content)
            self._made[name] = model
