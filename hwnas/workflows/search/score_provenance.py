"""What the scores of a search are made with: told when it begins, recorded in search.json."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from hwnas.data.selection import USUAL, Selection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hwnas.spaces import RcnetSpace
    from hwnas.train.recipe import Recipe

CANDIDATES, FINALISTS, TEACHERS, UNITS, TOGETHER = (
    "candidates",
    "finalists",
    "teachers",
    "units",
    "put_together",
)
"""What recipes are for."""


@dataclass(frozen=True, slots=True)
class MadeWith:
    """Everything that scores hang on apart from networks.

    Attributes:
        evaluator: its name.
        seed: of weights, batches and choices.
        source: in words, where scores come from that nobody computes.
        dataset: data that is trained and scored on; None where nothing is trained.
        selection: what is held out or left out of it.
        proxy: geometry that is trained and scored at.
        device: torch device, such as "cpu"; None where nothing is trained.
        preset: name of the recipe of `train`.
        recipes: of everything that is trained, by what it is.
        teachers: how many there are.
    """

    evaluator: str
    seed: int
    source: str | None = None
    dataset: str | None = None
    selection: Selection = USUAL
    proxy: RcnetSpace | None = None
    device: str | None = None
    preset: str | None = None
    recipes: Mapping[str, Recipe] = field(default_factory=dict)
    teachers: int = 0

    def __str__(self) -> str:
        parts = [f"by {self.source or self.evaluator}{self._how}"]
        if self.proxy is not None:
            size = f"width {self.proxy.width:g} and {self.proxy.resolution} px"
            parts.append(f"on {self.dataset} at {size} on {self.device}")
        return " ".join(parts)

    @property
    def _how(self) -> str:
        images = {name: f"{recipe.images:,} images" for name, recipe in self.recipes.items()}
        if CANDIDATES in images:
            return f" (recipe {self.preset}: {images[CANDIDATES]} each)"
        if TEACHERS in images:
            return f" ({self.teachers} teachers of {images[TEACHERS]}, units of {images[UNITS]})"
        return f" (finalists by training on {images[FINALISTS]})" if FINALISTS in images else ""

    def to_json(self, *, here: bool = True) -> dict[str, Any]:
        """Return it with device, precision and versions, as JSON.

        Args:
            here: whether this process and its children train; else what device others have is
                not known.
        """
        return {
            "evaluator": self.evaluator,
            "dataset": self.dataset,
            **({"selection": chosen} if (chosen := self.selection.to_json()) else {}),
            "proxy": None if self.proxy is None else asdict(self.proxy),
            "device": self.device,
            **_software(self.device, here=here),
            **({"unit_precision": "fp32"} if UNITS in self.recipes else {}),
            "preset": self.preset,
            "recipes": {name: asdict(recipe) for name, recipe in self.recipes.items()},
            "seed": self.seed,
        }


def _software(device: str | None, *, here: bool) -> dict[str, Any]:
    """Return name and precision of a device, and the versions of what trains there."""
    from hwnas.train import environment

    if device is None:
        return {"device_name": None, "precision": None, "versions": environment.versions()}
    import torch

    where = torch.device(device)
    return {
        "device_name": environment.device_name(where) if here else None,
        "precision": environment.precision(where),
        "versions": environment.versions(where),
    }
