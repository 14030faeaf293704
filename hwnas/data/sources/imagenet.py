"""ImageNet (ILSVRC 2012) as torchvision, Hugging Face or hand-made folders keep it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwnas.data.sources.folder import folder_parts, has_split_folders
from hwnas.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hwnas.data.sources.source import Parts

NAME = "imagenet"
META = "meta.bin"
"""What torchvision writes when it unpacks: names of the classes by WordNet number."""
SYNSETS = "LOC_synset_mapping.txt"
"""The same in Kaggle's copy."""
ARCHIVES = ("ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar")

BY_HAND = (
    "ImageNet cannot be downloaded without an account: put its train/ and val/ (one folder per "
    "class, as torchvision unpacks them), or Hugging Face's Parquet files, into DIR/imagenet and "
    "pass --data-dir DIR."
)


def folders_in(root: Path) -> Parts | None:
    """Return the images of train/ and val/ below `root`, if they are there.

    Raises:
        UserError: only archives are there, or val/ has no class folders.
    """
    if not has_split_folders(root):
        if any((root / name).exists() for name in ARCHIVES):
            raise UserError(
                f"{root} holds ImageNet's archives: torchvision unpacks them, python -c \"from "
                f"torchvision.datasets import ImageNet as I; [I('{root}', s) for s in ('train', "
                "'val')]\", with ILSVRC2012_devkit_t12.tar.gz beside them."
            )
        return None
    parts = folder_parts(root, _names(root))
    if parts.test is None and (root / "val").is_dir():
        raise UserError(
            f"{root}: {parts.note}. ImageNet's validation images are sorted into class folders by "
            "torchvision.datasets.ImageNet, from their archive."
        )
    return parts


def _names(root: Path) -> Mapping[str, str]:
    """Return names by WordNet number, as far as they are known there; all are distinct."""
    names = _of_torchvision(root / META) or _of_kaggle(root / SYNSETS)
    times: dict[str, int] = {}
    for name in names.values():
        times[name] = times.get(name, 0) + 1
    return {
        number: name if times[name] == 1 else f"{name} ({number})" for number, name in names.items()
    }


def _of_torchvision(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    import torch

    try:
        names = torch.load(path, weights_only=True)[0]
        return {str(number): ", ".join(words) for number, words in names.items()}
    except Exception as error:  # torch raises many kinds for a damaged file
        raise UserError(
            f"{path} cannot be read: remove it, and classes are called by their WordNet numbers."
        ) from error


def _of_kaggle(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    return {number: name for number, _, name in (line.partition(" ") for line in lines)}
