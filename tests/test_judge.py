"""Finalists are judged on images that scored no candidate, and that nothing is reported on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from training import write_digits

from hwnas.data import clutter
from hwnas.data.catalog import find_dataset
from hwnas.data.cluttered_digits import ClutteredDigits
from hwnas.data.forms import TrainingPixels
from hwnas.data.images import LabelledImages
from hwnas.data.splits import split_rows
from hwnas.evaluate.evaluation import Composed
from hwnas.progress import Silent
from hwnas.spaces import find_space
from hwnas.workflows.search.evaluators import scoring
from hwnas.workflows.search.options import SearchOptions
from hwnas.workflows.search.search import request_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SPACE = find_space("rcnet", input_size="8", classes=10, width=0.25)


@pytest.fixture
def digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Digits with test images, decoded into a cache of this test's own."""
    monkeypatch.setenv("HWNAS_CACHE", str(tmp_path / "cache"))
    return f"parquet:{write_digits(tmp_path / 'digits')}"


@pytest.mark.parametrize("evaluator", ["train", "distill", "zero-cost"])
def test_no_test_image_is_looked_at_while_a_network_is_chosen(
    evaluator: str, digits: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at, held_out = [], LabelledImages.held_out

    def spied(self: LabelledImages, split: str, *args: Any, **kwargs: Any) -> Iterator[Any]:
        looked_at.append(split)
        return held_out(self, split, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(LabelledImages, "held_out", spied)
    start = SPACE.canonical(SPACE.start())
    asked = SearchOptions(
        space=SPACE.name,
        dataset=digits,
        evaluator=evaluator,
        images=32,
        teachers=1 if evaluator == "distill" else None,
        workspace=tmp_path,
    )
    found = scoring(request_for(asked), Silent())
    for teacher in found.teachers:
        teacher.train(Silent())
    if isinstance(found.evaluator, Composed):
        for part in found.evaluator.parts(start):
            found.evaluator.part.evaluate(part)
    else:
        found.evaluator.evaluate(start)
    if found.screen is not None:
        found.screen.evaluate(start)
    assert set(looked_at) <= {"search"}
    assert found.judge is not None
    found.judge.evaluate(start)
    assert looked_at[-1] == "judge"
    assert set(looked_at) <= {"search", "judge"}


def test_what_is_to_be_judged_is_not_trained_on_what_judges_it(
    digits: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, seen, fetch = find_dataset(digits), [], TrainingPixels.fetch

    def spied(self: TrainingPixels, rows: np.ndarray) -> torch.Tensor:
        seen.append(rows)
        return fetch(self, rows)

    monkeypatch.setattr(TrainingPixels, "fetch", spied)
    for judged in (False, True):
        seen.clear()
        list(data.train_batches(data.train_size, 60, 8, 0, judged=judged))
        trained = set(np.concatenate(seen).tolist())
        assert not trained & set(data.splits.search.tolist())
        judge = set(data.splits.judge.tolist())
        assert len(judge) > 50
        assert (not trained & judge) if judged else (trained > judge)


def test_judged_networks_see_no_cluttered_digit_of_those_that_judge(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    splits = clutter.originals(torch.device("cpu")).splits
    rest, judge = (set(splits[name].tolist()) for name in ("unjudged", "judge"))
    assert rest | judge == set(splits["train"].tolist())
    assert not rest & judge
    seen, pick = set[int](), clutter._pick

    def spied(among: torch.Tensor, *more: Any) -> torch.Tensor:
        seen.update(among.tolist())
        return pick(among, *more)

    monkeypatch.setattr(clutter, "_pick", spied)
    data = ClutteredDigits()
    list(data.train_batches(64, 64, 8, 0, judged=True))
    assert seen == rest
    list(data.train_batches(64, 64, 8, 0))
    assert seen == rest | judge
    (_, labels), *_ = data.held_out("judge", 8, 500)
    assert torch.bincount(labels, minlength=10).min() > 20


@pytest.mark.parametrize("final", [False, True])
@pytest.mark.parametrize("per_class", [None, 4])
def test_judges_are_taken_from_the_training_images_of_every_class(
    final: bool, per_class: int | None
) -> None:
    """As many as score candidates, and never more than half of what is trained on."""
    classes = np.repeat([0, 1, 2], [400, 9, 9])
    found = split_rows(classes, "these", final=final, per_class=per_class)
    counts = [np.bincount(classes[rows], minlength=3) for rows in (found.search, found.judge)]
    trained = np.bincount(classes[found.unjudged])
    assert counts[1][0] == counts[0][0]
    assert (counts[1] <= trained).all()
    assert sorted([*found.unjudged, *found.judge]) == found.train.tolist()
    assert not set(found.judge) & {*found.search, *found.final}


def test_where_nothing_can_be_spared_the_search_images_judge() -> None:
    found = split_rows(np.array([0, 0, 0, 1, 1, 1]), "these", final=True)
    assert sorted(found.judge) == sorted(found.search)
    assert sorted(found.unjudged) == sorted(found.train)
