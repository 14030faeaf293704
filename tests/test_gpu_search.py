"""The benchmark that searches on a GPU: its pieces resume, and it says why it skips."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "gpu_search.py"


def _piece(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return done.stdout


def test_it_skips_with_the_reason(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    assert "skipped: takes long" in _piece(tmp_path)
    reason = "no GPU" if not torch.cuda.is_available() else "--data-dir"
    assert reason in _piece(tmp_path, "--out", "result.json")
    assert not (tmp_path / "result.json").exists()


def test_pieces_end_in_time_and_go_on_to_the_same_result(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    toy = ("--toy", "--out", "result.json", "--minutes")
    _piece(whole, *toy, "9")
    expected = json.loads((whole / "result.json").read_text())
    assert expected["search"]["costs"]["params"] <= 30e3
    assert 0 < expected["final"]["accuracy"] <= 1
    assert "the time is over" in _piece(parts, *toy, "0")
    assert "final" not in json.loads((parts / "result.json").read_text())
    _piece(parts, *toy, "9")
    found = json.loads((parts / "result.json").read_text())
    assert found["search"] == expected["search"]
    assert found["final"]["accuracy"] == expected["final"]["accuracy"]
