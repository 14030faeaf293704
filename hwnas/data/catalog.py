"""Data sets by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hwnas.data.selection import USUAL, Selection
from hwnas.errors import UserError, one_of
from hwnas.progress import Silent

if TYPE_CHECKING:
    from hwnas.data.dataset import Dataset
    from hwnas.data.sources.source import Parts
    from hwnas.progress import Reporter

FOLDER, PARQUET, HUB = "folder:", "parquet:", "hf:"
DRAWN = "cluttered-digits"
KNOWN = [
    DRAWN,
    "digits",
    "cifar10",
    "cifar100",
    "fashion-mnist",
    "imagenet",
    "folder:PATH",
    "parquet:PATH",
    "hf:NAME",
]
LISTED = 6


def find_dataset(
    spec: str,
    data_dir: Path | None = None,
    selection: Selection = USUAL,
    reporter: Reporter | None = None,
) -> Dataset:
    """Return a data set; what can be downloaded is, and images are read when they are asked for.

    Args:
        spec: one of `KNOWN`.
        data_dir: where downloaded data sets lie; None: in the cache.
        selection: what is held out or left out.
        reporter: is shown the progress of a download.

    Raises:
        UserError: unknown name, files that are missing or cannot be used, or no network.
    """
    if spec == DRAWN:
        if selection != USUAL:
            raise UserError(
                f"{spec} is drawn on the fly, and its held-out digits are fixed: leave "
                "--held-out-per-class and --skip-damaged out."
            )
        from hwnas.data.cluttered_digits import ClutteredDigits

        return ClutteredDigits()
    # Before torch is imported: a data set that is not there is told at once.
    parts = _parts(spec, data_dir, reporter or Silent())
    from hwnas.data.images import LabelledImages

    name = f"{spec.partition('@')[0]}@{parts.revision}" if parts.revision else spec
    return LabelledImages(name, parts, selection)


def _parts(spec: str, data_dir: Path | None, reporter: Reporter) -> Parts:
    if spec.startswith(PARQUET):
        from hwnas.data.sources.parquet import parquet_parts

        return parquet_parts(Path(spec.removeprefix(PARQUET)).expanduser())
    if spec.startswith(FOLDER):
        from hwnas.data.sources.folder import folder_parts

        return folder_parts(Path(spec.removeprefix(FOLDER)).expanduser())
    if spec.startswith(HUB):
        from hwnas.data.sources.hub import hub_parts

        return hub_parts(spec, reporter)
    if spec == "digits":
        from hwnas.data.sources.arrays import digits_parts

        return digits_parts()
    if spec not in KNOWN:
        raise one_of("data set", spec, KNOWN)
    return _downloaded(spec, reporter) if data_dir is None else _in_folder(spec, data_dir, reporter)


def _downloaded(name: str, reporter: Reporter) -> Parts:
    from hwnas.data.sources import imagenet
    from hwnas.data.sources.published import PUBLISHED

    if name == imagenet.NAME:
        raise UserError(imagenet.BY_HAND)
    known = PUBLISHED[name]
    return known.parts(known.download(reporter), reporter)


def _in_folder(name: str, data_dir: Path, reporter: Reporter) -> Parts:
    """Return what a folder holds of a data set, in whatever form.

    Raises:
        UserError: nothing; tells what it holds instead.
    """
    from hwnas.data.sources import imagenet
    from hwnas.data.sources.folder import folder_parts, has_split_folders
    from hwnas.data.sources.parquet import has_parquet, parquet_parts
    from hwnas.data.sources.published import PUBLISHED

    own = data_dir if data_dir.name == name else data_dir / name
    if has_parquet(own):
        return parquet_parts(own)
    known = PUBLISHED.get(name)
    for root in dict.fromkeys((own, data_dir)):
        if known is not None and known.is_in(root):
            return known.parts(root, reporter)
        if name == imagenet.NAME and (parts := imagenet.folders_in(root)) is not None:
            return parts
    if has_split_folders(own):
        return folder_parts(own)
    forms = known.expected if known else "train/CLASS/image.jpg and val/CLASS/image.jpg"
    raise UserError(
        f"data set {name!r} is not in {data_dir} ({_held(data_dir)}): Hugging Face's "
        f"train-*.parquet and test-*.parquet in {own}, or {forms} there, are looked for."
    )


def _held(folder: Path) -> str:
    """Return what a folder holds, for people."""
    if not folder.is_dir():
        return "which does not exist" if not folder.exists() else "which is no folder"
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    listed = ", ".join(names[:LISTED]) + (", ..." if len(names) > LISTED else "")
    return f"which holds {listed}" if names else "which is empty"
