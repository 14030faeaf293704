"""What can be asked of a search, whatever its networks are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Self

    from hwnas.cost import Cost, Problem
    from hwnas.progress import Reporter
    from hwnas.runs import Run
    from hwnas.workflows.search.engine import Search


@dataclass(frozen=True, slots=True)
class Opened:
    """A request with the files that it names, read and checked.

    Attributes:
        problem: space and budgets.
        costs: every cost that can be told of a network, the budgeted ones first.
        files: fingerprint of the content of every file that costs are from.
        workspace: where tables and runs lie.
    """

    problem: Problem
    costs: Sequence[Cost]
    files: Mapping[str, str]
    workspace: Path


class SearchRequest(Protocol):
    """All options that decide the result of a search; plain values that name the run's folder."""

    @property
    def strategy(self) -> str:
        """Name of a strategy."""

    @property
    def max_evaluations(self) -> int | None:
        """Limit on candidates, or None."""

    @property
    def run_name(self) -> str:
        """Readable start of the run folder's name."""

    def to_json(self, opened: Opened) -> dict[str, Any]:
        """Return the request with the fingerprints of its files, as JSON."""

    def open(self, workspace: Path, reporter: Reporter, *, force: bool = False) -> Opened:
        """Read and check everything that costs are from.

        Args:
            workspace: holds lut/.
            reporter: told what weakens a table.
            force: use a table that failed its check.

        Raises:
            UserError: a file is missing or damaged, or a budget is not right.
        """

    def search(self, opened: Opened, workers: int | None, reporter: Reporter) -> Search:
        """Return the search, its data ready.

        Args:
            opened: what `open` returned.
            workers: processes, or None for one per core.
            reporter: is shown what it takes to make the data ready.

        Raises:
            UserError: unknown rule, evaluator or data set.
        """

    def within(self, quantities: Mapping[str, Sequence[str]], numbers: Sequence[str]) -> Self:
        """Return the request with other budgets; those that are not named again stay.

        Args:
            quantities: texts of `--budget-...` by resource.
            numbers: texts of `--budget NAME=VALUE`.

        Raises:
            UserError: a budget that is not right, or that has no meaning here.
        """

    def describe(self, arch: str) -> str:
        """Return a network for people."""

    def after_search(self, run: Run) -> str:
        """Return what to do with a finished run."""

    def after_pick(self, arch: str) -> str:
        """Return what to do with a network that was picked."""
