"""Run folders: the same request finds its own work, and no other's."""

from __future__ import annotations

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
    with pytest.raises(UserError, match="another seed"):
        run_for(tmp_path, "n", {"seed": 1, "space": "a"}, tmp_path / "mine")


def test_only_one_holder_works_in_a_run(tmp_path: Path) -> None:
    run = run_for(tmp_path, "n", {}, None)
    with run.lock(), pytest.raises(UserError, match="another process"), run.lock():
        pass
    with run.lock():
        pass


def test_no_run_tells_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="hwnas search"):
        find_run(tmp_path, None)
    with pytest.raises(UserError, match="hwnas search"):
        find_run(tmp_path, tmp_path)
