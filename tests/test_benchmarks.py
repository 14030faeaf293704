"""Benchmarks are run by hand: here it is only noticed when what they import is no longer there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import environment

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
SCRIPTS = sorted(path.stem for path in BENCHMARKS.glob("*.py"))
ELSEWHERE = {"litert_torch"}
"""Packages that one script needs in an environment of its own."""

PROBE = """
import contextlib, importlib, inspect, io, json, sys

def state(name):
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        return f"needs {error.name}"
    except Exception as error:
        return repr(error)
    if "parse_args" not in inspect.getsource(module):
        return "imported"
    sys.argv, told = [name, "--help"], io.StringIO()
    try:
        with contextlib.redirect_stdout(told):
            module.main()
    except SystemExit as end:
        return told.getvalue() if end.code in (None, 0) else f"exit code {end.code}"
    return "went on after --help"

print(json.dumps({name: state(name) for name in sys.argv[1:]}))
"""


@pytest.fixture(scope="module")
def states() -> dict[str, str]:
    """What each script says to --help, all in one process, since importing torch takes longest."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *SCRIPTS],
        cwd=BENCHMARKS,
        env={**environment(), "PYTHONPATH": f"{BENCHMARKS}:{BENCHMARKS.parent}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_benchmark_can_be_imported_and_helps(script: str, states: dict[str, str]) -> None:
    found = states[script]
    if found in {f"needs {package}" for package in ELSEWHERE}:
        pytest.skip(found)
    assert found == "imported" or found.startswith("usage:"), found
