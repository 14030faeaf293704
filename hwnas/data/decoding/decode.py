"""Encoded images to squares of RGB pixels, or why that cannot be."""

from __future__ import annotations

import io
import warnings
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from hwnas.errors import MissingPackage, UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from hwnas.data.sources.source import Item, Source

Damage: TypeAlias = str
"""Why an image cannot be used."""

MIN_SIDE = 8
"""Pixels: whatever is smaller shows nothing to a network with strides."""

DRAFT = 2
"""JPEG images are decoded at the lowest resolution that is still so many times what is stored."""

SAMPLED_UNITS, SAMPLED_IMAGES = 16, 64
"""Of so many units so many images tell how large the images of a source usually are."""

ORIENTATION = 0x0112
"""EXIF tag: how the camera was held. 1 is upright."""


def square(item: Item, side: int) -> NDArray[np.uint8] | Damage:
    """Return the central square of an image as (side, side, 3) uint8, RGB.

    Grey images get three equal channels, 16 bits become 8, alpha is dropped, and photographs that
    say how the camera was held are turned upright.

    Args:
        item: encoded, or pixels.
        side: of the result, in pixels. JPEG is decoded at a reduced resolution where the image is
            much larger.
    """
    from PIL import Image, ImageOps

    if isinstance(item, bytes) and not item:
        return "empty"
    try:
        with _opened(item) as image:
            if min(image.size) < MIN_SIDE:
                return f"only {image.width}x{image.height} pixels"
            image.draft("RGB", (DRAFT * side, DRAFT * side))
            rgb = _rgb(_upright(image))
        if rgb.size != (side, side):
            rgb = ImageOps.fit(rgb, (side, side), Image.Resampling.BILINEAR)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - pillow raises many kinds for damaged images
        return _reason(error)
    return np.asarray(rgb)


def decoded_rows(source: Source, rows: NDArray[np.int64], side: int) -> NDArray[np.uint8]:
    """Return images (n, side, side, 3), where decoding a whole data set for them would be a waste.

    Raises:
        UserError: one is damaged, or cannot be read.
    """
    require_pillow()
    result = np.empty((len(rows), side, side, 3), np.uint8)
    for place, row in enumerate(rows.tolist()):
        (item,) = source.piece(row, row + 1)
        found = square(item, side)
        if isinstance(found, str):
            raise UserError(
                f"image {source.where(row)} of {source.title} cannot be decoded: {found}. Mend or "
                "remove it."
            )
        result[place] = found
    return result


def typical_side(source: Source) -> int:
    """Return the most common shorter side of a sample of the images, in pixels.

    Of equally common ones the larger.

    Raises:
        UserError: no image of the sample can be read, or they are too small.
    """
    require_pillow()
    sides: Counter[int] = Counter()
    damage = ""
    units = source.units
    for first, last in units[:: max(1, len(units) // SAMPLED_UNITS)]:
        for row, item in enumerate(source.piece(first, min(last, first + SAMPLED_IMAGES)), first):
            found = shorter_side(item)
            if isinstance(found, int):
                sides[found] += 1
            else:
                damage = damage or f"{source.where(row)}: {found}"
    if not sides:
        raise UserError(f"no image of {source.title} can be read ({damage}).")
    side = max(sides, key=lambda side: (sides[side], side))
    if side < MIN_SIDE:
        raise UserError(
            f"most images of {source.title} are only {side} pixels high or wide: at least "
            f"{MIN_SIDE} are needed."
        )
    return side


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
