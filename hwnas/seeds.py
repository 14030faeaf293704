"""Independent random streams from one seed, the same on every machine and in every process."""

from __future__ import annotations

import hashlib


def derive(seed: int, *path: str | int) -> int:
    """Return the seed (63 bits) of the stream that `path` names below `seed`.

    Python's own `hash` differs between processes, so it cannot serve here.
    """
    text = "/".join(map(repr, (seed, *path)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 1
