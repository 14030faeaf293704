"""Files are whole or not there."""

from __future__ import annotations

import csv
import io
import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from hwnas.errors import UserError
from hwnas.files import (
    csv_text,
    fingerprint,
    new_folder,
    read_json,
    require_writable,
    sweep,
    write_json,
    write_text,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_a_written_file_leaves_nothing_beside_it(tmp_path: Path) -> None:
    write_text(tmp_path / "deep" / "a.txt", "text")
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["a.txt"]
    assert (tmp_path / "deep" / "a.txt").read_text() == "text"


def test_a_failing_body_leaves_the_old_folder_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "table"
    with new_folder(folder) as new:
        write_text(new / "a", "old")
    with pytest.raises(ZeroDivisionError):
        _replace_badly(folder)
    assert (folder / "a").read_text() == "old"
    with new_folder(folder) as new:
        write_text(new / "b", "new")
    assert [p.name for p in folder.iterdir()] == ["b"]
    assert [p.name for p in tmp_path.iterdir()] == ["table"]


def test_what_killed_processes_left_is_swept_up_once_it_is_old(tmp_path: Path) -> None:
    """One may be at work on another machine."""
    left, folder, whole = (
        tmp_path / "units" / ".a.pt.17.tmp",
        tmp_path / ".export.17.tmp",
        tmp_path / "units" / "a.pt",
    )
    for path in (left, folder / "model.onnx", whole):
        write_text(path, "half")
    sweep(tmp_path)
    assert left.exists()
    assert folder.exists()
    hours_ago = time.time() - 7_200
    for path in (left, folder, whole):
        os.utime(path, (hours_ago, hours_ago))
    sweep(tmp_path)
    assert sorted(tmp_path.rglob("*")) == [whole.parent, whole]
    sweep(tmp_path / "none")


def _replace_badly(folder: Path) -> None:
    with new_folder(folder) as new:
        write_text(new / "a", str(1 // 0))


def test_a_place_that_cannot_be_written_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for write in (
        lambda: write_text(tmp_path / "file" / "a", ""),
        lambda: require_writable(tmp_path / "file" / "sub"),
        lambda: new_folder(tmp_path / "file" / "sub").__enter__(),
    ):
        with pytest.raises(UserError, match="--workspace"):
            write()
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_file_that_cannot_be_replaced_leaves_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "a" / "inside").mkdir(parents=True)
    with pytest.raises(UserError, match="cannot write"):
        write_text(tmp_path / "a", "text")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_reader_sees_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    """Every state of the file that another thread can see is one of the whole texts."""
    path, texts = tmp_path / "a", ["a" * 100_000, "b" * 70_000]
    write_text(path, texts[0])
    writer = threading.Thread(target=lambda: [write_text(path, t) for t in texts * 50])
    writer.start()
    seen = set()
    while writer.is_alive():
        seen.add(path.read_text())
    assert seen <= set(texts)


def test_json_is_strict_both_ways(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"NaN|nan"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert not list(tmp_path.iterdir())
    (tmp_path / "b.json").write_text("{")
    for name in ("a.json", "b.json"):
        with pytest.raises(UserError, match="do this"):
            read_json(tmp_path / name, "do this")


def test_fingerprints_ignore_the_order_of_keys_only() -> None:
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
    assert fingerprint([1, 2]) != fingerprint([2, 1])


def test_fingerprints_stay_the_same_between_versions() -> None:
    """Run folders and stored evaluations are found by them."""
    assert fingerprint({"seed": 0, "space": "rcnet"}) == "faacb207229a"


def test_csv_holds_any_text_and_leaves_out_what_is_none() -> None:
    rows = [["class", 'a "b", c'], [None, 0.1], ("two\nlines", 3)]
    text = csv_text(rows)
    assert list(csv.reader(io.StringIO(text))) == [
        ["class", 'a "b", c'],
        ["", "0.1"],
        ["two\nlines", "3"],
    ]
    assert "\r" not in text
