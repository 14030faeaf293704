"""Help that names what there is: looked up when help is asked for, never on import."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

BASELINES = "{baselines}"
"""Stands for the names of all baselines in the help of an option."""


class LazyHelp(TyperCommand):
    """A command whose options' help may hold `BASELINES`."""

    def get_help(self, ctx: Any) -> str:
        """Return the help, names filled in."""
        params: list[Any] = self.params
        for param in params:
            for placeholder, names in NAMES.items():
                if placeholder in (param.help or ""):
                    param.help = param.help.replace(placeholder, ", ".join(names()))
        return super().get_help(ctx)


def _baselines() -> list[str]:
    from hwnas.spaces import BASELINES as KNOWN

    return list(KNOWN)


NAMES = {BASELINES: _baselines}
