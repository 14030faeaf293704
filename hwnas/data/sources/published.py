"""Data sets that torchvision knows how to fetch and unpack: CIFAR and Fashion-MNIST."""

from __future__ import annotations

import hashlib
import http.client
import io
import os
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np

from hwnas.data.cache import alone, cache_errors, cache_folder
from hwnas.data.sources.arrays import Arrays, ArraySource
from hwnas.data.sources.source import Parts, stamp
from hwnas.errors import MissingPackage, UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hwnas.progress import Reporter

KIND = "torchvision's files"

TIMEOUT_S = 30.0
"""Without any data: a network that swallows packets is as good as none."""
MEGABYTE = 10**6


@dataclass(frozen=True, slots=True)
class Published:
    """A data set, and where torchvision keeps it below its `root`.

    Attributes:
        name: for users.
        class_name: in `torchvision.datasets`.
        unpacked: folder of the files that it reads.
        packed: folder of the archives, which may be the same.
        archives: their names.
    """

    name: str
    class_name: str
    unpacked: str
    packed: str
    archives: tuple[str, ...]

    def is_in(self, root: Path) -> bool:
        """Return whether unpacked files, or archives to unpack, are there."""
        return bool(self._files(root)) or self._is_packed(root)

    @property
    def expected(self) -> str:
        """What `is_in` looks for, in words."""
        archives = ", ".join(f"{self.packed}/{name}".removeprefix("./") for name in self.archives)
        unpacked = "" if self.unpacked == self.packed else f"{self.unpacked}/ or "
        return unpacked + archives

    def parts(self, root: Path, reporter: Reporter) -> Parts:
        """Return the images of a folder for which `is_in` holds, unpacking archives first.

        Raises:
            UserError: files are damaged, or the folder cannot be written.
        """
        with alone(cache_folder() / f"unpacking-{self.name}", reporter, f"unpacking {self.name}"):
            if not self._files(root):
                self._unpack(root)
        identity = ["torchvision", self.name, [stamp(path) for path in self._files(root)]]
        train, test = (
            ArraySource(
                f"{root / self.unpacked} ({part})",
                [*identity, part],
                partial(self._read, root, train=part == "train"),
            )
            for part in ("train", "test")
        )
        return Parts(KIND, train, test)

    def download(self, reporter: Reporter) -> Path:
        """Fetch the data set into the cache, unless it is there; return the root for `parts`.

        Raises:
            UserError: there is no network, or no room; tells what to do without.
        """
        root = cache_folder() / "downloads"
        complete = root / f"{self.name}.complete"
        with alone(root / self.name, reporter, f"downloading {self.name}"):
            if not complete.exists():
                self._fetch(root, reporter)
                for file in self._files(root):  # of an unpacking that did not get to its end
                    file.unlink()
                self._unpack(root)
                complete.touch()
        return root

    def _files(self, root: Path) -> list[Path]:
        """Return the unpacked files."""
        found = sorted((root / self.unpacked).glob("*"))
        return [file for file in found if file.suffix != ".gz" and file.name[0] != "."]

    def _is_packed(self, root: Path) -> bool:
        return all((root / self.packed / name).is_file() for name in self.archives)

    def _published(self) -> dict[str, tuple[list[str], str]]:
        """Return addresses and MD5 of every archive, as torchvision knows them."""
        known = self._torchvision()
        if hasattr(known, "resources"):
            return {
                name: ([mirror + name for mirror in known.mirrors], md5)
                for name, md5 in known.resources
            }
        return {known.filename: ([known.url], known.tgz_md5)}

    def _fetch(self, root: Path, reporter: Reporter) -> None:
        try:
            with cache_errors():
                (root / self.packed).mkdir(parents=True, exist_ok=True)
            for name, (urls, md5) in self._published().items():
                fetch(urls, root / self.packed / name, md5, reporter)
        except NoDownload as error:
            raise UserError(
                f"data set {self.name!r} is not on this machine and cannot be downloaded "
                f"({error}): without a network, put {', '.join(self.archives)} into "
                f"{(Path('DIR') / self.packed)} and pass --data-dir DIR."
            ) from None

    def _unpack(self, root: Path) -> None:
        """Unpack checked archives: of others torchvision would fetch new ones.

        Raises:
            UserError: an archive is damaged.
        """
        for name, (_, md5) in self._published().items():
            if md5_of(root / self.packed / name) != md5:
                raise UserError(
                    f"{root / self.packed / name} is damaged, or another file: fetch it again."
                )
        self._read(root, train=True, unpack=True)

    def _read(self, root: Path, *, train: bool, unpack: bool = False) -> Arrays:
        known = self._torchvision()
        with self._damage(root), redirect_stdout(io.StringIO()):
            found = known(root, train=train, download=unpack)
            pixels = np.asarray(found.data, np.uint8)
        return Arrays(pixels, np.asarray(found.targets, np.int64), tuple(found.classes))

    @contextmanager
    def _damage(self, root: Path) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # torchvision and its unpacking raise many kinds
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UserError(
                f"the files of {self.name} in {root / self.unpacked} are damaged or incomplete "
                f"({reason}): remove and unpack them again."
            ) from error

    def _torchvision(self) -> Any:
        try:
            from torchvision import datasets
        except ImportError:
            raise MissingPackage(
                f"{self.name} needs torchvision, or Parquet files: pip install torchvision"
            ) from None
        return getattr(datasets, self.class_name)


