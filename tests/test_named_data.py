"""Data sets by name: wherever torchvision, Hugging Face or a user keeps them, or downloaded."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import pickle
import shutil
import tarfile
import threading
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
import torchvision
from pictures import encoded, write_classes
from sklearn.datasets import load_digits

from hwnas.data.catalog import KNOWN, find_dataset
from hwnas.data.selection import Selection
from hwnas.data.sources.published import NoDownload, fetch
from hwnas.errors import UserError
from hwnas.progress import Silent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TRAIN, TEST = 200, 40
NAMES = [f"thing {index}" for index in range(10)]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HWNAS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@pytest.fixture
def cifar10(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """The archive of a small CIFAR-10, which torchvision takes for the real one."""
    rng = np.random.default_rng(0)
    known = torchvision.datasets.CIFAR10
    files = {}
    for name, count in (("data_batch_1", TRAIN), ("test_batch", TEST)):
        labels = [index % 10 for index in range(count)]
        pixels = rng.integers(0, 256, (count, 3072), np.uint8)
        files[name] = pickle.dumps({"data": pixels, "labels": labels})
    files["batches.meta"] = pickle.dumps({"label_names": NAMES})
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(f"{known.base_folder}/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    sums = {name: _md5(data) for name, data in files.items()}
    monkeypatch.setattr(known, "train_list", [["data_batch_1", sums["data_batch_1"]]])
    monkeypatch.setattr(known, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(known, "meta", {**known.meta, "md5": sums["batches.meta"]})
    monkeypatch.setattr(known, "tgz_md5", _md5(stream.getvalue()))
    return stream.getvalue()


def _unpack(archive: bytes, root: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        packed.extractall(root, filter="data")


def test_cifar_as_torchvision_keeps_it(tmp_path: Path, cifar10: bytes) -> None:
    _unpack(cifar10, tmp_path / "t")
    data = find_dataset("cifar10", tmp_path / "t")
    assert data.labels == tuple(NAMES)
    assert data.train_size == TRAIN - 20
    witness = torchvision.datasets.CIFAR10(tmp_path / "t", train=True)
    train, test = data.loaded(32)
    assert np.array_equal(train.pixels, witness.data)
    assert train.classes.tolist() == witness.targets
    assert len(test.pixels) == TEST
    assert find_dataset("cifar10", tmp_path / "t").fingerprint == data.fingerprint


@pytest.mark.parametrize("place", ["", "cifar10"])
def test_an_archive_is_unpacked_where_it_lies(tmp_path: Path, cifar10: bytes, place: str) -> None:
    folder = tmp_path / "t" / place
    folder.mkdir(parents=True)
    (folder / "cifar-10-python.tar.gz").write_bytes(cifar10)
    assert find_dataset("cifar10", tmp_path / "t").train_size == TRAIN - 20
    assert (folder / "cifar-10-batches-py" / "test_batch").exists()


def test_damaged_files_of_torchvision_are_told(tmp_path: Path, cifar10: bytes) -> None:
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(cifar10[:-9])
    with pytest.raises(UserError, match=r"cifar-10-python\.tar\.gz is damaged"):
        find_dataset("cifar10", tmp_path)
    (tmp_path / "cifar-10-python.tar.gz").unlink()
    _unpack(cifar10, tmp_path)
    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(b"x")
    with pytest.raises(UserError, match="damaged or incomplete") as error:
        find_dataset("cifar10", tmp_path).prepare(32, Silent())
    assert "\n" not in str(error.value)


def test_fashion_mnist_is_grey_and_becomes_rgb(tmp_path: Path) -> None:
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part, count in (("train", TRAIN), ("t10k", TEST)):
        images = rng.integers(0, 256, (count, 28, 28), np.uint8)
        head = np.array([0x803, count, 28, 28], ">i4").tobytes()
        (raw / f"{part}-images-idx3-ubyte").write_bytes(head + images.tobytes())
        head = np.array([0x801, count], ">i4").tobytes()
        labels = (np.arange(count) % 10).astype(np.uint8)
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(head + labels.tobytes())
    data = find_dataset("fashion-mnist", tmp_path)
    assert data.labels[9] == "Ankle boot"
    assert data.train_size == TRAIN - 20
    assert data.real_images(3, 28).shape == (3, 28, 28, 3)
    (images, labels), *_ = data.held_out("final", 28, 100)
    assert images.shape == (TEST, 3, 28, 28)
    assert labels.bincount().tolist() == [4] * 10
    grey = data.loaded(28)[1].pixels
    assert np.array_equal(grey[..., 0], grey[..., 2])
    witness = torchvision.datasets.FashionMNIST(tmp_path, train=False)
    assert np.array_equal(grey[..., 0], witness.data.numpy())


def test_digits_are_scikit_learns() -> None:
    data = find_dataset("digits")
    assert data.labels == tuple("0123456789")
    (train,) = data.loaded(16)
    assert train.pixels.shape == (1797, 8, 8, 3)
    assert abs(train.pixels[:, :, :, 0] / 255 * 16 - load_digits().images).max() < 0.05
    assert data.train_size + 2 * len(data.splits.search) == 1797


def _imagenet(root: Path) -> None:
    numbers = ("n01", "n02", "n03")
    write_classes(root / "train", dict.fromkeys(numbers, 20), height=12, width=12)
    write_classes(root / "val", dict.fromkeys(numbers, 4), first=900, height=12, width=12)


def test_imagenet_as_torchvision_unpacks_it(tmp_path: Path) -> None:
    _imagenet(tmp_path / "imagenet")
    assert find_dataset("imagenet", tmp_path).labels == ("n01", "n02", "n03")
    names = {"n01": ("crane",), "n02": ("crane",), "n03": ("tench", "Tinca tinca")}
    torch.save((names, []), tmp_path / "imagenet" / "meta.bin")
    data = find_dataset("imagenet", tmp_path)
    assert data.labels == ("crane (n01)", "crane (n02)", "tench, Tinca tinca")
    assert data.train_size == 60 - 6
    assert len(next(iter(data.held_out("final", 12, 100)))[1]) == 12
    assert find_dataset("imagenet", tmp_path / "imagenet").labels == data.labels
    (tmp_path / "imagenet" / "meta.bin").write_bytes(b"x")
    with pytest.raises(UserError, match=r"meta\.bin cannot be read: remove it"):
        find_dataset("imagenet", tmp_path)


def test_imagenet_as_kaggle_names_it(tmp_path: Path) -> None:
    _imagenet(tmp_path / "imagenet")
    mapping = "n01 tench, Tinca tinca\nn02 goldfish\n"
    (tmp_path / "imagenet" / "LOC_synset_mapping.txt").write_text(mapping)
    labels = find_dataset("imagenet", tmp_path).labels
    assert labels == ("tench, Tinca tinca", "goldfish", "n03")


def test_imagenet_without_validation_images_holds_some_out(tmp_path: Path) -> None:
    _imagenet(tmp_path / "imagenet")
    shutil.rmtree(tmp_path / "imagenet" / "val")
    (tmp_path / "imagenet" / "train" / "loose.png").write_bytes(encoded(1))
    parts = find_dataset("imagenet", tmp_path).parts
    assert parts.test is None
    assert parts.note == "1 images in train/ are of no class"


def test_imagenet_that_is_not_unpacked_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="ImageNet cannot be downloaded without an account"):
        find_dataset("imagenet")
    with pytest.raises(UserError, match=r"not in .*which is empty.*train/CLASS"):
        find_dataset("imagenet", _made(tmp_path / "none"))
    _made(tmp_path / "packed")
    (tmp_path / "packed" / "ILSVRC2012_img_train.tar").write_bytes(b"")
    with pytest.raises(UserError, match="torchvision unpacks them"):
        find_dataset("imagenet", tmp_path / "packed")
    _imagenet(tmp_path / "flat")
    shutil.rmtree(tmp_path / "flat" / "val")
    _made(tmp_path / "flat" / "val")
    with pytest.raises(UserError, match="val/ is not used: it has no class folders"):
        find_dataset("imagenet", tmp_path / "flat")


def _made(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


def test_a_named_data_set_may_be_an_image_folder(tmp_path: Path) -> None:
    write_classes(tmp_path / "cifar10" / "train", {"a": 20, "b": 20}, height=12, width=12)
    assert find_dataset("cifar10", tmp_path).labels == ("a", "b")


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "fashion-mnist"])
def test_what_a_folder_holds_instead_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(UserError, match=f"{name}.*which holds .*photos.*torch|{name}.*looked for"):
        find_dataset(name, tmp_path)
    with pytest.raises(UserError, match="which does not exist"):
        find_dataset(name, tmp_path / "nowhere")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Serves tmp_path/www; its address."""
    (tmp_path / "www").mkdir()
    handler = partial(_Quiet, directory=str(tmp_path / "www"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


def test_cifar_is_downloaded_once_into_the_cache(
    tmp_path: Path, cache: Path, cifar10: bytes, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "www" / "c.tar.gz").write_bytes(cifar10)
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "url", f"{server}/c.tar.gz")
    assert find_dataset("cifar10").train_size == TRAIN - 20
    (tmp_path / "www" / "c.tar.gz").unlink()
    assert find_dataset("cifar10").train_size == TRAIN - 20
    # An unpacking that a kill has cut short.
    (cache / "downloads" / "cifar10.complete").unlink()
    (cache / "downloads" / "cifar-10-batches-py" / "test_batch").write_bytes(b"x")
    assert find_dataset("cifar10").train_size == TRAIN - 20


def test_without_a_network_it_is_told_what_to_do(
    cifar10: bytes, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = torchvision.datasets.CIFAR10
    remedy = r"put cifar-10-python\.tar\.gz into DIR and pass --data-dir DIR"
    for url, reason in (
        ("http://nowhere.invalid/c.tar.gz", "Name or service not known|nodename|resolution"),
        ("http://127.0.0.1:9/c.tar.gz", "refused"),
        (f"{server}/gone.tar.gz", "404"),
    ):
        monkeypatch.setattr(known, "url", url)
        with pytest.raises(UserError, match=f"({reason}).*{remedy}") as error:
            find_dataset("cifar10")
        assert "\n" not in str(error.value)


def test_a_download_of_something_else_is_refused(tmp_path: Path, server: str) -> None:
    (tmp_path / "www" / "page").write_text("log in here")
    urls, path = [f"{server}/page"], tmp_path / "file"
    with pytest.raises(NoDownload, match="what came is not file"):
        fetch(urls, path, _md5(b"the file"), Silent())
    assert not list(tmp_path.glob("*file*"))
    (tmp_path / "www" / "good").write_bytes(gzip.compress(b"the file"))
    wanted = _md5((tmp_path / "www" / "good").read_bytes())
    fetch([*urls, f"{server}/good"], path, wanted, Silent())
    assert gzip.decompress(path.read_bytes()) == b"the file"


def test_unknown_names_are_told_with_the_known_ones() -> None:
    with pytest.raises(UserError, match="Did you mean 'fashion-mnist'") as error:
        find_dataset("fashion_mnist")
    assert all(name in str(error.value) for name in KNOWN)
    with pytest.raises(UserError, match="leave --held-out-per-class"):
        find_dataset("cluttered-digits", selection=Selection(held_out_per_class=3))
