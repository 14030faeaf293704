"""What scores the candidates of a search, and its finalists, and what it all is made with."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from hwnas.evaluate.fake import FakeEvaluator
from hwnas.spaces import find_space
from hwnas.spaces.catalog import unnamed_space
from hwnas.train.recipe import PAPER_SEARCH, QUICK, STITCH, TEACHER, UNIT
from hwnas.workflows.search.network_request import PAPER_EPOCHS
from hwnas.workflows.search.options import CUDA, PAPER, PROXY_RESOLUTION, PROXY_WIDTH
from hwnas.workflows.search.table_request import TableRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hwnas.data.dataset import Dataset
    from hwnas.evaluate.distill.teacher import Teacher
    from hwnas.evaluate.evaluation import Composed, Evaluator
    from hwnas.evaluate.setting import Setting
    from hwnas.evaluate.trainer import TrainEvaluator
    from hwnas.progress import Reporter
    from hwnas.spaces import RcnetSpace
    from hwnas.train.recipe import Recipe
    from hwnas.workflows.search.network_request import NetworkRequest
    from hwnas.workflows.search.request import Request

JUDGE_FACTOR = 3
"""Finalists of `train` are trained on so many times the images of a candidate."""

SCREENING_TEACHERS = 2
"""Teachers whose units candidates are put together from: each time a whole network is trained."""

GPU_LANES = 8
"""Networks that a GPU trains side by side: more gain little (`docs/results.md`)."""

TEACHER_FACTOR = 20
"""A teacher is trained on so many times the images of a unit."""


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


@dataclass(frozen=True, slots=True)
class Scoring:
    """Who scores.

    Attributes:
        evaluator: scores candidates, or composes their scores from those of parts.
        made_with: what all of them score with; None where nobody says.
        judge: scores the finalists, on other held-out images and with more training; None takes
            the candidates' scores as they are.
        teachers: what candidates imitate, trained before anything else.
        screen: scores the best candidates again, to choose the finalists; None takes those that
            have the best scores.
        source: what scores are, where no judge gave them.
    """

    evaluator: Evaluator | Composed
    made_with: MadeWith | None = None
    judge: Evaluator | None = None
    teachers: tuple[Teacher, ...] = ()
    screen: Evaluator | None = None
    source: str = "candidate score"


def scoring(request: NetworkRequest | TableRequest, reporter: Reporter) -> Scoring:
    """Return who scores; data is ready.

    Raises:
        UserError: the data set is unknown or cannot be read, or there is no such device.
    """
    if isinstance(request, TableRequest):
        source = f"column {request.score}"
        made = MadeWith(request, source=f"{source} of {request.file.name}")
        return Scoring(request.scores(), made, source=source)
    if request.evaluator == "fake":
        return Scoring(FakeEvaluator(request.seed), MadeWith(request))
    if request.device == CUDA:
        request.torch_device  # noqa: B018 - it has to be there before anything is downloaded
    from hwnas.data.catalog import find_dataset

    selection = request.selection
    data = find_dataset(request.dataset, request.data_dir, selection, reporter)
    from hwnas.evaluate.setting import Setting
    from hwnas.evaluate.trainer import TrainEvaluator
    from hwnas.evaluate.zero_cost import ZeroCostEvaluator

    proxy = proxy_space(
        find_space(request.space),
        len(data.labels),
        request.proxy_width or PROXY_WIDTH,
        request.proxy_resolution or PROXY_RESOLUTION,
    )
    data.prepare(proxy.resolution, reporter)
    setting = Setting(proxy, data.name, request.data_dir, request.torch_device, selection)
    short, limit_s = _short_recipe(request, data), request.time_limit_s
    candidates = TrainEvaluator(
        setting,
        short,
        request.seed,
        lanes=_lanes(setting.device, limit_s),
        time_limit_s=limit_s,
    )
    longer = replace(short, images=JUDGE_FACTOR * short.images)
    judge = replace(
        candidates, recipe=longer, split="judge", lanes=_lanes(setting.device), time_limit_s=None
    )
    if request.evaluator == "zero-cost":
        made = MadeWith(request, setting, {FINALISTS: longer})
        return Scoring(ZeroCostEvaluator(proxy), made, judge)
    if request.evaluator == "distill":
        return _distill(request, setting, judge)
    made = MadeWith(request, setting, {CANDIDATES: short, FINALISTS: longer})
    return Scoring(candidates, made, judge)


def proxy_space(space: RcnetSpace, classes: int, width: float, resolution: int) -> RcnetSpace:
    """Return the space of the same archs at another geometry; what is smaller already stays so.

    Args:
        space: what is deployed.
        classes: of the scoring data.
        width: channel multiplier at most.
        resolution: input height and width in pixels, at most.
    """
    return unnamed_space(min(resolution, space.resolution), classes, min(width, space.width))


def _short_recipe(request: NetworkRequest, data: Dataset) -> Recipe:
    """Return how a candidate is trained whose score is that of a short training."""
    if request.recipe == PAPER:
        held_out = (request.selection.held_out_per_class or 0) * len(data.labels)
        return replace(
            PAPER_SEARCH,
            images=PAPER_EPOCHS * data.train_size,
            # All that is held out of training.
            validation=max(PAPER_SEARCH.validation, held_out),
        )
    images = request.images
    if images is not None and request.evaluator == "distill":
        # All trainings become longer or shorter alike.
        images = max(1, round(QUICK.images * images / UNIT.images))
    return replace(QUICK, images=images or QUICK.images)


def _lanes(device: str, time_limit_s: float | None = None) -> int:
    """Return how many networks are trained side by side in one process.

    Where time is limited, one: the others would use up its time.
    """
    return GPU_LANES if device == CUDA and time_limit_s is None else 1


def _distill(request: NetworkRequest, setting: Setting, judge: TrainEvaluator) -> Scoring:
    from hwnas.evaluate.distill.evaluator import Committee, DistillEvaluator
    from hwnas.evaluate.distill.stitch import StitchEvaluator
    from hwnas.evaluate.distill.teacher import some_teachers

    images = request.images or UNIT.images
    recipes = {
        TEACHERS: replace(TEACHER, images=TEACHER_FACTOR * images),
        UNITS: replace(UNIT, images=images),
        TOGETHER: replace(STITCH, images=images),
        FINALISTS: judge.recipe,
    }
    folder = (request.workspace / "runs" / "teachers").resolve()
    teachers = some_teachers(setting, recipes[TEACHERS], request.seed, folder, request.teachers)
    committee = Committee(teachers, recipes[UNITS], request.time_limit_s)
    few = replace(committee, teachers=teachers[:SCREENING_TEACHERS])
    screen = StitchEvaluator(few, recipes[TOGETHER])
    made = MadeWith(request, setting, recipes)
    return Scoring(DistillEvaluator(committee), made, judge, teachers, screen)
