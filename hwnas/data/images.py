"""Labelled images from files, as training and held-out batches."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from hwnas.data.dataset import CPU, Batch, Split, batch_sizes, held_out_parts, normalise
from hwnas.data.decoding.decode import decoded_rows
from hwnas.data.decoding.store import Decoded, decoded, is_decoded, remembered_side
from hwnas.data.forms import Form, TrainingPixels, fits
from hwnas.data.prefetch import ahead
from hwnas.data.selection import USUAL, Selection
from hwnas.data.sources.source import require_all_classes
from hwnas.data.splits import Splits, endless_epochs, shuffled, split_rows
from hwnas.errors import UserError
from hwnas.graph import ImageInput
from hwnas.progress import Silent
from hwnas.seeds import derive

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    from numpy.typing import NDArray
    from torch import Tensor

    from hwnas.data.sources.source import Parts, Source
    from hwnas.progress import Reporter

Part: TypeAlias = Literal["train", "test"]

ANY_RESOLUTION = 16
"""Images are decoded for this one where their content is asked for before any size is."""

FEW = 512
"""Images that are decoded on the spot where a whole data set would have to be decoded for them."""


class LabelledImages:
    """Images of a source, decoded into the cache when they, or what is in them, is asked for."""

    def __init__(self, name: str, parts: Parts, selection: Selection = USUAL) -> None:
        """Take a data set; nothing is read yet.

        Args:
            name: for people.
            parts: where the images are.
            selection: what is held out or left out.
        """
        self.name = name
        self.parts = parts
        self.selection = selection
        self._resolution = ANY_RESOLUTION
        self._warned: set[str] = set()
        self._loaded: dict[tuple[Part, int], Decoded] = {}
        self._pixels: dict[tuple[int, torch.device], TrainingPixels] = {}

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes; large images are not decoded for them."""
        train = self.parts.train
        if train.in_memory and self.is_decoded(ANY_RESOLUTION):
            return self._part("train", ANY_RESOLUTION).labels
        return train.labels

    @cached_property
    def form(self) -> Form:
        """How images of this size are stored and augmented."""
        return Form(remembered_side(self.parts.train, Silent()))

    @cached_property
    def images(self) -> ImageInput:
        """Labels, and how pixels are normalised."""
        mean, std = self.form.normalisation(lambda: self._any("train"))
        return ImageInput(mean, std, self.labels)

    def prepare(self, resolution: int, reporter: Reporter) -> None:
        """Decode what is not in the cache yet, showing progress; tell what is left out."""
        train = self._part("train", resolution, reporter)
        test = self._part("test", resolution, reporter) if self.parts.test else None
        self.splits  # noqa: B018 - tells now if there are too few images
        warnings = [
            f"{len(found.damaged):,} damaged images are left out ({found.damage_list})"
            for found in (train, test)
            if found is not None and len(found.damaged)
        ]
        for warning in [self.parts.note, *warnings, *_missing_in(test)]:
            if warning and warning not in self._warned:
                reporter.warn(warning)
                self._warned.add(warning)

    @property
    def fingerprint(self) -> dict[str, Any]:
        """Hash of the content, and what is held out of it."""
        content = [self._any(part).digest for part in self.sources()]
        held_out = self.selection.held_out_per_class
        chosen = {} if held_out is None else {"held_out_per_class": held_out}
        return {**self.form.head, "content": content, **chosen}

    @property
    def train_size(self) -> int:
        """Images of one epoch."""
        return len(self.splits.train)

    @cached_property
    def splits(self) -> Splits:
        """Rows of the training images by purpose."""
        found = self._any("train")
        return self._split(found.classes, found.kept)

    def train_batches(
        self,
        images: int,
        batch_size: int,
        resolution: int,
        seed: int,
        *,
        start: int = 0,
        device: torch.device = CPU,
        judged: bool = False,
    ) -> Iterator[Batch]:
        """Yield random crops and flips; every epoch is a new order of all images."""
        splits, classes, pixels = self._training(images, resolution, device)
        among = splits.unjudged if judged else splits.train

        def fetch(batch: tuple[int, int]) -> tuple[int, NDArray[np.int64], Tensor]:
            number, size = batch
            rows = among[endless_epochs(len(among), seed, number * batch_size, size)]
            return number, rows, pixels.fetch(rows)

        threads = 0 if pixels.resident else self.form.threads(device)
        for number, rows, fetched in ahead(fetch, batch_sizes(images, batch_size, start), threads):
            rng = np.random.default_rng(derive(seed, "crop", number))
            found = pixels.place(fetched)
            values = self.form.augmented(found, resolution, self.images, rng)
            yield values, torch.from_numpy(classes[rows]).to(device)

    def held_out(
        self, split: Split, resolution: int, count: int | None, *, device: torch.device = CPU
    ) -> Iterator[Batch]:
        """Yield up to `count` images, or all, classes in turn as far as they go."""
        found, rows = self._held_out(split, resolution)
        for first, size in held_out_parts(len(rows[:count]), resolution):
            chosen = rows[first : first + size]
            pixels = torch.from_numpy(self.form.centred(found.pixels[chosen], resolution))
            values = pixels.to(device).permute(0, 3, 1, 2).float() / 255
            labels = torch.from_numpy(found.classes[chosen])
            yield normalise(values, self.images), labels.to(device)

    def real_images(self, count: int, resolution: int) -> NDArray[np.uint8]:
        """Return images of the final split."""
        if not self._on_the_spot("test" if self.parts.test else "train", resolution, count):
            found, rows = self._held_out("final", resolution)
            return self.form.centred(found.pixels[rows[:count]], resolution)
        source = self.parts.test or self.parts.train
        rows = shuffled(np.arange(len(source.classes)))
        if source is self.parts.train:
            rows = self.planned_splits().final
        side = self.form.stored_side(resolution)
        return self.form.centred(decoded_rows(source, rows[:count], side), resolution)

    def is_decoded(self, resolution: int) -> bool:
        """Return whether `prepare` would find all images in the cache."""
        side = self.form.stored_side(resolution)
        return all(is_decoded(source, side) for source in self.sources().values())

    def loaded(self, resolution: int) -> list[Decoded]:
        """Return the images for a resolution, training images first."""
        return [self._part(part, resolution) for part in self.sources()]

    def planned_splits(self) -> Splits:
        """Return rows of the training images by purpose, before it is known which are damaged."""
        return self._split(self.parts.train.classes)

    def sources(self) -> dict[Part, Source]:
        """Return where training and test images are."""
        found: dict[Part, Source] = {"train": self.parts.train}
        return found if self.parts.test is None else {**found, "test": self.parts.test}

    def _part(self, part: Part, resolution: int, reporter: Reporter | None = None) -> Decoded:
        side = self.form.stored_side(resolution)
        self._resolution = resolution
        if (part, side) not in self._loaded:
            source = self.sources()[part]
            found = decoded(source, side, reporter or Silent())
            self._check(found, source)
            self._loaded[part, side] = found
        return self._loaded[part, side]

    def _any(self, part: Part) -> Decoded:
        """Return images at whatever size: what is asked of them is the same at all."""
        known = (found for (name, _), found in self._loaded.items() if name == part)
        return next(known, None) or self._part(part, self._resolution)

    def _check(self, found: Decoded, source: Source) -> None:
        if not len(found.damaged):
            return
        if not self.selection.skip_damaged:
            more = ", ..." if len(found.damaged) > len(found.told) else ""
            raise UserError(
                f"{len(found.damaged):,} of {len(found.classes):,} images of {source.title} cannot "
                f"be decoded: {', '.join(found.told)}{more} (all are listed in "
                f"{found.damage_list}). Mend or remove them, or leave them out: --skip-damaged."
            )
        if source is self.parts.train:
            require_all_classes(found.classes[found.kept], found.labels, source.title)
        elif not len(found.kept):
            raise UserError(f"no image of {source.title} can be decoded.")

    def _split(self, classes: NDArray[np.int64], kept: NDArray[np.int64] | None = None) -> Splits:
        if kept is None:
            kept = np.arange(len(classes))
        found = split_rows(
            classes[kept],
            self.parts.train.title,
            final=self.parts.test is None,
            per_class=self.selection.held_out_per_class,
            labels=self.labels,
        )
        parts = (found.train, found.search, found.judge, found.final)
        return Splits(*(kept[rows] for rows in parts))

    def _held_out(self, split: Split, resolution: int) -> tuple[Decoded, NDArray[np.int64]]:
        """Return the images that hold a split, and its rows there."""
        if split == "final" and self.parts.test is not None:
            test = self._part("test", resolution)
            return test, shuffled(test.kept)
        return self._part("train", resolution), getattr(self.splits, split)

    def _training(
        self, images: int, resolution: int, device: torch.device
    ) -> tuple[Splits, NDArray[np.int64], TrainingPixels]:
        """Return rows by purpose, class of every row, and where pixels come from."""
        if self._on_the_spot("train", resolution, images):
            source, side = self.parts.train, self.form.stored_side(resolution)
            pixels = TrainingPixels(
                lambda rows: decoded_rows(source, rows, side), images, device, resident=False
            )
            return self.planned_splits(), source.classes, pixels
        train = self._part("train", resolution)
        if (resolution, device) not in self._pixels:
            read, side = self.form.reader(train.pixels, resolution)
            count = len(train.classes)
            resident = fits(3 * side**2 * count, device)
            self._pixels[resolution, device] = TrainingPixels(
                read, count, device, resident=resident
            )
        return self.splits, train.classes, self._pixels[resolution, device]

    def _on_the_spot(self, part: Part, resolution: int, images: int) -> bool:
        """Return whether a few images are decoded alone, as the others are not in the cache."""
        if self.form.small or images > FEW or self.selection.skip_damaged:
            return False
        side = self.form.stored_side(resolution)
        return (part, side) not in self._loaded and not is_decoded(self.sources()[part], side)


def _missing_in(test: Decoded | None) -> list[str]:
    """Return a warning about classes that no test image is of, if there are any."""
    if test is None:
        return []
    present = np.bincount(test.classes[test.kept], minlength=len(test.labels))
    missing = [test.labels[index] for index in np.flatnonzero(present == 0)]
    told = f"{len(missing)} of {len(test.labels)} classes have no test image, such as "
    return [f"{told}{missing[0]!r}"] if missing else []
