"""Decoding: any kind of image, by any number of processes, through kills and full disks."""

from __future__ import annotations

import errno
import io
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
from conftest import environment
from pictures import Told, encoded, pixels, write_classes
from PIL import Image, ImageOps

from hwnas.cores import usable_cores
from hwnas.data.catalog import find_dataset
from hwnas.data.decoding import store
from hwnas.data.decoding.decode import ORIENTATION, square
from hwnas.data.decoding.helpers import Unit, decode_all
from hwnas.data.decoding.store import decoded
from hwnas.data.sources.folder import FolderSource
from hwnas.errors import UserError
from hwnas.progress import Silent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HWNAS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def _saved(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def _grey16() -> bytes:
    return _saved(Image.fromarray(np.full((16, 16), 257 * 100, np.uint16)))


def _transparent() -> bytes:
    image = Image.new("P", (16, 16), 1)
    image.putpalette([0, 0, 0, 100, 100, 100])
    return _saved(image, transparency=b"\xff\x80")


KINDS: dict[str, Callable[[], bytes]] = {
    "grey": lambda: _saved(Image.new("L", (16, 16), 100)),
    "grey jpeg": lambda: _saved(Image.new("L", (16, 16), 100), "JPEG"),
    "16 bits": _grey16,
    "palette with transparency": _transparent,
    "alpha": lambda: _saved(Image.new("RGBA", (16, 16), (100, 100, 100, 30))),
    "cmyk": lambda: _saved(Image.new("CMYK", (16, 16), (0, 0, 0, 155)), "JPEG"),
    "webp": lambda: _saved(Image.new("RGB", (16, 16), (100, 100, 100)), "WEBP", lossless=True),
    "one bit": lambda: _saved(Image.new("1", (16, 16), 0)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_image_becomes_rgb(kind: str) -> None:
    found = square(KINDS[kind](), 16)
    assert not isinstance(found, str)
    assert found.shape == (16, 16, 3)
    assert abs(found.astype(int) - (0 if kind == "one bit" else 100)).max() <= 2


def test_floating_point_pixels_are_told() -> None:
    data = _saved(Image.fromarray(np.zeros((16, 16), np.float32)), "TIFF")
    assert square(data, 16) == "pixels are floating-point numbers"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_are_turned_upright(orientation: int) -> None:
    upright = np.zeros((16, 16, 3), np.uint8)
    upright[:8, :, 0], upright[:, :8, 1] = 200, 200
    # What a camera writes: pixels as they came, and how to turn them.
    back = {
        1: lambda p: p,
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.transpose(1, 0, 2),
        6: lambda p: np.rot90(p, 1),
        7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
        8: lambda p: np.rot90(p, -1),
    }[orientation]
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    data = _saved(Image.fromarray(np.ascontiguousarray(back(upright))), exif=exif)
    assert np.array_equal(square(data, 16), upright)


def test_jpeg_drafts_are_close_to_the_full_decoding() -> None:
    data = encoded(1, 400, 500, "JPEG")
    with Image.open(io.BytesIO(data)) as image:
        full = np.asarray(ImageOps.fit(image, (32, 32), Image.Resampling.BILINEAR)).astype(int)
    assert abs(full - square(data, 32)).mean() < 2


def _decoded(root: Path, resolution: int = 32) -> np.ndarray:
    data = find_dataset(f"folder:{root}")
    data.prepare(resolution, Silent())
    (found,) = data.loaded(resolution)
    return found.pixels


def test_helpers_decode_the_same_as_one_process(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_classes(tmp_path / "d", {"a": 300, "b": 300})
    (root / "b" / "0100.png").write_bytes(b"x")
    with pytest.raises(UserError, match=r"1 of 600 images .* b/0100\.png"):
        _decoded(root)
    (alone,) = cache.glob("*/pixels.npy")
    one = np.load(alone)
    shutil.rmtree(cache)
    monkeypatch.setattr(store, "ALONE_BELOW", 1)
    monkeypatch.setattr(store, "usable_cores", lambda: 3)
    with pytest.raises(UserError, match=r"1 of 600 images .* b/0100\.png"):
        _decoded(root)
    (together,) = cache.glob("*/pixels.npy")
    assert np.array_equal(np.load(together), one)
    assert one[401].any()
    assert not one[400].any()


class _Deadly:
    """Ends the process that receives it."""

    def __reduce__(self) -> tuple[object, ...]:
        return os._exit, (3,)


def test_helpers_that_die_are_told(tmp_path: Path) -> None:
    unit = Unit(0, 0, _Deadly(), 8, tmp_path / "p", tmp_path / "h", 0, 0)
    with pytest.raises(UserError, match=r"died with exit code 3.*same command goes on"):
        list(decode_all([unit] * 8, 2))


def test_nobody_waits_for_helpers_after_an_interrupt(tmp_path: Path) -> None:
    unit = Unit(0, 0, map(time.sleep, [600]), 8, tmp_path / "p", tmp_path / "p", 0, 0)
    (tmp_path / "p").touch()
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 2)
    try:
        with pytest.raises(KeyboardInterrupt):
            list(decode_all([unit] * 4, 2))
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_helper_that_cannot_write_tells_why(tmp_path: Path) -> None:
    unit = Unit(0, 0, [encoded(1)], 8, tmp_path / "none", tmp_path / "none", 0, 0)
    with pytest.raises(OSError, match="No such file") as error:
        list(decode_all([unit] * 8, 2))
    assert error.value.errno == errno.ENOENT


def _children(pid: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


def _runs(pid: int) -> bool:
    """Whether a process is there, and not only waiting for somebody to take note of its end."""
    found = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return found.stdout.strip()[:1] not in ("", "Z")


DECODE = """
from pathlib import Path
from hwnas.data.decoding.store import decoded
from hwnas.data.sources.folder import FolderSource
from hwnas.progress import Silent
decoded(FolderSource(Path("d")), 64, Silent())
"""


def test_a_killed_decoding_goes_on_where_it_stopped(tmp_path: Path, cache: Path) -> None:
    root = write_classes(tmp_path / "d", {"a": 500, "b": 600})
    own = {**environment(), "HWNAS_CACHE": str(cache)}
    process = subprocess.Popen([sys.executable, "-c", DECODE], cwd=tmp_path, env=own)
    deadline = time.monotonic() + 200
    while not (done := [p for p in cache.glob(".*.partial/done.jsonl") if p.stat().st_size]):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    helpers = _children(process.pid)
    assert len(helpers) == usable_cores() or usable_cores() == 1
    process.send_signal(signal.SIGKILL)
    process.wait()
    while any(_runs(helper) for helper in helpers):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    units = len(done[0].read_text().splitlines())
    assert 0 < units < 5
    told = Told()
    resumed = decoded(FolderSource(root), 64, told)
    assert any("going on after" in line for line in told.lines)
    content = resumed.pixels.copy()
    assert not list(cache.glob(".*.partial"))
    shutil.rmtree(cache)
    fresh = decoded(FolderSource(root), 64, Silent())
    assert np.array_equal(content, fresh.pixels)
    assert resumed.digest == fresh.digest


def test_a_line_that_was_cut_off_is_done_again(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "done.jsonl"
    path.write_text('[0, [[3, "empty"]]]\n[2, []]\n[0, [[3, "empty"]]]\n[1, [[25')
    assert store._read_done(path) == ({0, 2}, [(3, "empty")])


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_a_disk_that_is_too_full_is_told_before_anything_is_decoded(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_classes(tmp_path / "d", {"a": 20, "b": 20})
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 10**9, 10**6))
    with pytest.raises(UserError, match=r"40 images of .* take .* has 1 MB free.*HWNAS_CACHE"):
        _decoded(root)
    assert not list(cache.rglob("pixels.npy"))


def test_a_cache_that_takes_no_more_is_told_and_goes_on_later(tmp_path: Path, cache: Path) -> None:
    root = write_classes(tmp_path / "d", {"a": 20, "b": 20})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(UserError, match=r"cannot keep decoded images in .*HWNAS_CACHE"):
            _decoded(root)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert _decoded(root).shape[0] == 40


def test_what_is_stored_is_the_central_square_at_a_little_more_than_the_resolution(
    tmp_path: Path,
) -> None:
    root = write_classes(tmp_path / "d", {"a": 9, "b": 9}, height=300, width=400)
    found = _decoded(root, 224)
    assert found.shape == (18, 256, 256, 3)
    picture = Image.fromarray(pixels(0, 300, 400)).crop((50, 0, 350, 300))
    expected = np.asarray(picture.resize((256, 256), Image.Resampling.BILINEAR))
    assert abs(found[0].astype(int) - expected).max() <= 1
    assert _decoded(root, 32).shape[1] == 64
    assert _decoded(root, 400).shape[1] == 300
