"""`hwnas data show`: what a data set was read as, before anything is trained on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.data.catalog import find_dataset
from hwnas.data.decoding.store import decoded_folder
from hwnas.data.images import LabelledImages
from hwnas.spaces.catalog import parse_resolution

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hwnas.data.decoding.store import Decoded
    from hwnas.data.sources.source import Source
    from hwnas.progress import Reporter
    from hwnas.workflows.data.options import DataShowOptions


def show(options: DataShowOptions, reporter: Reporter) -> dict[str, Any]:
    """Return what a data set holds and how it would be used, as JSON.

    Raises:
        UserError: it cannot be used; tells why.
    """
    spec, resolution = options.dataset, parse_resolution(options.input_size)
    data = find_dataset(spec, options.data_dir, options.selection, reporter)
    if not isinstance(data, LabelledImages):
        return {
            "dataset": spec,
            "kind": "drawn on the fly",
            "classes": len(data.labels),
            "labels": list(data.labels),
        }
    if options.check:
        data.prepare(resolution, reporter)
    ready = data.is_decoded(resolution)
    test = data.parts.test
    return {
        "dataset": data.name,
        "kind": data.parts.kind,
        "note": data.parts.note,
        "classes": len(data.labels),
        "labels": list(data.labels),
        "train": _part(data.parts.train, len(data.labels)),
        "test": None if test is None else _part(test, len(data.labels)),
        "splits": _splits(data, ready=ready),
        "typical_side": data.form.typical_side,
        "augmentation": data.form.augmentation,
        **_stored(data, resolution, decoded=ready),
    }


def _splits(data: LabelledImages, *, ready: bool) -> dict[str, int]:
    splits, test = data.splits if ready else data.planned_splits(), data.parts.test
    return {
        "train": len(splits.train),
        "search": len(splits.search),
        "judge": len(splits.judge),
        "final": len(splits.final) if test is None else len(test.classes),
    }


def _part(source: Source, classes: int) -> dict[str, Any]:
    counts = np.bincount(source.classes, minlength=classes)
    return {
        "place": source.title,
        "images": len(source.classes),
        "per_class_min": int(counts.min()),
        "per_class_max": int(counts.max()),
    }


def _stored(data: LabelledImages, resolution: int, *, decoded: bool) -> dict[str, Any]:
    """Return how images are stored in the cache, or would be."""
    side = data.form.stored_side(resolution)
    sources = data.sources().values()
    parts = data.loaded(resolution) if decoded else []
    count = sum(len(source.classes) for source in sources)
    return {
        "resolution": resolution,
        "stored_side": side,
        "decoded": decoded,
        "cache": [str(decoded_folder(source, side)) for source in sources],
        "cache_bytes": _bytes(parts) if decoded else 3 * side**2 * count,
        "damaged": sum(len(found.damaged) for found in parts) if decoded else None,
    }


def _bytes(parts: Iterable[Decoded]) -> int:
    return sum(file.stat().st_size for found in parts for file in found.folder.iterdir())
