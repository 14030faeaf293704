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


WRONG = ["", "ms", "1.2.3ms", "nanms", "infms", "0ms", "-1ms", "1e999ms", "1e-999ms"]


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_latency_names_the_quantity_and_an_example(text: str) -> None:
    with pytest.raises(UserError, match=r"^latency: [^\n]*$") as error:
        LATENCY.parse(text)
    assert repr(text) in str(error.value)
    assert "190ms" in str(error.value)


@pytest.mark.parametrize("text", ["5", "5 bananas", "5mS", "nan", "five"])
@pytest.mark.parametrize("name", sorted(DIMENSIONS))
def test_a_number_without_a_known_unit_names_the_units(name: str, text: str) -> None:
    with pytest.raises(UserError, match=rf"^{name}: ") as error:
        DIMENSIONS[name].parse(text)
    units = str(error.value).partition("units: ")[2].rstrip(".)").split(", ")
    assert units == list(DIMENSIONS[name].units)


@given(st.text(max_size=8))
def test_no_text_gets_past_the_parser_but_a_finite_number_above_zero(text: str) -> None:
    try:
        value = LATENCY.parse(text)
    except UserError:
        return
    assert 0 < value < float("inf")
