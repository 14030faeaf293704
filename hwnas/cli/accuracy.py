"""Lines on how well a table predicts whole networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hwnas.lut.table import Table


def spread(check: Mapping[str, Any]) -> str:
    """Return what a check says beside its mean error."""
    return (
        f"within 5%: {check['within_5pct']:.0%}, within 10%: {check['within_10pct']:.0%}, "
        f"Kendall tau {check['kendall_tau']:.3f}, worst {check['worst']:.1%}"
    )


def margin(table: Table) -> str:
    """Return what a table's held-out check says of its upper bounds."""
    check = table.meta["validation"]
    return (
        f"margin: at least {check['confidence']:.0%} of networks take at most "
        f"{check['margin']:.1%} more than predicted, with "
        f"{table.margin_certainty(check['confidence']):.0%} certainty"
    )
