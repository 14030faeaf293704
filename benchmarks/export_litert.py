"""Convert a network of rcnet-imagenet by litert-torch, in an environment that has it.

PYTHONPATH=. PYTHON benchmarks/export_litert.py ARCH OUT.tflite
"""

from __future__ import annotations

import sys

import litert_torch
import torch

from hwnas.models.network import Network, initialise
from hwnas.spaces import find_space


def main() -> None:
    """Write the file."""
    arch, path = sys.argv[1:]
    space = find_space("rcnet-imagenet")
    network = Network(space.graph(space.parse(arch)))
    initialise(network, 0)
    example = torch.zeros(1, *space.input_shape)
    # Channels last at the input, as in the files that it is compared with.
    module = litert_torch.to_channel_last_io(network.eval(), args=[0])
    litert_torch.convert(module, (example.permute(0, 2, 3, 1).contiguous(),)).export(path)


if __name__ == "__main__":
    main()
