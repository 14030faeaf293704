"""What the scores of a search are made with: told when it begins, recorded in search.json."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hwnas.evaluate.setting import Setting
    from hwnas.train.recipe import Recipe
    from hwnas.workflows.search.request import Request

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
        request: what was asked.
        setting: proxy geometry, data and device of what is trained; None where nothing is.
        recipes: of everything that is trained, by what it is.
        source: in words, where scores come from that nobody computes.
    """

    request: Request
    setting: Setting | None = None
    recipes: Mapping[str, Recipe] = field(default_factory=dict)
    source: str | None = None

    def __str__(self) -> str:
        parts = [f"by {self.source or self.request.evaluator}{self._how}"]
        if (setting := self.setting) is not None:
            size = f"width {setting.space.width:g} and {setting.space.resolution} px"
            parts.append(f"on {setting.dataset} at {size} on {setting.device}")
        return " ".join(parts)

    @property
    def _preset(self) -> str | None:
        return self.request.recipe if CANDIDATES in self.recipes else None

    @property
    def _how(self) -> str:
        images = {name: f"{recipe.images:,} images" for name, recipe in self.recipes.items()}
        if CANDIDATES in images:
            return f" (recipe {self._preset}: {images[CANDIDATES]} each)"
        if TEACHERS in images:
            count = self.request.teachers
            return f" ({count} teachers of {images[TEACHERS]}, units of {images[UNITS]})"
        return f" (finalists by training on {images[FINALISTS]})" if FINALISTS in images else ""

    def to_json(self, *, here: bool = True) -> dict[str, Any]:
        """Return it with device, precision and versions, as JSON.

        Args:
            here: whether this process and its children train; else what device others have is
                not known.
        """
        from hwnas.train.environment import device_name, precision, versions

        made: dict[str, Any] = {
            "evaluator": self.request.evaluator,
            "preset": self._preset,
            "recipes": {name: asdict(recipe) for name, recipe in self.recipes.items()},
            "seed": self.request.seed,
            "versions": versions(),
            **dict.fromkeys(("dataset", "proxy", "device", "device_name", "precision")),
        }
        if (setting := self.setting) is None:
            return made
        where, selection = setting.torch_device, setting.selection.to_json()
        return made | {
            "dataset": setting.dataset,
            **({"selection": selection} if selection else {}),
            "proxy": asdict(setting.space),
            "device": setting.device,
            "device_name": device_name(where) if here else None,
            "precision": precision(where),
            "versions": versions(where),
            **({"unit_precision": "fp32"} if UNITS in self.recipes else {}),
        }
