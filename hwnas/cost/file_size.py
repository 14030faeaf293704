"""The size of a model file: its weights, and a bound on everything else in it.

Beside the weights a file holds names, shapes and attributes of every node. The bytes per node
below bound those of our emitters from above: they are the cheapest linear bound over 170 random
and extreme networks of four geometries (linear programming), rounded up. Labels and provenance
come on top, as exported files carry them; a file without them is smaller by so much. Quantised
files hold further nodes and scales that are not counted here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwnas.errors import one_of
from hwnas.graph import FP32, Add, Conv, Linear, Shuffle

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
        activated: per convolution with ReLU6.
        linear: per convolution without.
        shuffle: per channel shuffle.
        add: per addition.
    """

    file: int
    activated: int
    linear: int
    shuffle: int
    add: int

    def of(self, op: Op) -> int:
        """Return the bytes of one operation, the classifier's with those of the file."""
        match op:
            case Conv(relu6=True):
                return self.activated
            case Conv():
                return self.linear
            case Shuffle():
                return self.shuffle
            case Add():
                return self.add
            case Linear(out_features=classes):
                return self.file + PROVENANCE_BYTES + LABEL_BYTES * classes
            case _:
                return 0


STRUCTURES = {
    "onnx": Structure(100, 425, 315, 515, 60),
    "coreml": Structure(100, 435, 135, 275, 60),
    "tflite": Structure(1750, 400, 330, 730, 10),
}


def file_bytes(graph: Graph, form: str, precision: Precision = FP32) -> int:
    """Return an upper bound on the size of a graph's file; a network's is the sum of its parts'.

    Args:
        graph: a whole network, or one part of it.
        form: as in `export_format` of a target profile.
        precision: of the stored weights.

    Raises:
        UserError: a format whose files were never measured.
    """
    if form not in STRUCTURES:
        raise one_of("file format", form, list(STRUCTURES), "Its file size is not known.")
    structure = STRUCTURES[form]
    return graph.stored_bytes(precision) + sum(structure.of(node.op) for node in graph)
