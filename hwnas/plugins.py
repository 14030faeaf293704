"""Plug-ins by entry points: the project's own come in by the same door as everyone's.

A distribution offers, say, a strategy by

    [project.entry-points."hwnas.strategies"]
    my-strategy = "my_package.module:function"
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from hwnas.errors import UserError, one_of


def names(group: str) -> list[str]:
    """Return the names that a group offers, without importing anything."""
    return sorted(_by_name(group))


def load(group: str, kind: str, name: str) -> Any:
    """Return the object behind a name.

    Args:
        group: such as "hwnas.strategies".
        kind: one of them in words, such as "strategy".
        name: as users type it.

    Raises:
        UserError: unknown name, two distributions offer it, or it cannot be imported.
    """
    found = _by_name(group)
    if name not in found:
        raise one_of(kind, name, list(found))
    offers = found[name]
    if len(offers) > 1:
        owners = " and ".join(sorted(_owner(offer) for offer in offers))
        raise UserError(f"{group}: {name!r} is offered by {owners}: uninstall one of them.")
    try:
        return offers[0].load()
    except Exception as error:
        raise UserError(
            f"{group}: {name!r} of {_owner(offers[0])} cannot be loaded ({error})."
        ) from error


@cache
def _by_name(group: str) -> dict[str, list[EntryPoint]]:
    found: dict[str, list[EntryPoint]] = {}
    for offer in entry_points(group=group):
        others = found.setdefault(offer.name, [])
        if all(other.value != offer.value for other in others):
            others.append(offer)
    return dict(sorted(found.items()))


def _owner(offer: EntryPoint) -> str:
    return offer.dist.name if offer.dist else offer.value
