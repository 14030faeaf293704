"""The `hwnas` command."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from hwnas.cli.app import app
    from hwnas.cli.console import run

    run(app)
