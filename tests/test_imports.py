"""Ctrl-C while a large package is imported: kept, not lost."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from hwnas.targets.shared.imports import import_whole

if TYPE_CHECKING:
    from pathlib import Path

SWALLOWS = """
import os, signal
try:
    os.kill(os.getpid(), signal.SIGINT)
    looked_for = True
except:
    looked_for = False
"""


def test_a_package_that_swallows_interrupts_is_there_and_the_interrupt_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "swallows.py").write_text(SWALLOWS)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        import_whole("swallows")
    assert sys.modules.pop("swallows").looked_for
    with pytest.raises(KeyboardInterrupt):  # and the handler is back
        os.kill(os.getpid(), signal.SIGINT)


def test_a_missing_package_is_an_import_error() -> None:
    with pytest.raises(ModuleNotFoundError):
        import_whole("no_such_package")
