"""Data sets of the Hugging Face hub, whatever form they have there: fetched once, as Parquet files.

The `datasets` library fetches and reads them; what it writes is read as any other Parquet files. A
data set stays at the commit that it was fetched at, so that all commands and workers see the same
images, with a network or without.
"""

from __future__ import annotations

import re
import shutil
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hwnas.data.cache import alone, cache_errors, cache_folder
from hwnas.data.sources.parquet import parts_by_split
from hwnas.data.sources.source import SPLIT_NAMES
from hwnas.errors import MissingPackage, UserError
from hwnas.files import read_json, write_json
from hwnas.progress import Silent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hwnas.data.sources.source import Parts
    from hwnas.progress import Reporter

KIND = "Hugging Face hub"
FORM = "hf:NAME"
SPEC = re.compile(
    r"hf:(?P<name>[\w.-]+(?:/[\w.-]+)?)(?::(?P<config>[\w.-]+))?(?:@(?P<revision>.+))?"
)
ABOUT = "about.json"
TIMEOUT_S = 30.0

LONGEST = 300
"""Characters of a library's message that are passed on."""

REFUSED = {
    "GatedRepoError": "is given only to those who ask for it on its page: ask, then hf auth login",
    "RepositoryNotFoundError": "is not on the hub, or not for everybody: hf auth login, if it is "
    "yours",
    "RevisionNotFoundError": "has no such commit, branch or tag",
}
REMEDY = (
    "it is not on this machine either. Without a network, put its Parquet files into a folder: "
    "--dataset parquet:FOLDER"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a user names.

    Attributes:
        spec: all of it, such as "hf:uoft-cs/cifar100@main".
        name: of the data set on the hub.
        config: which of several that the data set consists of, or None.
        revision: commit, branch or tag, or None for whatever is here, else the newest.
    """

    spec: str
    name: str
    config: str | None
    revision: str | None

    @property
    def folder(self) -> Path:
        """Where its commits are kept, a folder each."""
        kept = "--".join([*self.name.split("/"), *filter(None, [self.config])])
        return cache_folder() / "hub" / kept


def hub_parts(spec: str, reporter: Reporter) -> Parts:
    """Return the images of a data set of the hub, fetched into the cache unless they are there.

    Args:
        spec: hf:NAME, hf:NAME:CONFIG, each with @REVISION if a certain one is wanted.
        reporter: told what takes long.

    Raises:
        UserError: there is no such data set, no network, or there are no images in it.
        MissingPackage: `datasets` is not installed.
    """
    found = SPEC.fullmatch(spec)
    if found is None:
        raise UserError(
            f"data set {spec!r} is not of the form hf:OWNER/NAME, hf:OWNER/NAME:CONFIG or "
            "hf:OWNER/NAME@REVISION."
        )
    asked = Asked(spec, **found.groupdict())
    folder = _kept(asked)
    if folder is None:
        with alone(asked.folder, reporter, f"fetching {spec}"):
            folder = _kept(asked) or _fetch(asked, reporter)
    splits = read_json(folder / ABOUT, f"Remove {folder}.")["splits"]
    by_split = {
        SPLIT_NAMES.get(name, name): [folder / file for file in files]
        for name, files in splits.items()
    }
    if "train" not in by_split:
        raise UserError(f"{spec} has no split 'train', but {', '.join(by_split)}.")
    return replace(parts_by_split(folder, by_split, KIND), revision=folder.name)


def _kept(asked: Asked) -> Path | None:
    """Return the folder of the wanted commit, the last one fetched where any will do."""
    kept = sorted(asked.folder.glob(f"*/{ABOUT}"), key=lambda path: path.stat().st_mtime)
    for path in reversed(kept):
        about = read_json(path, f"Remove {path.parent}.")
        if asked.revision in (None, path.parent.name, *about["asked"]):
            return path.parent
    return None


def _fetch(asked: Asked, reporter: Reporter) -> Path:
    with _told(asked):
        _quiet(bars=not isinstance(reporter, Silent) and sys.stderr.isatty())
        from datasets import load_dataset_builder
        from huggingface_hub import HfApi

        # Asked first by itself: where there is no network, `datasets` tries for half a minute.
        known = HfApi().dataset_info(asked.name, revision=asked.revision, timeout=TIMEOUT_S)
        commit = str(known.sha)
        folder = asked.folder / commit
        if not (folder / ABOUT).is_file():
            reporter.info(f"fetching {asked.spec}, commit {commit}, into {folder}")
            builder = load_dataset_builder(asked.name, asked.config, revision=commit)
            with cache_errors():
                shutil.rmtree(folder, ignore_errors=True)  # of a fetching that was killed
                folder.mkdir(parents=True)
            builder.download_and_prepare(str(folder), file_format="parquet")
            _write_about(folder, builder, asked)
        elif asked.revision is not None:
            about = read_json(folder / ABOUT, f"Remove {folder}.")
            write_json(folder / ABOUT, {**about, "asked": [*about["asked"], asked.revision]})
    return folder


def _write_about(folder: Path, builder: Any, asked: Asked) -> None:
    """Note what was fetched; without that a folder counts for nothing.

    Raises:
        UserError: it is of something else than images.
    """
    columns = builder.info.features
    if not any(type(kind).__name__ == "Image" for kind in columns.values()):
        shutil.rmtree(folder)
        raise UserError(f"{asked.spec} holds no images, but {', '.join(columns)}.")
    names = sorted(path.name for path in folder.glob("*.parquet"))
    files = {
        split: [name for name in names if re.search(rf"-{split}(-\d+-of-\d+)?\.parquet$", name)]
        for split in builder.info.splits
    }
    write_json(folder / ABOUT, {"asked": [asked.revision or "main"], "splits": files})


def _quiet(*, bars: bool) -> None:
    """Keep the libraries from writing to standard error, but for progress bars if wanted.

    Raises:
        MissingPackage: they are not installed.
    """
    try:
        import datasets
        import huggingface_hub
    except ImportError:
        raise MissingPackage(
            f'data sets of the Hugging Face hub ({FORM}) need datasets: pip install "hwnas[data]"'
        ) from None
    for library in (datasets.utils, huggingface_hub.utils):
        library.logging.set_verbosity_error()
        (library.enable_progress_bars if bars else library.disable_progress_bars)()


@contextmanager
def _told(asked: Asked) -> Iterator[None]:
    """Tell in one line why a data set cannot be had; the libraries raise many kinds.

    Raises:
        UserError: it cannot.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        kind, reason = type(error).__name__, " ".join(str(error).split())[:LONGEST]
        what = REFUSED.get(kind, f"cannot be fetched ({kind}: {reason}): {REMEDY}")
        if "Config name is missing" in reason:
            what = f"consists of several: name one as hf:{asked.name}:CONFIG ({reason})"
        raise UserError(f"data set {asked.spec!r} {what}.") from error
