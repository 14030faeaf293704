"""A folder of images as a source: every class is a folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.data.sources.source import SPLIT_NAMES, Parts, even_units, require_distinct, split_of
from hwnas.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

KIND = "image folder"
SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp", ".gif")

EXPECTED = "CLASS/image.jpg, or train/CLASS/image.jpg and val/CLASS/image.jpg, are expected there"
FEWEST_CLASSES = 2
LISTED = 4


def folder_parts(path: Path, names: Mapping[str, str] | None = None) -> Parts:
    """Return the images of a folder.

    Args:
        path: holds class folders, or train/ and val/ (or test/) with class folders.
        names: what class folders stand for, by their names.

    Raises:
        UserError: it holds neither; the message tells what it does hold.
    """
    if not path.is_dir():
        what = "is a file" if path.exists() else "does not exist"
        raise UserError(f"data set {path} {what}: give a folder; {EXPECTED}.")
    splits = _split_folders(path)
    if "train" not in splits:
        _require_class_folders(path)
        return Parts(KIND, FolderSource(path, names=names), note=_loose(path, ""))
    used = [splits[name] for name in ("train", "test", "validation") if name in splits][:2]
    unused = [
        f"{child.name}/ is not used"
        + ("" if child in splits.values() else ": it has no class folders of the training images")
        for child in _folders(path)
        if child not in used and split_of(child.name)
    ]
    note = "; ".join([*unused, *filter(None, (_loose(child, f"{child.name}/") for child in used))])
    train = FolderSource(used[0], names=names)
    test = FolderSource(used[1], like=train) if len(used) > 1 else None
    return Parts(KIND, train, test, note)


def has_split_folders(path: Path) -> bool:
    """Return whether there is a folder of training images with class folders."""
    return path.is_dir() and "train" in _split_folders(path)


def _split_folders(path: Path) -> dict[str, Path]:
    """Return folders of class folders by what their names tell that they are for.

    "train" may be a class: it is if pictures lie in it directly, unless it is the only folder, or
    "test" or the like has class folders of the same names. Names such as "seg_train" tell something
    only beside such another.
    """
    folders = _folders(path)
    named = {child: split for child in folders if (split := split_of(child.name))}
    # Exact names last, as the last one of a split counts.
    children = sorted(named, key=lambda child: child.name.lower() in SPLIT_NAMES)
    inside = {child: {folder.name for folder in _folders(child)} for child in children}
    for train in reversed(children):
        if named[train] != "train" or not inside[train]:
            continue
        alike = {named[child]: child for child in children if inside[child] & inside[train]}
        others = {
            named[child]: child
            for child in children
            if child.name.lower() in SPLIT_NAMES and len(inside[child]) >= FEWEST_CLASSES
        }
        alone = len(folders) < FEWEST_CLASSES or not _images_in(train)
        if set(alike) != {"train"} or (train.name.lower() in SPLIT_NAMES and alone):
            return {**others, **alike, "train": train}
    return {}


def _folders(path: Path) -> list[Path]:
    return sorted(
        Path(entry.path) for entry in _entries(path) if entry.is_dir() and entry.name != "__MACOSX"
    )


def _entries(path: Path) -> list[os.DirEntry[str]]:
    """Return what is visible in a folder: hidden files hold no images, whatever their names."""
    try:
        with os.scandir(path) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None


def _readable(name: str) -> str:
    """Return a file's name as text, also where it is none: systems take any bytes."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def _is_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _images_in(path: Path) -> int:
    """Return how many images lie in a folder itself."""
    return sum(_is_image(entry.name) and entry.is_file() for entry in _entries(path))


def _loose(path: Path, name: str) -> str:
    """Return a note on images beside class folders, or nothing."""
    count = _images_in(path)
    return f"{count:,} images in {name or 'the folder itself'} are of no class" if count else ""


def _require_class_folders(path: Path) -> None:
    folders = _folders(path)
    if len(folders) >= FEWEST_CLASSES:
        return
    if folders and len(_folders(folders[0])) >= FEWEST_CLASSES:
        raise UserError(
            f"data set {path} holds one folder, {folders[0].name}, and the classes may be inside: "
            f"try folder:{folders[0]}."
        )
    entries = sorted(entry.name for entry in _entries(path))
    if any(name.endswith(".parquet") for name in entries):
        raise UserError(f"data set {path} holds Parquet files: they are read as parquet:{path}.")
    listed = ", ".join(entries[:LISTED]) + (", ..." if len(entries) > LISTED else "")
    held = f"holds {listed} ({len(entries)} in all)" if entries else "is empty"
    raise UserError(f"data set {path} {held}, but no two class folders: {EXPECTED}.")


