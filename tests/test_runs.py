"""Run folders: the same request finds its own work, and no other's."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from hwnas.errors import UserError
from hwnas.runs import find_run, run_for

if TYPE_CHECKING:
    from pathlib import Path


def test_the_same_request_has_the_same_folder(tmp_path: Path) -> None:
    first = run_for(tmp_path, "space-target", {"seed": 0}, None)
    assert run_for(tmp_path, "space-target", {"seed": 0}, None) == first
    other = run_for(tmp_path, "space-target", {"seed": 1}, None)
    assert other != first
    assert find_run(tmp_path, None).path.resolve() == other.path.resolve()
    assert find_run(tmp_path, first.path) == first


def test_a_folder_of_another_request_is_refused_by_what_differs(tmp_path: Path) -> None:
    run_for(tmp_path, "n", {"seed": 0, "space": "a"}, tmp_path / "mine")
    with pytest.raises(UserError, match="another seed:"):
        run_for(tmp_path, "n", {"seed": 1, "space": "a"}, tmp_path / "mine")
    with pytest.raises(UserError, match="another space:"):
        run_for(tmp_path, "n", {"seed": 0}, tmp_path / "mine")
    assert find_run(tmp_path, tmp_path / "mine").read("request.json", "")["seed"] == 0


def test_only_one_holder_works_in_a_run(tmp_path: Path) -> None:
    run = run_for(tmp_path, "n", {}, None)
    with run.lock(), pytest.raises(UserError, match="another process"), run.lock():
        pass
    with run.lock():
        pass


HOLDER = """
import sys
from pathlib import Path
from hwnas.runs import Run
with Run(Path(sys.argv[1])).lock():
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_a_lock_keeps_another_process_out_and_dies_with_it(tmp_path: Path) -> None:
    run = run_for(tmp_path, "n", {}, None)
    command = [sys.executable, "-c", HOLDER, str(run.path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(UserError, match="another process"), run.lock():
            pass
        holder.kill()
    with run.lock():
        pass


def test_no_run_tells_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="hwnas search"):
        find_run(tmp_path, None)
    with pytest.raises(UserError, match="hwnas search"):
        find_run(tmp_path, tmp_path)


def test_a_latest_run_that_was_removed_is_told(tmp_path: Path) -> None:
    shutil.rmtree(run_for(tmp_path, "n", {}, None).path)
    with pytest.raises(UserError, match=r"is gone.*hwnas search"):
        find_run(tmp_path, None)


def test_a_damaged_request_is_told(tmp_path: Path) -> None:
    (run_for(tmp_path, "n", {}, None).path / "request.json").write_text("{")
    with pytest.raises(UserError, match=r"request\.json cannot be read"):
        run_for(tmp_path, "n", {}, None)
