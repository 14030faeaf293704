"""Encoded pictures for tests of data sets, each with another pattern of colours."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from hwnas.progress import Silent

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def pixels(number: int, height: int, width: int) -> np.ndarray:
    """A smooth picture, (height, width, 3), that `number` decides."""
    rng = np.random.default_rng(number)
    coarse = rng.integers(0, 256, (4, 4, 3), np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def encoded(number: int, height: int = 100, width: int = 120, form: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels(number, height, width)).save(stream, form)
    return stream.getvalue()


def write_classes(
    root: Path, counts: Mapping[str, int], *, first: int = 0, height: int = 100, width: int = 120
) -> Path:
    """Class folders with so many PNG pictures each, numbered through from `first` on."""
    for name, count in counts.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            data = encoded(first, height, width)
            (root / name / f"{index:04}.png").write_bytes(data)
            first += 1
    return root


class Told(Silent):
    """Keeps what a reporter was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, message: str) -> None:
        self.lines.append(message)

    warn = info
