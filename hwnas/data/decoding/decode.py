"""One encoded image to a square of RGB pixels, or why that cannot be."""

from __future__ import annotations

import io
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from hwnas.errors import MissingPackage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from hwnas.data.sources.source import Item

Damage: TypeAlias = str
"""Why an image cannot be used."""

MIN_SIDE = 8
"""Pixels: whatever is smaller shows nothing to a network with strides."""

DRAFT = 2
"""JPEG images are decoded at the lowest resolution that is still so many times what is stored."""

ORIENTATION = 0x0112
"""EXIF tag: how the camera was held. 1 is upright."""


def square(item: Item, side: int, *, draft: bool) -> NDArray[np.uint8] | Damage:
    """Return the central square of an image as (side, side, 3) uint8, RGB.

    Grey images get three equal channels, 16 bits become 8, alpha is dropped, and photographs that
    say how the camera was held are turned upright.

    Args:
        item: encoded, or pixels.
        side: of the result, in pixels.
        draft: let JPEG decode at reduced resolution where the image is much larger than `side`.
    """
    from PIL import Image, ImageOps

    if isinstance(item, bytes) and not item:
        return "empty"
    try:
        with _opened(item) as image:
            if min(image.size) < MIN_SIDE:
                return f"only {image.width}x{image.height} pixels"
            if draft:
                image.draft("RGB", (DRAFT * side, DRAFT * side))
            rgb = _rgb(_upright(image))
        if rgb.size != (side, side):
            rgb = ImageOps.fit(rgb, (side, side), Image.Resampling.BILINEAR)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - pillow raises many kinds for damaged images
        return _reason(error)
    return np.asarray(rgb)


def shorter_side(item: Item) -> int | Damage:
    """Return the shorter side of an image in pixels; of an encoded one only the header is read."""
    try:
        with _opened(item) as image:
            return int(min(image.size))
    except Exception as error:  # noqa: BLE001 - as above
        return _reason(error)


@contextmanager
def _opened(item: Item) -> Iterator[Any]:
    from PIL import Image

    with warnings.catch_warnings():
        # Of very many pixels, or of tags that are out of order: nothing that a user can mend.
        warnings.simplefilter("ignore")
        if isinstance(item, np.ndarray):
            yield Image.fromarray(item)
            return
        with Image.open(io.BytesIO(item)) as image:
            yield image


def require_pillow() -> None:
    """Check that images can be decoded here.

    Raises:
        MissingPackage: pillow is not installed.
    """
    try:
        import PIL.Image  # noqa: F401 - whether it is there
    except ImportError:
        raise MissingPackage('decoding images needs pillow: pip install "hwnas[data]"') from None


def _upright(image: Any) -> Any:
    from PIL import ImageOps

    try:
        turned = image.getexif().get(ORIENTATION, 1) != 1
    except Exception:  # noqa: BLE001 - tags that make no sense say nothing
        return image
    return ImageOps.exif_transpose(image) if turned else image


def _rgb(image: Any) -> Any:
    from PIL import Image

    if image.mode.startswith("I"):
        levels = np.asarray(image).astype(np.int64) // 257
        return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise ValueError("pixels are floating-point numbers")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB")


def _reason(error: Exception) -> Damage:
    from PIL import Image, UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "no image of a known format"
    if isinstance(error, Image.DecompressionBombError):
        return "more pixels than are safe to decode"
    # Errors of the format's own parsers are about its inner numbers.
    return str(error).splitlines()[0] if isinstance(error, OSError | ValueError) else "damaged"
