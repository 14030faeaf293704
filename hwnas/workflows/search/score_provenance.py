"""What the scores of a search are made with: told when it begins, recorded in search.json."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hwnas.evaluate.setting import Setting
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
        setting: proxy geometry, data and device of what is trained; None where nothing is.
        preset: name of the recipe of `train`.
        recipes: of everything that is trained, by what it is.
        teachers: how many there are.
    """

    evaluator: str
    seed: int
    source: str | None = None
    setting: Setting | None = None
    preset: str | None = None
    recipes: Mapping[str, Recipe] = field(default_factory=dict)
    teachers: int = 0

    def __str__(self) -> str:
        parts = [f"by {self.source or self.evaluator}{self._how}"]
        if (setting := self.setting) is not None:
            size = f"width {setting.space.width:g} and {setting.space.resolution} px"
            parts.append(f"on {setting.dataset} at {size} on {setting.device}")
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
        setting = self.setting
        device = None if setting is None else setting.device
        selection = {} if setting is None else setting.selection.to_json()
        return {
            "evaluator": self.evaluator,
            "dataset": None if setting is None else setting.dataset,
            **({"selection": selection} if selection else {}),
            "proxy": None if setting is None else asdict(setting.space),
            "device": device,
            **_software(device, here=here),
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
