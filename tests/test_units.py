"""Quantities: what is written is what is read; everything else is one clear line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.errors import UserError
from hwnas.units import DIMENSIONS, LATENCY, PARAMS


@given(
    st.sampled_from(sorted(DIMENSIONS)),
    st.floats(min_value=1e-3, max_value=1e15, allow_nan=False),
)
def test_what_is_formatted_parses_to_four_digits(name: str, value: float) -> None:
    dimension = DIMENSIONS[name]
    assert dimension.parse(dimension.format(value)) == pytest.approx(value, rel=1e-3)


@pytest.mark.parametrize(
    ("text", "ms"), [("190ms", 190), ("0.19s", 190), ("1500us", 1.5), (" 2e1 ms ", 20)]
)
def test_latency_units(text: str, ms: float) -> None:
    assert LATENCY.parse(text) == pytest.approx(ms)


def test_counts_take_k_and_m() -> None:
    assert (PARAMS.parse("3.4M"), PARAMS.parse("250k")) == (3.4e6, 250e3)


@pytest.mark.parametrize("text", ["190", "3 bananas", "ms", "", "1.2.3ms", "nanms", "-1ms", "0ms"])
def test_a_wrong_latency_names_the_quantity_and_an_example(text: str) -> None:
    with pytest.raises(UserError, match="latency: ") as error:
        LATENCY.parse(text)
    assert "ms" in str(error.value)


@pytest.mark.parametrize("name", sorted(DIMENSIONS))
def test_a_bare_number_names_the_units(name: str) -> None:
    with pytest.raises(UserError, match="has no unit") as error:
        DIMENSIONS[name].parse("5")
    assert all(unit in str(error.value) for unit in DIMENSIONS[name].units)
