"""What several tests need: the command as a user types it, and a workspace with a table."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from effort import VARIABLE, thorough
from hypothesis.configuration import set_hypothesis_home_dir

if TYPE_CHECKING:
    from pathlib import Path

set_hypothesis_home_dir(".pytest_cache/hypothesis")

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # Shells let background jobs ignore Ctrl-C, and children would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--all-architectures",
        action="store_true",
        help="export 200 random architectures in every format, not 20",
    )
    parser.addoption(
        "--thorough",
        action="store_true",
        help="all examples: 10,000 searches within budgets, 1,000 comparisons of lazy with eager, "
        "200 exported architectures, ...",
    )


def pytest_configure(config: pytest.Config) -> None:
    # Tests run side by side, and threads that wait for each other's processors by spinning take
    # minutes for an instant's work. Libraries read this when they are first imported.
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    if config.getoption("--thorough"):
        os.environ[VARIABLE] = "1"


@pytest.fixture
def architectures(request: pytest.FixtureRequest) -> int:
    """How many random architectures are exported."""
    return 200 if thorough() or request.config.getoption("--all-architectures") else 20


COMMAND = [sys.executable, "-m", "hwnas"]


@dataclass(frozen=True)
class Done:
    """A finished command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def must(self, code: int = 0) -> Done:
        assert self.code == code, f"exit code {self.code}\n{self.out}\n{self.err}"
        assert "Traceback" not in self.err
        return self


@dataclass(frozen=True)
class Shell:
    """Runs `hwnas` in one folder, as a user would."""

    folder: Path

    def __call__(self, *arguments: str, timeout: float = 300) -> Done:
        done = subprocess.run(
            [*COMMAND, *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=environment(),
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            start_new_session=True,
        )


def environment() -> dict[str, str]:
    """The tests' own environment without the user's hwnas settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("HWNAS_")}


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Let torch not wait for threads: where other programs are at work that takes minutes."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)
