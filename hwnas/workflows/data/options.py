"""Options of `hwnas data show`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from hwnas.options import Option
from hwnas.workflows import shared_options as shared


@dataclass(frozen=True, kw_only=True)
class DataShowOptions(shared.NamesSelection):
    """Options of `hwnas data show`."""

    dataset: Annotated[
        str,
        Option(
            "cluttered-digits, digits, cifar10, cifar100, fashion-mnist, imagenet, folder:PATH, "
            "parquet:PATH or hf:NAME.",
            argument=True,
            metavar="NAME",
        ),
    ]
    data_dir: shared.DataDir = None
    input_size: Annotated[
        str, Option("Size that it would be trained at, such as 3x96x96.", flag="--input")
    ] = "3x224x224"
    check: Annotated[bool, Option("Decode every image now, and tell which ones are damaged.")] = (
        False
    )
    held_out_per_class: shared.HeldOutPerClass = None
    skip_damaged: shared.SkipDamaged = False
