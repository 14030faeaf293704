"""Data sets by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hwnas.data.cluttered import ClutteredDigits
from hwnas.errors import UserError, one_of

if TYPE_CHECKING:
    from hwnas.data.dataset import Dataset

PARQUET_FOLDERS = ("cifar10", "cifar100")
KNOWN = ["cluttered-digits", *PARQUET_FOLDERS, "parquet:PATH"]


def find_dataset(spec: str, data_dir: Path | None = None) -> Dataset:
    """Return a data set; files are not read before images are asked for.

    Args:
        spec: "cluttered-digits", "cifar10", "cifar100" or "parquet:PATH".
        data_dir: folder with a folder of Parquet files per downloaded data set.

    Raises:
        UserError: unknown name, or files that are missing or cannot be used.
    """
    if spec == ClutteredDigits.name:
        return ClutteredDigits()
    from hwnas.data.parquet import ParquetImages

    if spec.startswith("parquet:"):
        return ParquetImages(Path(spec.removeprefix("parquet:")).expanduser())
    if spec not in PARQUET_FOLDERS:
        raise one_of("data set", spec, KNOWN)
    if data_dir is None or not (data_dir / spec).exists():
        where = f"{data_dir / spec} is missing" if data_dir else "no --data-dir was given"
        raise UserError(
            f"data set {spec!r} needs its Parquet files, but {where}: put Hugging Face's "
            f"train-*.parquet and test-*.parquet into DIR/{spec} and pass --data-dir DIR, or "
            "pass --dataset parquet:PATH."
        )
    return ParquetImages(data_dir / spec, name=spec)
