"""`hwnas data show`, and a search on a folder of one's own, as a user types them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from pictures import write_classes

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Shell


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    write_classes(tmp_path / "pets" / "train", {"cat": 30, "dog": 25}, height=20, width=24)
    return write_classes(tmp_path / "pets" / "val", {"cat": 5, "dog": 5}, first=900).parent


def test_a_folder_is_shown_as_it_was_read(shell: Shell, folder: Path) -> None:
    shown = shell("data", "show", "folder:pets").must()
    assert "classes   2: cat, dog" in shown.out
    assert "train     55 images in pets/train, 25 to 30 of each class" in shown.out
    assert "use       49 to train on, 6 to score candidates, 10 for the final result" in shown.out
    assert "judges    6 of those to train on" in shown.out
    assert "not decoded yet" in shown.out
    found = shell("data", "show", "folder:pets", "--check", "--json").must().json
    assert found["splits"] == {"train": 49, "search": 6, "judge": 6, "final": 10}
    assert found["test"]["images"] == 10
    assert found["decoded"]
    assert found["stored_side"] == found["typical_side"] == 20
    assert found["damaged"] == 0
    assert found["cache_bytes"] > 65 * 3 * 20**2
    assert "decoded to 20x20" in shell("data", "show", "folder:pets").must().out
    assert "drawn on the fly" in shell("data", "show", "cluttered-digits").must().out
    assert "Example: hwnas data show" in shell("data", "show", "--help").must().out


def test_mistakes_are_one_line(shell: Shell, folder: Path) -> None:
    (folder / "train" / "dog" / "0003.png").write_bytes(b"x")
    for command, told in (
        (("data", "show", "folder:pet"), "does not exist"),
        (("data", "show", "pets"), "unknown data set"),
        (("data", "show", "folder:pets", "--check"), "1 of 55 images"),
        (("data", "show", "folder:pets", "--input", "0x3"), "--input"),
        (("data", "show", "folder:pets", "--held-out-per-class", "25"), "has 25 images"),
        (("data", "show", "cluttered-digits", "--skip-damaged"), "leave"),
        (("search", "--budget-params", "3M", "--dataset", "folder:pet"), "does not exist"),
    ):
        done = shell(*command).must(2)
        assert told in done.err
        assert len([line for line in done.err.splitlines() if line.startswith("hwnas:")]) == 1


def test_a_search_and_a_training_on_a_folder_of_ones_own(shell: Shell, folder: Path) -> None:
    (folder / "train" / "dog" / "0003.png").write_bytes(b"x")
    space = ("--space", "rcnet", "--input", "3x16x16", "--classes", "2", "--width", "0.25")
    asked = ("--budget-madds", "0.5M", "--strategy", "random", "--max-evaluations", "2")
    asked += ("--images", "64", "--teachers", "1", "--workers", "1")
    asked += ("--dataset", "folder:pets", *space)
    refused = shell("search", *asked).must(2)
    assert "dog/0003.png" in refused.err
    assert not list(shell.folder.glob("runs/*"))
    skipping = (*asked, "--skip-damaged", "--held-out-per-class", "4")
    found = shell("search", *skipping, "--json").must()
    assert found.json["evaluations"] == 2
    assert "1 damaged images are left out" in found.err
    trained = shell("train", "--epochs", "1", "--json").must().json
    assert trained["selection"] == {"held_out_per_class": 4, "skip_damaged": True}
    assert trained["images"] == 54 - 8
    assert trained["validation"] == 10
    about = shell("export", "--format", "onnx", "--json").must().json
    assert about["trained"]
    assert about["parity"]["max_rel"] <= 1e-4


def test_large_images_are_decoded_for_the_resolution_of_a_training_alone(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write_classes(tmp_path / "pets", {"cat": 30, "dog": 30})
    start = "|".join("000000" if stage == 3 else "500000" for stage in range(6))
    arch = "|".join(",".join(stage) for stage in start.split("|"))
    space = ("--space", "rcnet", "--input", "24", "--classes", "2", "--width", "0.25")
    asked = ("--arch", arch, *space, "--dataset", "folder:pets", "--epochs", "1")
    trained = shell("train", *asked, "--out", "out", "--json").must()
    assert "decoding 60 images of pets to 48x48" in trained.err
    sides = [np.load(path).shape[1] for path in tmp_path.rglob("pixels.npy")]
    assert sides == [48]
    assert trained.json["validation"] == 6
