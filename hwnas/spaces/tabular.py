"""A space whose networks are the rows of a CSV file: a NAS benchmark, or a grid of one's own.

Every operation column is a position, and one operation stands for an empty one. Other columns hold
scores and costs. Rows need not cover all combinations: what has no row is no network.
"""

from __future__ import annotations

import lzma
import warnings
import zlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hwnas.errors import UserError, one_of
from hwnas.files import sha256
from hwnas.spaces.space import PlainSpace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from hwnas.spaces.space import Arch, Element

FIRST_LINE = 2
"""Line of a CSV file that holds the first row."""

UNREADABLE = (OSError, ValueError, EOFError, zlib.error, lzma.LZMAError, pd.errors.ParserWarning)
"""What files raise that are no CSV, or whose compression is damaged."""


@dataclass(frozen=True, eq=False)
class TabularSpace(PlainSpace):
    """Networks by row.

    Attributes:
        name: readable, as in run folders.
        file: name of the file.
        columns: the positions.
        labels: operations by type number; the first is the empty one.
        rows: row number by network.
        sha256: of the file, which decides every score.
        cells: the file's columns as text, indexed by line.
    """

    name: str
    file: str
    columns: tuple[str, ...]
    labels: tuple[str, ...]
    rows: dict[Arch, int]
    sha256: str
    cells: pd.DataFrame = field(repr=False)

    @cached_property
    def choices(self) -> list[tuple[int, ...]]:
        """Types that occur at each position."""
        return [tuple(sorted(set(types))) for types in zip(*self.rows, strict=True)]

    @property
    def size(self) -> int:
        """How many networks there are."""
        return len(self.rows)

    def networks(self) -> Iterator[Arch]:
        """Yield every network, in the order of the file."""
        return iter(self.rows)

    def contains(self, arch: Arch) -> bool:
        """Return whether there is a row."""
        return arch in self.rows

    def starts(self) -> Iterator[Arch]:
        """Yield the networks in order of their number of blocks, of equals the file's first."""
        return iter(self._by_blocks)

    @cached_property
    def _by_blocks(self) -> list[Arch]:
        return sorted(self.rows, key=lambda arch: sum(map(bool, arch)))

    def describe(self, element: Element) -> str:
        """Return an element in words, e.g. "conv3x3 at op_2_0"."""
        position, block = element
        return f"{self.labels[block]} at {self.columns[position]}"

    def sample(self, rng: np.random.Generator) -> Arch:
        """Return a row at random."""
        return self._order[int(rng.integers(len(self._order)))]

    @cached_property
    def _order(self) -> list[Arch]:
        return list(self.rows)

    def parse(self, text: str) -> Arch:
        """Return the network written as its operations, separated by commas.

        Raises:
            UserError: another number of operations, an unknown one, or no such row.
        """
        names = [name.strip() for name in text.split(",")]
        if len(names) != len(self.columns):
            raise UserError(
                f"a network of {self.name} has {len(self.columns)} operations "
                f"({', '.join(self.columns)}), but {len(names)} were given."
            )
        for name in names:
            if name not in self.labels:
                raise one_of("operation", name, list(self.labels))
        arch = tuple(map(self.labels.index, names))
        if not self.contains(arch):
            raise UserError(f"{self.name} has no row for {text}.")
        return arch

    def format(self, arch: Arch) -> str:
        """Return the text that `parse` reads."""
        return ",".join(self.labels[block] for block in arch)

    def numbers(self, column: str) -> NDArray[np.float64]:
        """Return a column's numbers, in the order of the rows.

        Raises:
            UserError: no such column, or a cell that is no finite number.
        """
        _require_columns(self.cells, [column], self.file)
        values = pd.to_numeric(self.cells[column], errors="coerce").to_numpy(np.float64)
        wrong = np.flatnonzero(~np.isfinite(values))
        if wrong.size:
            cell = self.cells[column].iloc[wrong[0]]
            raise UserError(
                f"{self.file}, line {self.cells.index[wrong[0]]}, column {column}: {cell!r} is no "
                f"finite number ({wrong.size} of {values.size} cells). Remove or mend these rows."
            )
        return values


def read_tabular(path: Path, ops: Sequence[str], empty: str) -> TabularSpace:
    """Return the space of a CSV file, which may be compressed.

    Args:
        path: with a header line.
        ops: columns that hold operations.
        empty: the operation that stands for an empty position.

    Raises:
        UserError: the file cannot be read, a column is missing or named twice, a network has two
            rows, or no row holds the empty operation.
    """
    cells = _read(path)
    _require_columns(cells, ops, path.name)
    if repeated := sorted({name for name in ops if list(ops).count(name) > 1}):
        raise UserError(f"--ops names {', '.join(repeated)} twice.")
    text = cells[list(ops)].apply(lambda column: column.str.strip())
    found = sorted(set(text.to_numpy().ravel()))
    if empty not in found:
        raise one_of("operation", empty, found, f"It is given by --empty, for {path.name}.")
    if comma := next((label for label in found if "," in label), None):
        raise UserError(f"{path.name}: the operation {comma!r} holds a comma: rename it.")
    labels = (empty, *(label for label in found if label != empty))
    numbers = {label: number for number, label in enumerate(labels)}
    rows: dict[Arch, int] = {}
    for row, names in enumerate(text.itertuples(index=False, name=None)):
        before = rows.setdefault(tuple(numbers[name] for name in names), row)
        if before != row:
            raise UserError(
                f"{path.name}: lines {cells.index[before]} and {cells.index[row]} hold the same "
                f"network ({','.join(names)}): keep one."
            )
    name = f"tabular-{path.name.partition('.')[0]}"
    return TabularSpace(name, path.name, tuple(ops), labels, rows, sha256(path.read_bytes()), cells)


def _read(path: Path) -> pd.DataFrame:
    """Return the cells as text, indexed by line; blank lines are left out."""
    try:
        with warnings.catch_warnings():
            # A row that is longer than the header would lose its last cells with a mere warning.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            cells = pd.read_csv(
                path,
                dtype=str,
                keep_default_na=False,
                index_col=False,
                skipinitialspace=True,
                skip_blank_lines=False,
            )
    except FileNotFoundError:
        raise UserError(f"{path} is missing: give the CSV file of --space tabular:FILE.") from None
    except UNREADABLE as error:
        raise UserError(f"{path} cannot be read as CSV ({error}).") from None
    cells.index = pd.RangeIndex(FIRST_LINE, FIRST_LINE + len(cells))
    cells = cells[(cells != "").any(axis=1)]
    if cells.empty:
        raise UserError(f"{path} has no rows.")
    return cells


def _require_columns(cells: pd.DataFrame, names: Sequence[str], file: str) -> None:
    if not names:
        raise UserError(f"{file}: name the columns that hold operations, with --ops col1,col2,...")
    for name in names:
        if name not in cells.columns:
            raise one_of("column", name, list(cells.columns), f"In {file}.")
