"""Estimated tables: the published anchors come out, and doubt is stated."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hwnas.device import Anchor, find_target, profile_path
from hwnas.errors import UserError
from hwnas.lut.analytical import ENOUGH_ANCHORS, FORM_ERROR, features, fit
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


def test_the_stated_interval_covers_devices_that_are_no_sum_of_their_work() -> None:
    assert PHONE.estimation is not None
    rng = np.random.default_rng(0)
    rates = np.array([300.0, 700.0, 900.0, 250.0, 0.2])
    works = np.array([features(SPACE.graph(SPACE.sample(rng))) for _ in range(60)])
    covered, by_rates_alone = [], []
    for _ in range(20):
        truth = works @ rates * np.exp(rng.normal(0, FORM_ERROR, len(works)))
        order = rng.permutation(len(works))
        anchors = [(works[i], float(truth[i])) for i in order[:3]]
        for model, found in (
            (fit(PHONE.estimation, anchors), covered),
            (fit(PHONE.estimation, anchors, 0.0), by_rates_alone),
        ):
            for i in order[30:]:
                reach = 1.96 * model.relative_sd(works[i])
                found.append(abs(truth[i] / model.predict_ms(works[i]) - 1) <= reach)
    assert np.mean(covered) >= 0.95
    assert np.mean(by_rates_alone) < 0.9


def test_the_form_error_is_the_anchors_own_once_there_are_enough() -> None:
    assert PHONE.estimation is not None
    rng = np.random.default_rng(1)
    works = [features(SPACE.graph(SPACE.sample(rng))) for _ in range(30)]
    exact = [(work, float(work @ np.array([300.0, 700.0, 900.0, 250.0, 0.2]))) for work in works]
    assert fit(PHONE.estimation, exact[: ENOUGH_ANCHORS - 1]).form_error == FORM_ERROR
    assert fit(PHONE.estimation, exact).form_error < 0.5 * FORM_ERROR


def test_the_speed_of_a_device_need_not_be_known() -> None:
    assert PHONE.estimation is not None
    rng = np.random.default_rng(2)
    rates = np.array([300.0, 700.0, 900.0, 250.0, 0.2])
    works = [features(SPACE.graph(SPACE.sample(rng))) for _ in range(33)]
    for speed in (0.03, 1.0, 20.0):
        anchors = [(work, float(work @ rates * speed)) for work in works[:3]]
        model = fit(PHONE.estimation, anchors)
        errors = [abs(model.predict_ms(w) / float(w @ rates * speed) - 1) for w in works[3:]]
        assert np.mean(errors) < 0.1


def test_from_three_anchors_on_each_is_also_predicted_by_the_others() -> None:
    assert estimate_table(PHONE, SPACE).meta["left_out_errors"] is None
    anchor = Anchor("s0", "rcnet-imagenet", 80.0, "test")
    table = estimate_table(dataclasses.replace(PHONE, anchors=(*PHONE.anchors, anchor)), SPACE)
    left_out = table.meta["left_out_errors"]
    assert len(left_out) == 3
    without_last = estimate_table(PHONE, SPACE).latency_ms(SPACE.start()) / 80 - 1
    assert left_out[2] == pytest.approx(without_last)


@pytest.mark.parametrize(
    ("network", "space"),
    [("resnet50", "rcnet-imagenet"), ("s0", "imagenet"), ("1,2", "rcnet-cifar10")],
)
def test_an_anchor_that_is_no_network_is_told_with_its_file(
    shell, network: str, space: str
) -> None:
    text = profile_path("iphone5s").read_text()
    mine = shell.folder / "profiles" / "phone.toml"
    mine.parent.mkdir()
    mine.write_text(
        text + f'\n[[anchors]]\nnetwork = "{network}"\nspace = "{space}"\nlatency_ms = 1.0\n'
        'source = "test"\n'
    )
    done = shell("profile", "--target", "phone").must(2)
    assert "phone.toml" in done.err
    assert network in done.err
    assert done.err.count("\n") == 1
