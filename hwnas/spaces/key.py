"""What one row of a lookup table stands for: a part of a network at one place of use."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """A part: block name, channels in and out, stride, and the resolution it reads.

    For the head, `out_channels` is the number of classes.
    """

    block: str
    in_channels: int
    out_channels: int
    stride: int
    resolution: int

    def __str__(self) -> str:
        return (
            f"{self.block}:{self.in_channels}-{self.out_channels}:s{self.stride}:r{self.resolution}"
        )
