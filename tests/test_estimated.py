"""Estimated tables: the published anchors come out, and doubt is stated."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hwnas.device import Anchor, find_target
from hwnas.errors import UserError
from hwnas.lut.analytical import features, fit
from hwnas.profiler.estimated import estimate_table
from hwnas.spaces import PUBLISHED, SPACES, mobilenet_v2

PHONE = find_target("iphone5s")
SPACE = SPACES["rcnet-imagenet"]


def test_both_published_networks_are_predicted_within_3_5_percent() -> None:
    table = estimate_table(PHONE, SPACE)
    rcnet = table.latency_ms(SPACE.parse(PUBLISHED["rcnet-imagenet"]))
    assert rcnet == pytest.approx(183.5, rel=0.035)
    errors = {anchor["network"]: anchor["error"] for anchor in table.meta["anchors"]}
    assert abs(errors["mobilenet_v2"]) <= 0.035
    assert table.label == "ESTIMATED"
    assert {row.source for row in table.rows.values()} == {"estimated"}
    assert 0.02 < table.margin(0.95) < 0.5
    assert table.margin(0.6) < table.margin(0.95)


def test_the_table_adds_up_to_the_model() -> None:
    table = estimate_table(PHONE, SPACE)
    assert PHONE.estimation is not None
    works = [(features(mobilenet_v2(224, 1000)), 197.2)]
    works.append((features(SPACE.graph(SPACE.parse(PUBLISHED["rcnet-imagenet"]))), 183.5))
    model = fit(PHONE.estimation, works)
    arch = SPACE.sample(np.random.default_rng(3))
    assert table.latency_ms(arch) == pytest.approx(model.predict_ms(features(SPACE.graph(arch))))


def test_more_networks_leave_less_doubt_and_find_the_truth() -> None:
    assert PHONE.estimation is not None
    rng = np.random.default_rng(0)
    truth = np.array([300.0, 700.0, 900.0, 250.0, 0.2])
    works = [features(SPACE.graph(SPACE.sample(rng))) for _ in range(60)]
    test, train = works[:20], works[20:]
    few = fit(PHONE.estimation, [(work, float(work @ truth)) for work in train[:2]])
    many = fit(PHONE.estimation, [(work, float(work @ truth)) for work in train])
    assert np.mean([many.relative_sd(w) for w in test]) < np.mean(
        [few.relative_sd(w) for w in test]
    )
    errors = [abs(many.predict_ms(work) / float(work @ truth) - 1) for work in test]
    assert max(errors) < 0.01
    assert many.coefficients_ms.min() > 0


def test_nothing_to_estimate_from_is_told() -> None:
    with pytest.raises(UserError, match=r"\[\[anchors\]\]"):
        estimate_table(dataclasses.replace(PHONE, anchors=()), SPACE)


def test_an_anchor_may_be_any_architecture() -> None:
    anchor = Anchor("s0", "rcnet-imagenet", 80.0, "test")
    table = estimate_table(dataclasses.replace(PHONE, anchors=(*PHONE.anchors, anchor)), SPACE)
    assert table.latency_ms(SPACE.start()) == pytest.approx(80, rel=0.05)