FASHION = tuple(
    f"{part}-{what}-ubyte.gz"
    for part in ("train", "t10k")
    for what in ("images-idx3", "labels-idx1")
)
PUBLISHED = {
    known.name: known
    for known in (
        Published("cifar10", "CIFAR10", "cifar-10-batches-py", ".", ("cifar-10-python.tar.gz",)),
        Published("cifar100", "CIFAR100", "cifar-100-python", ".", ("cifar-100-python.tar.gz",)),
        Published("fashion-mnist", "FashionMNIST", *(("FashionMNIST/raw",) * 2), FASHION),
    )
}


class NoDownload(UserError):  # noqa: N818 - what happened
    """A file could not be fetched; the message says from where, and why."""


def fetch(urls: Sequence[str], path: Path, md5: str, reporter: Reporter) -> None:
    """Download a file from the first place that has it, unless it is there already.

    Args:
        urls: of the same content.
        path: where the file goes; its folder exists.
        md5: of the content, as whoever published it tells it.
        reporter: is shown a bar of megabytes.

    Raises:
        NoDownload: no place answers, or what comes is not the file.
    """
    if path.is_file() and md5_of(path) == md5:
        return
    problem = "no address is known"
    for url in urls:
        try:
            _fetch(url, path, md5, reporter)
        except (URLError, http.client.HTTPException, OSError, ValueError) as error:
            problem = f"{url}: {_reason(error)}"
        else:
            return
    raise NoDownload(problem)


def _fetch(url: str, path: Path, md5: str, reporter: Reporter) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    found = hashlib.md5(usedforsecurity=False)
    try:
        with urlopen(url, timeout=TIMEOUT_S) as answer, temporary.open("wb") as stream:  # noqa: S310
            total = int(answer.headers.get("Content-Length") or 0) // MEGABYTE
            with reporter.task(f"downloading {path.name}, MB", max(1, total)) as advance:
                while part := answer.read(MEGABYTE):
                    stream.write(part)
                    found.update(part)
                    advance()
        if found.hexdigest() != md5:
            raise ValueError(f"what came is not {path.name} (MD5 {found.hexdigest()})")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def md5_of(path: Path) -> str:
    """Return the hex MD5 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _reason(error: Any) -> str:
    inner = getattr(error, "reason", None)
    if isinstance(inner, OSError):
        error = inner
    return str(getattr(error, "strerror", None) or error).splitlines()[0]
