"""`hwnas lut validate`: how far a table can be trusted, by its own check and by a fresh one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hwnas.device import find_target
from hwnas.errors import TableError, UserError
from hwnas.files import require_writable
from hwnas.lut.accuracy import CONFIDENCE
from hwnas.lut.library import Library
from hwnas.workflows.shared_options import check_confidence
from hwnas.workflows.tables import check_table, choose

if TYPE_CHECKING:
    from hwnas.lut.table import HeldOut, Table
    from hwnas.progress import Reporter
    from hwnas.workflows.lut.options import LutValidateOptions


@dataclass(frozen=True, slots=True)
class Validated:
    """The figures of a check and the networks behind them.

    Attributes:
        table: that was checked.
        fresh: whether networks were timed for it now.
        figures: as JSON.
        networks: predicted and measured.
    """

    table: Table
    fresh: bool
    figures: dict[str, Any]
    networks: tuple[HeldOut, ...]

    @property
    def passed(self) -> bool:
        """Whether the gate holds."""
        return not self.figures["failures"]

    def to_json(self) -> dict[str, Any]:
        """Return what was checked and the figures."""
        table, told = self.table, ("source", "precision", "runtime", "device")
        return {
            "target": table.target,
            "space": table.space.name,
            **{name: table.meta[name] for name in told},
            "fresh": self.fresh,
            **self.figures,
        }


def validate(options: LutValidateOptions, reporter: Reporter) -> Validated:
    """Return the stored check of a table, or make a fresh one on networks it has never seen.

    Raises:
        UserError: no such table, one that has no check, or a target that does not run here.
    """
    library = Library(options.workspace)
    confidence = check_confidence(options.confidence) or CONFIDENCE
    name, chosen = choose(library, options.target, options.space, {})
    if name is None:
        raise UserError("there is no table in this workspace yet: hwnas profile --target onnx-cpu")
    table = library.find(name, chosen.name)
    if table.estimated:
        raise TableError(
            f"the table of {name} for {chosen.name} is ESTIMATED: no network was timed, so there "
            "is no held-out check. `hwnas lut show` tells its uncertainty."
        )
    if not options.fresh:
        figures = {**table.meta["validation"], **table.check(table.held_out, confidence)}
        return Validated(table, False, figures, table.held_out)
    check_table(table, reporter)
    return _fresh(table, options, confidence, reporter)


def _fresh(
    table: Table, options: LutValidateOptions, confidence: float, reporter: Reporter
) -> Validated:
    from hwnas.profiler.fresh import check_fresh
    from hwnas.targets.backend import backend_here

    profile = find_target(table.target)
    backend = backend_here(profile)
    if backend is None:
        raise UserError(
            f"{profile.title} does not run on this machine, so nothing can be timed for a fresh "
            "check. Without --fresh, the check that the table was made with is shown."
        )
    library = Library(options.workspace)
    partial = library.unfinished(table.target, table.space.name, ".check.jsonl")
    require_writable(partial.parent)
    timed, figures = check_fresh(
        table,
        profile,
        backend,
        reporter,
        partial,
        networks=options.networks,
        seed=options.seed,
        confidence=confidence,
    )
    return Validated(table, True, figures, timed)
