"""Recipes of full training: what the paper says, what a user changes, and nothing else."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.errors import UserError
from hwnas.files import fingerprint
from hwnas.train.full.presets import DEFAULT, PRESETS, Changes, full_recipe
from hwnas.train.recipe import Recipe, final_recipe

CIFAR, IMAGENET = 50_000, 1_281_167


def _rates(recipe: Recipe, train_size: int, epochs: list[int]) -> list[float]:
    """Return the learning rate in the middle of epochs, counted from 1."""
    middle = [round((epoch - 0.5) * train_size / recipe.batch_size) for epoch in epochs]
    return [recipe.learning_rate(step) for step in middle]


@pytest.mark.parametrize("change", [{"mixup": 0.2}, {"cutmix": 1}, {"erasing": 0.1}])
def test_every_change_is_another_fingerprint(change: dict[str, float]) -> None:
    plain = full_recipe(DEFAULT, CIFAR, 30, Changes())
    changed = full_recipe(DEFAULT, CIFAR, 30, Changes(**change))
    assert fingerprint(asdict(changed)) != fingerprint(asdict(plain))


def test_cifar_is_the_papers() -> None:
    recipe = full_recipe("cifar", CIFAR, 30, Changes())
    assert recipe.images == 200 * CIFAR
    assert (recipe.momentum, recipe.weight_decay, recipe.ema) == (0.9, 4e-5, None)
    rates = _rates(recipe, CIFAR, [1, 60, 61, 120, 121, 180, 181, 200])
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001, 0.0001, 0.0001])


def test_imagenet_is_the_papers() -> None:
    recipe = full_recipe("imagenet", IMAGENET, 30, Changes())
    assert recipe.images == 400 * IMAGENET
    assert (recipe.momentum, recipe.weight_decay, recipe.ema) == (0.9, 4e-5, None)
    rates = _rates(recipe, IMAGENET, [1, 200, 201, 300, 301, 400])
    assert rates == pytest.approx([0.01, 0.01, 0.001, 0.001, 0.0001, 0.0001])


def test_modern_warms_up_for_five_epochs_and_falls_to_zero_along_a_cosine() -> None:
    recipe = full_recipe("modern", CIFAR, 30, Changes())
    assert recipe.images == 300 * CIFAR
    first, middle, last = _rates(recipe, CIFAR, [6, 153, 300])
    assert first == pytest.approx(0.1, rel=1e-3)
    assert middle == pytest.approx(0.05, rel=0.02)
    assert last < 1e-5
    assert recipe.ema is not None
    assert min(recipe.label_smoothing, recipe.mixup, recipe.cutmix, recipe.erasing) > 0
    assert not recipe.decay_norms
    short = full_recipe("modern", CIFAR, 30, Changes(epochs=2))
    assert short.warmup == 0.2


def test_the_drops_of_a_shorter_training_move_along() -> None:
    recipe = full_recipe("cifar", CIFAR, 30, Changes(epochs=20))
    assert _rates(recipe, CIFAR, [6, 7, 12, 13, 18, 19]) == pytest.approx(
        [0.1, 0.01, 0.01, 0.001, 0.001, 0.0001]
    )


def test_the_default_follows_the_data() -> None:
    assert full_recipe(DEFAULT, 10_000, 6, Changes()) == final_recipe(10_000, 6)


@given(
    preset=st.sampled_from(sorted(PRESETS)),
    changes=st.fixed_dictionaries(
        {},
        optional={
            "lr": st.floats(1e-4, 1),
            "batch_size": st.integers(2, 4096),
            "weight_decay": st.floats(0, 1e-2),
            "momentum": st.floats(0, 0.99),
            "warmup_epochs": st.floats(0, 7),
            "ema": st.floats(0, 0.9999),
            "label_smoothing": st.floats(0, 0.5),
            "mixup": st.floats(0, 2),
            "cutmix": st.floats(0, 2),
            "erasing": st.floats(0, 1),
        },
    ),
)
def test_what_is_changed_is_changed_and_nothing_else(
    preset: str, changes: dict[str, float]
) -> None:
    batch = {name: value for name, value in changes.items() if name == "batch_size"}
    before = asdict(full_recipe(preset, CIFAR, 30, Changes(epochs=7, **batch)))
    after = asdict(full_recipe(preset, CIFAR, 30, Changes(epochs=7, **changes)))
    names = {"lr": "peak_lr", "warmup_epochs": "warmup"}
    for name, value in changes.items():
        wanted = {"warmup_epochs": value / 7, "ema": value or None}.get(name, value)
        assert after.pop(names.get(name, name)) == wanted
        before.pop(names.get(name, name))
    assert after == before


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"lr": float("nan")}, "--lr must be above 0, but got nan"),
        ({"lr": float("inf")}, "--lr must be above 0"),
        ({"warmup_epochs": -1}, "--warmup-epochs must be 0 or more"),
        ({"label_smoothing": 1}, "--label-smoothing must be from 0 to below 1"),
    ],
)
def test_numbers_out_of_range_are_refused(change: dict[str, float], told: str) -> None:
    with pytest.raises(UserError, match=told):
        Changes(**change)
