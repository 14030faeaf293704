"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from hwnas.data.selection import Selection
from hwnas.errors import UserError
from hwnas.options import BUDGETS, DATA, MACHINE, SPACE, TABLE, Option
from hwnas.units import DIMENSIONS

HERE = Path()

Target = Annotated[str | None, Option("Device; see `hwnas targets`.")]
Space = Annotated[
    str | None,
    Option(
        "rcnet-imagenet, rcnet-cifar100, rcnet-cifar10, rcnet-digits, or rcnet with --input and "
        "--classes."
    ),
]
InputSize = Annotated[
    str | None, Option("Input size for --space rcnet, such as 3x96x96.", SPACE, flag="--input")
]
Classes = Annotated[int | None, Option("Classes for --space rcnet.", SPACE)]
Width = Annotated[float | None, Option("Channel multiplier for --space rcnet.", SPACE)]
Dataset = Annotated[
    str | None,
    Option(
        "cluttered-digits, digits, cifar10, cifar100, fashion-mnist, imagenet, folder:PATH, "
        "parquet:PATH or hf:NAME; see `hwnas data show`."
    ),
]
DataDir = Annotated[
    Path | None,
    Option(
        "Folder that holds the data set, as torchvision or Hugging Face keep it.",
        default="downloaded",
    ),
]
HeldOutPerClass = Annotated[
    int | None,
    Option(
        "Training images of each class that are kept for scoring candidates.",
        DATA,
        default="10, more for few classes; at most a tenth",
    ),
]
SkipDamaged = Annotated[bool, Option("Leave out images that cannot be decoded.", DATA)]
RunFolder = Annotated[
    Path | None, Option("Folder of the run.", MACHINE, flag="--run", default="the latest")
]

Texts = tuple[str, ...]
Latency = Annotated[
    Texts, Option('"190ms", or "iphone5s=190ms"; may be repeated.', metavar="QUANTITY")
]
Params = Annotated[Texts, Option('Such as "3.4M".', metavar="QUANTITY")]
Madds = Annotated[Texts, Option('Such as "300M".', metavar="QUANTITY")]
Energy = Annotated[Texts, Option('Such as "50mJ".', BUDGETS, metavar="QUANTITY")]
Memory = Annotated[Texts, Option('Peak activations, "4MB".', BUDGETS, metavar="QUANTITY")]
Size = Annotated[Texts, Option('Exported file, "15MB".', BUDGETS, metavar="QUANTITY")]
Budget = Annotated[
    Texts,
    Option(
        "With a table: limit on a cost, a plain number; may be repeated.",
        TABLE,
        metavar="NAME=VALUE",
    ),
]

Workspace = Annotated[
    Path,
    Option(
        "Folder that holds lut/ and runs/.",
        MACHINE,
        default="the current folder",
        envvar="HWNAS_WORKSPACE",
    ),
]


class NamesGeometry:
    """Options that say at which size a space is meant."""

    input_size: InputSize
    classes: Classes
    width: Width

    @property
    def geometry(self) -> dict[str, Any]:
        """What `hwnas.spaces.find_space` takes beside a name."""
        return {"input_size": self.input_size, "classes": self.classes, "width": self.width}


class NamesSelection:
    """Options that say what is held out or left out of a data set."""

    held_out_per_class: HeldOutPerClass
    skip_damaged: SkipDamaged

    @property
    def selection(self) -> Selection:
        """What is held out or left out; raises UserError for less than an image of each class."""
        return Selection(self.held_out_per_class, self.skip_damaged)


def budgets_of(options: object) -> dict[str, Texts]:
    """Return the texts of the fields budget_latency, budget_params, ..., by resource.

    Resources without any are left out.
    """
    texts = {name: getattr(options, f"budget_{name}", ()) for name in DIMENSIONS}
    return {name: found for name, found in texts.items() if found}


def check_confidence(confidence: float | None) -> float | None:
    """Return the confidence if it lies strictly between 0.5 and 1.

    Raises:
        UserError: it does not.
    """
    if confidence is not None and not 0.5 < confidence < 1:
        raise UserError(f"--confidence must be between 0.5 and 1, but got {confidence:g}.")
    return confidence