@dataclass(frozen=True, slots=True)
class Files:
    """Image files, read when iterated."""

    root: Path
    names: tuple[str, ...]

    def __iter__(self) -> Iterator[bytes]:
        """Yield the content of every file.

        Raises:
            UserError: one cannot be read.
        """
        for name in self.names:
            path = self.root / name
            try:
                yield path.read_bytes()
            except OSError as error:
                raise UserError(f"image {path} cannot be read: {error.strerror}.") from None


@dataclass(frozen=True, slots=True)
class _Listing:
    folders: tuple[str, ...]
    files: tuple[str, ...]
    counts: tuple[int, ...]
    digest: str


class FolderSource:
    """Images of class folders, classes and files in the order of their names."""

    in_memory = False

    def __init__(
        self,
        root: Path,
        *,
        like: FolderSource | None = None,
        names: Mapping[str, str] | None = None,
    ) -> None:
        """Take a folder.

        Args:
            root: holds the class folders.
            like: the training images, whose classes these images have; None: these are those.
            names: what class folders stand for, by their names.
        """
        self._root = root
        self._like = like
        self._names = names or {}

    @property
    def title(self) -> str:
        """The folder."""
        return str(self._root)

    @cached_property
    def identity(self) -> Any:
        """Path of the folder; hash over names, sizes and times of all files."""
        place, names = str(self._root.resolve()), sorted(self._names.items())
        own = ["folder", place, self._listing.digest, names]
        return own if self._like is None else [*own, self._like.identity]

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Names of the training folders, or what they stand for."""
        if self._like is not None:
            return self._like.labels
        listing = self._listing
        for folder, count in zip(listing.folders, listing.counts, strict=True):
            if not count:
                raise UserError(
                    f"class folder {self._root / folder} holds no image ({', '.join(SUFFIXES)}): "
                    "remove it, or put images into it."
                )
        labels = tuple(_readable(self._names.get(name, name)) for name in listing.folders)
        if len(labels) < FEWEST_CLASSES:
            raise UserError(f"{self._root} holds only one class folder, {labels[0]}: {EXPECTED}.")
        require_distinct(labels, self.title)
        return labels

    @cached_property
    def classes(self) -> NDArray[np.int64]:
        """Numbers in the order of the training folders."""
        listing = self._listing
        train = self if self._like is None else self._like
        number = {folder: index for index, folder in enumerate(train._listing.folders)}
        held = [f for f, count in zip(listing.folders, listing.counts, strict=True) if count]
        if unknown := [folder for folder in held if folder not in number]:
            raise UserError(
                f"{self._root} has class {unknown[0]!r}, which {train.title} has not "
                f"({len(unknown)} such): both need class folders of the same names."
            )
        numbers = [number.get(folder, 0) for folder in listing.folders]
        return np.repeat(np.array(numbers, np.int64), listing.counts)

    @cached_property
    def units(self) -> Sequence[tuple[int, int]]:
        """Files in their order."""
        return even_units(len(self._listing.files))

    def piece(self, first: int, last: int) -> Files:
        """Return some files."""
        return Files(self._root, self._listing.files[first:last])

    def where(self, row: int) -> str:
        """Return class folder and file name."""
        return _readable(self._listing.files[row])

    @cached_property
    def _listing(self) -> _Listing:
        folders = [folder.name for folder in _folders(self._root)]
        files: list[str] = []
        counts, content = [], sha256()
        for folder in folders:
            before = len(files)
            for name, size, modified in sorted(_images(self._root / folder, f"{folder}/")):
                files.append(name)
                content.update(f"{name}\0{size}\0{modified}\n".encode(errors="surrogateescape"))
            counts.append(len(files) - before)
        if not files:
            raise UserError(f"{self._root} holds no image ({', '.join(SUFFIXES)}): {EXPECTED}.")
        return _Listing(tuple(folders), tuple(files), tuple(counts), content.hexdigest())


def _images(folder: Path, prefix: str) -> Iterator[tuple[str, int, int]]:
    """Yield name, size and time of every image in a folder and the folders inside."""
    for entry in _entries(folder):
        if entry.is_dir():
            yield from _images(Path(entry.path), f"{prefix}{entry.name}/")
        elif _is_image(entry.name):
            try:
                about = entry.stat()
            except OSError as error:
                raise UserError(f"image {entry.path} cannot be read: {error.strerror}.") from None
            yield f"{prefix}{entry.name}", about.st_size, about.st_mtime_ns
