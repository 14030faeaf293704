"""Models are made in the background, so that a device does not wait for them."""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self, TypeVar

from hwnas.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future
    from pathlib import Path

    from hwnas.agent.models import ModelFiles
    from hwnas.bundle.manifest import TimedModel
    from hwnas.bundle.models import Maker
    from hwnas.graph import Graph
    from hwnas.progress import Reporter

Made = TypeVar("Made")

SPARE = 1.1
"""Room that is asked for, as a multiple of the weights."""


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


def require_room(folder: Path, graphs: Mapping[str, Graph]) -> None:
    """Refuse a disk that does not hold all models.

    Raises:
        UserError: there is too little room.
    """
    needed = SPARE * sum(4 * graph.params for graph in graphs.values())
    place = next(each for each in folder.absolute().parents if each.exists())
    free = shutil.disk_usage(place).free
    if free < needed:
        raise UserError(
            f"{place} needs about {needed / 1e9:.1f} GB for models, but {free / 1e9:.1f} GB are "
            "free: choose another --workspace, or time fewer networks (--networks)."
        )
