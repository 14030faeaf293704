"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Workspace = Annotated[
    Path,
    typer.Option(
        "--workspace",
        envvar="HWNAS_WORKSPACE",
        help="Folder that holds lut/ and runs/.",
        show_default="the current folder",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable result on standard output.")]
RunFolder = Annotated[
    Path | None, typer.Option("--run", help="Folder of the run.", show_default="the latest")
]
Target = Annotated[str | None, typer.Option("--target", help="Device; see `hwnas targets`.")]
Space = Annotated[
    str | None,
    typer.Option(
        "--space",
        help="rcnet-imagenet, rcnet-cifar100, rcnet-cifar10, rcnet-digits, or rcnet with "
        "--input and --classes.",
    ),
]
Input = Annotated[
    str | None, typer.Option("--input", help="Input size for --space rcnet, such as 3x96x96.")
]
Classes = Annotated[int | None, typer.Option("--classes", help="Classes for --space rcnet.")]
Width = Annotated[
    float | None, typer.Option("--width", help="Channel multiplier for --space rcnet.")
]
Dataset = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        help="cluttered-digits, digits, cifar10, cifar100, fashion-mnist, imagenet, folder:PATH or "
        "parquet:PATH; see `hwnas data show`.",
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help="Folder that holds the data set, as torchvision or Hugging Face keep it.",
        show_default="downloaded",
    ),
]
HeldOutPerClass = Annotated[
    int | None,
    typer.Option(
        "--held-out-per-class",
        help="Training images of each class that are kept for scoring candidates.",
        show_default="10, more for few classes; at most a tenth",
    ),
]
SkipDamaged = Annotated[
    bool, typer.Option("--skip-damaged", help="Leave out images that cannot be decoded.")
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of weights, batches and networks.")]

HERE = Path()
