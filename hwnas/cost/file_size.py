"""The size of a model file: its weights, and a bound on everything else in it.

Beside the weights a file holds names, shapes and attributes of every node. The bytes per node
below bound those of our emitters from above: they are the cheapest linear bound over 70 to 170
random and extreme networks of four geometries (linear programming), rounded up. Labels and
provenance come on top, as exported files carry them; a file without them is smaller by so much.
8-bit files hold a scale and a zero point per channel and, in ONNX, a pair of nodes around every
operation: for the smallest networks that is more than their weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwnas.errors import UserError
from hwnas.graph import FP32, Add, Conv, GlobalAvgPool, Linear, Shuffle

if TYPE_CHECKING:
    from hwnas.graph import Graph, Op, Precision

PROVENANCE_BYTES = 1024
"""Version, space, architecture, origin and normalisation of an exported file."""
LABEL_BYTES = 40
"""Per class: the names of ImageNet's classes have 20 letters on average, some formats store them
twice."""


@dataclass(frozen=True, slots=True)
class Structure:
    """Bytes beside the weights, by format.

    Attributes:
        file: once, with pooling and classifier.
        activated: per convolution with an activation (ReLU6 takes the most).
        linear: per convolution without.
        shuffle: per channel shuffle.
        add: per addition.
        channel: per output channel of a convolution.
        label: per class.
    """

    file: int
    activated: int
    linear: int
    shuffle: int
    add: int
    channel: int = 0
    label: int = 0

    def of(self, op: Op) -> int:
        """Return the bytes of one operation, the classifier's with those of the file.

        Raises:
            UserError: no searched network has such an operation.
        """
        match op:
            case Conv(out_channels=channels, activation=activation):
                own = self.linear if activation is None else self.activated
                return own + self.channel * channels
            case Shuffle():
                return self.shuffle
            case Add():
                return self.add
            case Linear(out_features=classes, activation=None):
                return self.file + PROVENANCE_BYTES + (LABEL_BYTES + self.label) * classes
            case GlobalAvgPool():
                return 0
            case _:
                raise UserError(
                    f"no bound is known on the size of a file with a {type(op).__name__}: files of "
                    "searched networks alone were measured."
                )


STRUCTURES = {
    ("onnx", "fp32"): Structure(100, 425, 315, 515, 60),
    ("onnx", "int8"): Structure(1700, 1330, 1460, 3340, 570, channel=13, label=14),
    ("coreml", "fp32"): Structure(100, 435, 135, 275, 60),
    ("tflite", "fp32"): Structure(1750, 400, 330, 730, 10, label=12),
    ("tflite", "int8"): Structure(2060, 520, 460, 850, 10, channel=16, label=12),
}
"""By format and precision."""


def file_size_known(form: str, precision: Precision) -> bool:
    """Return whether files of a format in a precision were ever measured."""
    return (form, precision.name) in STRUCTURES


def file_bytes(graph: Graph, form: str, precision: Precision = FP32) -> int:
    """Return an upper bound on the size of a graph's file; a network's is the sum of its parts'.

    Args:
        graph: a whole network, or one part of it.
        form: as in `export_format` of a target profile.
        precision: of the stored weights.

    Raises:
        UserError: files of this format and precision, or with one of these operations, were never
            measured.
    """
    if not file_size_known(form, precision):
        known = ", ".join(" ".join(pair) for pair in STRUCTURES)
        raise UserError(
            f"the size of {form} {precision.name} files is not known (known: {known}). Leave out "
            "--budget-size, or bound --budget-params instead."
        )
    structure = STRUCTURES[form, precision.name]
    return graph.stored_bytes(precision) + sum(structure.of(node.op) for node in graph)
