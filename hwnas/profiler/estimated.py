"""Estimate a table from published whole-network times: no device is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.device import profile_path
from hwnas.errors import UserError
from hwnas.harness import measure_command
from hwnas.lut.analytical import AnalyticalModel, features, fit, left_out_errors
from hwnas.measure import Statistic
from hwnas.profiler.clock import Place
from hwnas.profiler.tables import make_table, provenance
from hwnas.spaces import PUBLISHED, find_space, mobilenet_v2

if TYPE_CHECKING:
    from hwnas.device import Anchor, DeviceProfile
    from hwnas.graph import Graph
    from hwnas.lut.analytical import Vector
    from hwnas.lut.table import Table
    from hwnas.spaces import RcnetSpace

NETWORKS = 200
"""Random networks over which the stated uncertainty is taken."""
LEAVE_OUT = 3
"""Anchors from which on each is also predicted by the others."""


def estimate_table(profile: DeviceProfile, space: RcnetSpace) -> Table:
    """Return the ESTIMATED table of a target.

    The stated uncertainty is the 95% half-width of a prediction, 90th percentile over random
    networks of the space: of the rates, and of the model's form as measured on other devices
    (`analytical.FORM_ERROR`). A device whose form is further off may exceed it.

    Raises:
        UserError: the profile has no anchors or no assumptions to estimate from, or an anchor is
            no network.
    """
    if profile.estimation is None or not profile.anchors:
        raise UserError(
            f"{profile.title} is another machine, and its profile has no [estimation] and "
            "[[anchors]] to estimate from. Measure it: "
            f"{measure_command(profile.name, profile.harness)}"
        )
    anchors = [(_anchor_work(profile, anchor), anchor.latency_ms) for anchor in profile.anchors]
    model = fit(profile.estimation, anchors)
    left_out: list[float] | None = None
    if len(anchors) >= LEAVE_OUT:
        left_out = left_out_errors(profile.estimation, anchors)
    place = Place({"title": profile.title}, "none: nothing was run")
    meta = {
        **provenance(profile, "estimated", place),
        "uncertainty_95pct": _uncertainty(space, model),
        "form_error": model.form_error,
        "validation": None,
        "anchors": [
            _anchor_json(anchor, model.predict_ms(work))
            for anchor, (work, _) in zip(profile.anchors, anchors, strict=True)
        ],
        "left_out_errors": left_out,
    }
    works = {key: features(space.part_graph(key)) for key in space.lookup_keys()}
    return make_table(
        profile, space, meta, {key: _latency(model, work) for key, work in works.items()}
    )


def _anchor_work(profile: DeviceProfile, anchor: Anchor) -> Vector:
    try:
        return features(_anchor_graph(anchor))
    except UserError as error:
        raise UserError(
            f"{profile_path(profile.name)}: anchor {anchor.network!r} of space {anchor.space!r} is "
            f"no network: {str(error).rstrip('.')}. Write mobilenet_v2, s0, "
            f"{', '.join(PUBLISHED)} or an architecture of the space."
        ) from None


def _anchor_graph(anchor: Anchor) -> Graph:
    space = find_space(anchor.space)
    if anchor.network == "mobilenet_v2":
        return mobilenet_v2(space.resolution, space.classes, space.width)
    return space.graph(space.parse(PUBLISHED.get(anchor.network, anchor.network)))


def _latency(model: AnalyticalModel, work: Vector) -> Statistic:
    latency_ms, half_width = model.predict_ms(work), 1.96 * model.relative_sd(work)
    low_ms = latency_ms * max(0.01, 1 - half_width)
    return Statistic(latency_ms, low_ms, latency_ms * (1 + half_width), samples=0)


def _uncertainty(space: RcnetSpace, model: AnalyticalModel) -> float:
    rng = np.random.default_rng(0)
    works = [features(space.graph(space.sample(rng))) for _ in range(NETWORKS)]
    return float(np.quantile([1.96 * model.relative_sd(work) for work in works], 0.9))


def _anchor_json(anchor: Anchor, predicted_ms: float) -> dict[str, Any]:
    return {
        "network": anchor.network,
        "published_ms": anchor.latency_ms,
        "predicted_ms": predicted_ms,
        "error": predicted_ms / anchor.latency_ms - 1,
        "source": anchor.source,
    }
