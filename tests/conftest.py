"""What several tests need: the command as a user types it, and a workspace with a table."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import warm
from hypothesis.configuration import set_hypothesis_home_dir

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from android_desk import Desk
    from phones import Phone

set_hypothesis_home_dir(".pytest_cache/hypothesis")

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # Shells let background jobs ignore Ctrl-C, and children would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)


LONG = (
    "test_cli", "test_export", "test_distill", "test_strategies", "test_data_cli", "test_world",
    "test_mlprogram", "test_coreml", "test_android", "test_train_command", "test_benchmarks",
    "test_reprofile", "test_recalibrate", "test_agent", "test_gpu_search", "test_ray",
    "test_evaluate", "test_kills", "test_surrogate", "test_profiler", "test_hub_data",
    "test_tflite",
)  # fmt: skip
"""Files that take ten seconds or more, longest first."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--all-architectures",
        action="store_true",
        help="export 200 random architectures in every format, not 20",
    )


def pytest_configure(config: pytest.Config) -> None:
    # Tests run side by side, and threads that wait for each other's processors by spinning take
    # minutes for an instant's work. Libraries read this when they are first imported.
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Whole files go to processes in this order. A long one at the end would leave the other
    # processes without work.
    place = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.path.stem, len(LONG)))


@pytest.fixture
def architectures(request: pytest.FixtureRequest) -> int:
    """How many random architectures are exported."""
    return 200 if request.config.getoption("--all-architectures") else 20


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
    """Runs `hwnas` in one folder, as a user would.

    Attributes:
        folder: where.
        fresh: whether each command is a program of its own from its first import on; for what must
            be the same in every process.
    """

    folder: Path
    fresh: bool = False

    def __call__(self, *arguments: str, timeout: float = 300) -> Done:
        if not self.fresh and sys.platform == "linux":  # elsewhere libraries may not outlive a fork
            done = warm.SERVER.run(arguments, self.folder, environment(), timeout)
            return Done(done.returncode, done.stdout, done.stderr)
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


# Workspaces that several tests begin with; each test gets a copy to change --------------------


@pytest.fixture(scope="session")
def profiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the ESTIMATED table of iphone5s, made once."""
    folder = tmp_path_factory.mktemp("profiled")
    Shell(folder)("profile", "--target", "iphone5s").must()
    return folder


@pytest.fixture(scope="session")
def searched_phone_once(profiled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a finished search (free scores), made once."""
    folder = tmp_path_factory.mktemp("searched") / "workspace"
    shutil.copytree(profiled, folder)
    Shell(folder)("search", "--budget-latency", "190ms", "--evaluator", "fake").must()
    return folder


@pytest.fixture(scope="session")
def searched_digits_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the table of iphone5s and a finished search (free scores) at 32 pixels."""
    folder = tmp_path_factory.mktemp("digits")
    Shell(folder)("profile", "--target", "iphone5s", "--space", "rcnet-digits").must()
    search = ("search", "--space", "rcnet-digits", "--budget-latency", "9ms")
    Shell(folder)(*search, "--evaluator", "fake", "--max-evaluations", "50").must()
    return folder


def _copy(workspace: Path, shell: Shell) -> Shell:
    shutil.copytree(workspace, shell.folder, symlinks=True, dirs_exist_ok=True)
    return shell


@pytest.fixture
def estimated(shell: Shell, profiled: Path) -> Shell:
    """A workspace with the ESTIMATED table of iphone5s at ImageNet's geometry."""
    return _copy(profiled, shell)


@pytest.fixture
def searched_phone(shell: Shell, searched_phone_once: Path) -> Shell:
    """The same with a finished search."""
    return _copy(searched_phone_once, shell)


@pytest.fixture
def searched_digits(shell: Shell, searched_digits_once: Path) -> Shell:
    """The same for small images."""
    return _copy(searched_digits_once, shell)


# A desk with a fake phone -----------------------------------------------------------------------


@pytest.fixture
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A bundle, phones, and the Android harness as a user types it."""
    from android_desk import desk_in  # loads the harness, which few tests need

    with desk_in(tmp_path_factory.mktemp("d")) as desk:
        yield desk


@pytest.fixture
def phone(desk: Desk) -> Phone:
    """A phone at that desk."""
    return desk.phones.add()
