"""Data sets of the Hugging Face hub: fetched once, at a commit that is told; what goes wrong."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING

import pytest
from conftest import Shell
from fake_hub import COMMIT, serving
from pictures import write_classes

from hwnas.data.catalog import find_dataset
from hwnas.errors import MissingPackage, UserError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "me/pets"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """What the data set consists of on the hub: an image folder with splits."""
    for split, count in (("train", 30), ("validation", 4), ("test", 5)):
        counts = {"cat": count, "dog": count}
        write_classes(tmp_path / "hub" / split, counts, height=12, width=12)
    return tmp_path / "hub"


@pytest.fixture
def hub(files: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with serving(files, NAME) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        yield address


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Processes that have not yet imported the client, which reads the hub's address then."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home" / "hf"))
    (tmp_path / "work").mkdir()
    return Shell(tmp_path / "work")


def test_a_data_set_of_the_hub_is_fetched_once_and_stays_at_its_commit(
    hub: str, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = shell("data", "show", f"hf:{NAME}", "--check", "--json").must()
    assert f"fetching hf:{NAME}, commit {COMMIT}" in shown.err
    assert shown.json["kind"] == "Hugging Face hub"
    assert shown.json["dataset"] == f"hf:{NAME}@{COMMIT}"
    assert shown.json["labels"] == ["cat", "dog"]
    assert shown.json["train"]["images"] == 60
    assert shown.json["test"]["images"] == 10
    assert shown.json["note"] == "1 validation files are not used"
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    for revision in ("", "@main", f"@{COMMIT}"):
        again = shell("data", "show", f"hf:{NAME}{revision}", "--json").must()
        assert again.json == {**shown.json, "decoded": True}
        assert "fetching" not in again.err


def test_what_a_run_keeps_names_the_commit(hub: str, shell: Shell) -> None:
    space = ("--space", "rcnet", "--input", "3x12x12", "--classes", "2", "--width", "0.25")
    asked = ("--budget-madds", "0.5M", "--strategy", "random", "--max-evaluations", "1")
    asked += ("--images", "32", "--teachers", "1", "--workers", "1")
    found = shell("search", *asked, "--dataset", f"hf:{NAME}", *space, "--json").must()
    pinned = f"hf:{NAME}@{COMMIT}"
    assert found.json["made_with"]["dataset"] == pinned
    assert shell("train", "--epochs", "1", "--json").must().json["dataset"] == pinned
    kept = json.loads((shell.folder / "runs" / "latest" / "train.json").read_text())
    assert kept["dataset"] == pinned


def test_what_cannot_be_fetched_is_one_line(
    hub: str, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    for spec, told in (
        ("hf:me/cats", "is not on the hub"),
        (f"hf:{NAME}@v9", "has no such commit, branch or tag"),
        ("hf:a/b/c", "is not of the form"),
    ):
        _refused(shell, spec, told)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    _refused(shell, f"hf:{NAME}", "cannot be fetched.*refused.*--dataset parquet:FOLDER")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    _refused(shell, f"hf:{NAME}", "cannot be fetched.*--dataset parquet:FOLDER")


def test_a_data_set_of_texts_is_refused(
    tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "train.csv").write_text("text,label\ngood,1\nbad,0\n")
    with serving(tmp_path / "texts", NAME) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        _refused(shell, f"hf:{NAME}", "holds no images, but text, label")


def _refused(shell: Shell, spec: str, told: str) -> None:
    done = shell("data", "show", spec).must(2)
    (line,) = (line for line in done.err.splitlines() if not line.startswith("fetching"))
    assert re.search(f"^hwnas: .*{told}", line), done.err


def test_the_package_that_is_missing_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HWNAS_CACHE", str(tmp_path))
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingPackage, match=r'pip install "hwnas\[data\]"'):
        find_dataset(f"hf:{NAME}")
    with pytest.raises(UserError, match="hf:OWNER/NAME"):
        find_dataset("hf:")
