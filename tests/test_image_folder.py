"""Image folders: classes are read whatever lies beside them, and every mistake is one line."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from pictures import Told, encoded, write_classes

from hwnas.data.catalog import find_dataset
from hwnas.data.selection import Selection
from hwnas.errors import UserError
from hwnas.progress import Silent


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HWNAS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def _small(root: Path, **counts: int) -> Path:
    return write_classes(root, counts, height=12, width=12)


def test_class_folders_are_split_and_files_that_are_no_images_ignored(tmp_path: Path) -> None:
    root = _small(tmp_path / "d", cat=40, dog=30, owl=30)
    (root / "readme.txt").write_text("hello")
    (root / "cat" / "Thumbs.db").write_bytes(b"x")
    (root / "cat" / "._0001.png").write_bytes(b"what macOS leaves on other disks")
    (root / ".cache").mkdir()
    (root / "__MACOSX").mkdir()
    data = find_dataset(f"folder:{root}")
    assert data.labels == ("cat", "dog", "owl")
    rows = data.splits
    assert sorted([*rows.train, *rows.search, *rows.final]) == list(range(100))
    assert len(rows.search) == len(rows.final) == 4 + 3 + 3
    labels = torch.cat([labels for _, labels in data.held_out("search", 12, 100)])
    assert torch.bincount(labels).tolist() == [4, 3, 3]


def test_train_and_val_folders_are_training_and_final_test(tmp_path: Path) -> None:
    _small(tmp_path / "d" / "train", cat=30, dog=30)
    write_classes(tmp_path / "d" / "Val", {"dog": 5, "cat": 4}, first=500, height=12, width=12)
    data = find_dataset(f"folder:{tmp_path / 'd'}")
    assert data.train_size == 54
    (_, labels), *_ = data.held_out("final", 12, 100)
    assert torch.bincount(labels).tolist() == [4, 5]


def test_test_goes_before_val_and_one_that_is_not_sorted_is_not_used(tmp_path: Path) -> None:
    for name in ("train", "val", "test"):
        _small(tmp_path / "d" / name, cat=20, dog=20)
    parts = find_dataset(f"folder:{tmp_path / 'd'}").parts
    assert parts.test is not None
    assert parts.test.title.endswith("test")
    assert parts.note == "val/ is not used"
    _small(tmp_path / "e" / "train", cat=20, dog=20)
    (tmp_path / "e" / "test").mkdir()
    (tmp_path / "e" / "test" / "1.png").write_bytes(encoded(1))
    parts = find_dataset(f"folder:{tmp_path / 'e'}").parts
    assert parts.test is None
    assert "no class folders" in parts.note


@pytest.mark.parametrize(
    ("train", "test"),
    [("training_set", "test_set"), ("seg_train", "seg_test"), ("Train", "dev")],
)
def test_splits_are_told_by_words_in_names_and_by_equal_class_folders(
    tmp_path: Path, train: str, test: str
) -> None:
    _small(tmp_path / "d" / train, cat=20, dog=20)
    _small(tmp_path / "d" / test, cat=4, dog=4)
    parts = find_dataset(f"folder:{tmp_path / 'd'}").parts
    assert parts.train.title.endswith(train)
    assert parts.test is not None
    assert parts.test.title.endswith(test)


def test_classes_whose_names_have_such_words_stay_classes(tmp_path: Path) -> None:
    root = _small(tmp_path / "d", test_tube=10, train_ticket=10)
    _small(root / "train_ticket", red=3)
    _small(root / "test_tube", glass=3)
    assert find_dataset(f"folder:{root}").labels == ("test_tube", "train_ticket")


def test_a_loose_picture_is_told_and_changes_nothing(tmp_path: Path) -> None:
    for name in ("train", "val"):
        _small(tmp_path / "d" / name, cat=20, dog=20)
    (tmp_path / "d" / "train" / "loose.png").write_bytes(encoded(1))
    data, told = find_dataset(f"folder:{tmp_path / 'd'}"), Told()
    assert data.labels == ("cat", "dog")
    assert data.parts.test is not None
    assert data.parts.note == "1 images in train/ are of no class"
    data.prepare(12, told)
    assert data.parts.note in told.lines


def test_test_images_that_are_sorted_by_nothing_are_told_and_left_out(tmp_path: Path) -> None:
    for name in ("n01", "n02"):
        _small(tmp_path / "d" / "train" / name, images=20)
    for name in ("val", "test"):
        _small(tmp_path / "d" / name, images=9)
    parts = find_dataset(f"folder:{tmp_path / 'd'}").parts
    assert parts.train.labels == ("n01", "n02")
    assert parts.test is None
    assert "test/ is not used: it has no class folders of the training images" in parts.note
    assert "val/ is not used" in parts.note


def test_a_class_may_be_called_train_and_hold_folders(tmp_path: Path) -> None:
    root = _small(tmp_path / "d", car=10, train=10)
    _small(root / "car", red=5)
    data = find_dataset(f"folder:{root}")
    assert data.labels == ("car", "train")
    assert np.bincount(data.parts.train.classes).tolist() == [15, 10]


def test_links_to_images_and_folders_are_followed(tmp_path: Path) -> None:
    _small(tmp_path / "real", cat=20)
    root = _small(tmp_path / "d", dog=20)
    (root / "cat").symlink_to(tmp_path / "real" / "cat")
    assert find_dataset(f"folder:{root}").parts.train.classes.tolist() == [0] * 20 + [1] * 20


def test_a_class_without_test_images_is_told(tmp_path: Path) -> None:
    _small(tmp_path / "d" / "train", cat=30, dog=30)
    _small(tmp_path / "d" / "val", cat=4)
    told = Told()
    data = find_dataset(f"folder:{tmp_path / 'd'}")
    for _ in range(2):
        data.prepare(12, told)
    warning = "1 of 2 classes have no test image, such as 'dog'"
    assert len([line for line in told.lines if warning in line]) == 1


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS refuses such names")
def test_names_that_are_no_text_can_still_be_told(tmp_path: Path) -> None:
    root = _small(tmp_path / "d", cat=20, dog=20)
    odd = root / os.fsdecode(b"d\xe9j\xe0")
    (root / "dog").rename(odd)
    assert find_dataset(f"folder:{root}").labels == ("cat", "d\\xe9j\\xe0")
    (odd / "0001.png").write_bytes(b"x")
    with pytest.raises(UserError, match=r"d\\xe9j\\xe0/0001\.png"):
        find_dataset(f"folder:{root}").prepare(12, Silent())


def _one_level_too_high(root: Path) -> None:
    _small(root / "images", cat=3, dog=3)


def _flat(root: Path) -> None:
    root.mkdir()
    (root / "1.png").write_bytes(encoded(1))


def _one_class_is_empty(root: Path) -> None:
    _small(root, cat=9, dog=9)
    (root / "owl").mkdir()
    (root / "owl" / "notes.txt").write_text("none yet")


def _no_image_at_all(root: Path) -> None:
    for name in ("a", "b"):
        (root / name).mkdir(parents=True)
        (root / name / "x.txt").write_text("x")


def _other_classes_in_val(root: Path) -> None:
    _small(root / "train", cat=9, dog=9)
    _small(root / "val", cat=3, cats=3)


def _parquet(root: Path) -> None:
    root.mkdir()
    (root / "train-0.parquet").write_bytes(b"PAR1")


def _tiny(root: Path) -> None:
    write_classes(root, {"a": 9, "b": 9}, height=5, width=30)


def _broken_link(root: Path) -> None:
    _small(root, cat=9, dog=9)
    (root / "cat" / "gone.png").symlink_to(root / "nowhere.png")


MISTAKES = {
    "not there": (lambda root: None, "does not exist: give a folder"),
    "a file": (lambda root: root.write_text("x"), "is a file"),
    "empty": (lambda root: root.mkdir(), "is empty, but no two class folders"),
    "one level too high": (_one_level_too_high, "try folder:.*images"),
    "flat": (_flat, r"holds 1\.png .1 in all., but no two class folders: CLASS/image\.jpg"),
    "one class is empty": (_one_class_is_empty, "owl holds no image"),
    "no image at all": (_no_image_at_all, "holds no image"),
    "other classes in val": (_other_classes_in_val, "val has class 'cats', which .*train has not"),
    "parquet": (_parquet, "read as parquet:"),
    "tiny": (_tiny, "only 5 pixels high or wide"),
    "broken link": (_broken_link, r"gone\.png cannot be read: No such file"),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_wrong_folder_is_told_in_one_line(tmp_path: Path, kind: str) -> None:
    make, told = MISTAKES[kind]
    make(tmp_path / "d")
    with pytest.raises(UserError, match=told) as error:
        find_dataset(f"folder:{tmp_path / 'd'}").prepare(12, Silent())
    assert "\n" not in str(error.value)


def _with_damage(root: Path) -> Path:
    _small(root, cat=40, dog=40)
    (root / "cat" / "0003.png").write_bytes(b"<html>not found</html>")
    whole = (root / "dog" / "0007.png").read_bytes()
    (root / "dog" / "0007.png").write_bytes(whole[: len(whole) // 2])
    (root / "dog" / "0008.png").write_bytes(b"")
    (root / "dog" / "0009.png").write_bytes(encoded(1, 1, 1))
    return root


def test_damaged_images_are_counted_and_named_all_at_once(tmp_path: Path) -> None:
    root = _with_damage(tmp_path / "d")
    with pytest.raises(UserError, match="--skip-damaged") as error:
        find_dataset(f"folder:{root}").prepare(12, Silent())
    told = str(error.value)
    assert "4 of 80 images" in told
    assert "cat/0003.png (no image of a known format)" in told
    assert "dog/0007.png" in told
    listed = Path(told.split("all are listed in ")[1].split(")")[0]).read_text().splitlines()
    assert len(listed) == 4
    assert "dog/0008.png: empty" in listed
    assert "dog/0009.png: only 1x1 pixels" in listed


def test_damaged_images_can_be_left_out_as_if_they_had_never_been_there(tmp_path: Path) -> None:
    root = _with_damage(tmp_path / "d")
    told = Told()
    data = find_dataset(f"folder:{root}", selection=Selection(skip_damaged=True))
    data.prepare(12, told)
    assert any("4 damaged images are left out" in line for line in told.lines)
    batches = list(data.train_batches(2 * data.train_size, 16, 12, seed=1))
    for name in ("cat/0003", "dog/0007", "dog/0008", "dog/0009"):
        (root / f"{name}.png").unlink()
    mended = find_dataset(f"folder:{root}")
    assert mended.fingerprint == data.fingerprint
    assert mended.train_size == data.train_size == 76 - 2 * 8
    for ours, theirs in zip(
        batches, mended.train_batches(2 * data.train_size, 16, 12, seed=1), strict=True
    ):
        assert torch.equal(ours[0], theirs[0])
        assert torch.equal(ours[1], theirs[1])


def test_a_class_that_is_all_damaged_is_told(tmp_path: Path) -> None:
    root = _small(tmp_path / "d", cat=20, dog=2)
    for path in (root / "dog").iterdir():
        path.write_bytes(b"x")
    data = find_dataset(f"folder:{root}", selection=Selection(skip_damaged=True))
    with pytest.raises(UserError, match="no image of class 'dog'"):
        data.prepare(12, Silent())


def test_a_changed_folder_is_read_again(tmp_path: Path) -> None:
    root = _small(tmp_path / "d", cat=20, dog=20)
    before = find_dataset(f"folder:{root}").fingerprint
    assert find_dataset(f"folder:{root}").fingerprint == before
    (root / "cat" / "0000.png").write_bytes(encoded(999, 12, 12))
    assert find_dataset(f"folder:{root}").fingerprint != before


def test_the_number_held_out_can_be_chosen(tmp_path: Path) -> None:
    root = _small(tmp_path / "d", cat=20, dog=30)
    usual = find_dataset(f"folder:{root}")
    chosen = find_dataset(f"folder:{root}", selection=Selection(held_out_per_class=5))
    classes = chosen.parts.train.classes
    assert np.bincount(classes[chosen.splits.search]).tolist() == [5, 5]
    assert np.bincount(classes[chosen.splits.final]).tolist() == [5, 5]
    assert chosen.train_size == 50 - 20
    assert chosen.fingerprint != usual.fingerprint
    assert "held_out_per_class" not in usual.fingerprint
    too_many = find_dataset(f"folder:{root}", selection=Selection(held_out_per_class=10))
    with pytest.raises(UserError, match=r"class 'cat' of .* has 20 images, of which twice as many"):
        too_many.prepare(12, Silent())
    with pytest.raises(UserError, match="at least 1"):
        Selection(held_out_per_class=0)
