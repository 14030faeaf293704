"""The ways to a table, and which options of `hwnas profile` say something on each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwnas.errors import UserError
from hwnas.options import given

if TYPE_CHECKING:
    from hwnas.workflows.profile.options import ProfileOptions

HERE, EMIT, INGEST, LISTEN = "", "--emit", "--ingest", "--listen"
"""By this machine alone, and those with a device that is not this machine."""

VALUES = {EMIT: "--emit DIR", LISTEN: "--listen PORT", "--power-log": "--power-log CSV"}

MEANS_SOMETHING: dict[str, frozenset[str]] = {
    **dict.fromkeys(
        ("--space", "--input", "--classes", "--width", "--threads"), frozenset({HERE, EMIT, LISTEN})
    ),
    "--networks": frozenset({EMIT, LISTEN}),
    **dict.fromkeys(("--tls-cert", "--tls-key", "--new-token"), frozenset({LISTEN})),
    **dict.fromkeys(
        ("--require-device", "--power-log", "--power-offset", "--power-block"), frozenset({HERE})
    ),
}
"""The ways that take an option; those that are not listed go with all."""

NEEDS = {"--power-offset": "--power-log", "--power-block": "--power-log"}
"""Options that say something about another one."""


def require_one_way(options: ProfileOptions) -> None:
    """Refuse options that contradict each other, or that would be ignored.

    Raises:
        UserError: the first ones that do not go together.
    """
    names = list(given(options))
    ways = [name for name in names if name in (EMIT, INGEST, LISTEN)]
    if len(ways) > 1:
        raise UserError("--emit, --ingest and --listen are three ways: give one of them.")
    (way,) = ways or [HERE]
    for name in names:
        taken = MEANS_SOMETHING.get(name)
        if taken is not None and way not in taken:
            raise UserError(_refusal(name, way, taken))
        if (needed := NEEDS.get(name)) is not None and needed not in names:
            raise UserError(f"{name} needs {VALUES[needed]}.")


def _refusal(name: str, way: str, taken: frozenset[str]) -> str:
    if way == HERE:
        return f"{name} needs {' or '.join(VALUES[each] for each in sorted(taken))}."
    if taken == {HERE}:
        return f"{name} is for what this machine measures itself, not for {way}: leave out one."
    return f"{name} says nothing with {way}: leave it out."
