"""Help that names what there is: looked up when help is asked for, never on import."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

STRATEGIES, BASELINES = "{strategies}", "{baselines}"
"""Stand for the names of all strategies and baselines in the help of an option."""


class LazyHelp(TyperCommand):
    """A command whose options' help may hold `STRATEGIES` or `BASELINES`."""

    def get_help(self, ctx: Any) -> str:
        """Return the help, names filled in."""
        params: list[Any] = self.params
        for param in params:
            for placeholder, names in NAMES.items():
                if placeholder in (param.help or ""):
                    param.help = param.help.replace(placeholder, ", ".join(names()))
        return super().get_help(ctx)


def _strategies() -> list[str]:
    from hwnas import plugins

    return plugins.names("hwnas.strategies")


def _baselines() -> list[str]:
    from hwnas.spaces import BASELINES as KNOWN

    return list(KNOWN)


NAMES = {STRATEGIES: _strategies, BASELINES: _baselines}
