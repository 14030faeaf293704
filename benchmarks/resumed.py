"""Results that grow: each is written as soon as it is done, and the same command goes on."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from hwnas import __version__
from hwnas.evaluate.setting import Setting
from hwnas.evaluate.trainer import TrainEvaluator
from hwnas.files import write_json

if TYPE_CHECKING:
    from hwnas.spaces.rcnet import RcnetSpace
    from hwnas.train.recipe import Recipe


def parser_of(doc: str, minutes: float) -> argparse.ArgumentParser:
    """Return the options that all such scripts have."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--out", type=Path, help="JSON; nothing is measured without it")
    parser.add_argument("--minutes", type=float, default=minutes, help="until no more is begun")
    parser.add_argument("--machine", default="", help="as it is to be named in the results")
    return parser


@dataclass
class Results:
    """A file of results.

    Attributes:
        path: the file.
        content: what it holds.
        end: when nothing more is to be begun, by `time.monotonic`.
    """

    path: Path
    content: dict[str, Any]
    end: float

    @classmethod
    def opened(cls, options: argparse.Namespace, **about: Any) -> Results | None:
        """Return the file that `parser_of`'s options name; None, said why, where they name none.

        Args:
            options: of the command.
            about: what the results are of.
        """
        if options.out is None:
            print("skipped: takes long, and is of use only with --out FILE.json")
            return None
        content = json.loads(options.out.read_text()) if options.out.exists() else {}
        content |= {"hwnas": __version__, "torch": torch.__version__, **about}
        content |= {"machine": options.machine} if options.machine else {}
        return cls(options.out, content, time.monotonic() + 60 * options.minutes)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the results of a kind."""
        found: list[dict[str, Any]] = self.content.setdefault(kind, [])
        return found

    @property
    def has_time(self) -> bool:
        """Whether more may be begun."""
        return time.monotonic() < self.end

    def add(self, kind: str, found: dict[str, Any]) -> None:
        """Keep one result, and print it."""
        self.of(kind).append(found)
        write_json(self.path, self.content)
        print(found, flush=True)


def train(space: RcnetSpace, arch: str, recipe: Recipe, seed: int) -> dict[str, Any]:
    """Train one network on cluttered digits, and score it on images that no search sees."""
    evaluator = TrainEvaluator(Setting(space, "cluttered-digits"), recipe, seed, "final")
    found = evaluator.evaluate(space.parse(arch))
    return {
        "accuracy": found.accuracy,
        "cross_entropy": found.cross_entropy,
        "seconds": found.seconds,
    }
