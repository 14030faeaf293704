"""Help that names what plug-ins offer: looked up when help is asked for, never on import."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

STRATEGIES = "{strategies}"
"""Stands for the names of all strategies in the help of an option."""


class LazyHelp(TyperCommand):
    """A command whose options' help may hold `STRATEGIES`."""

    def get_help(self, ctx: Any) -> str:
        """Return the help, names filled in."""
        from hwnas import plugins

        params: list[Any] = self.params
        for param in params:
            if STRATEGIES in (param.help or ""):
                names = ", ".join(plugins.names("hwnas.strategies"))
                param.help = param.help.replace(STRATEGIES, names)
        return super().get_help(ctx)
