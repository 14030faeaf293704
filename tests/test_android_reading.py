"""What the Android harness reads: outputs, statistics, the state of a phone."""

from __future__ import annotations

import subprocess
import sys

import pytest
from android_desk import HARNESS, harness
from phones import BATTERY, THERMAL

from hwnas.bundle import probe


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "uint8"])
def test_input_and_samples_are_those_of_probe(dtype: str) -> None:
    shape = (1, 7, 9, 5)
    values = probe.given(shape, dtype)
    assert harness.given(shape, dtype) == values.tobytes()
    assert harness.sampled(values.tobytes(), shape, dtype) == list(probe.sampled(values))
    small = probe.given((1, 3), dtype)
    assert harness.sampled(small.tobytes(), (1, 3), dtype) == list(probe.sampled(small))
    with pytest.raises(ValueError, match="3 bytes instead of"):
        harness.sampled(b"123", shape, dtype)
    other = probe.sampled(values[::-1, ::-1])
    expected = probe.sampled(values)
    assert harness.distance(expected, other) == pytest.approx(probe.distance(expected, other))
    assert harness.distance(expected, [float("nan")] * len(expected)) == float("inf")


@pytest.mark.parametrize(
    ("line", "us"),
    [
        ("count=50 first=32891 curr=33978 min=32641 max=34005 avg=33209.4 std=450", 33193.163),
        ("INFO: count=3 first=10 curr=10 min=10 max=40 avg=20 std=14 p5=10 median=10 p95=40", 10),
        ("INFO: count=1 curr=905463 p5=905463 median=905463 p95=905463", 905463),
        ("INFO: count=4 curr=12(all same) p5=12 median=12 p95=12", 12),
        ("count=1 curr=633430", 633430),
    ],
)
def test_a_sample_is_the_mean_without_the_slowest_run(line: str, us: float) -> None:
    assert harness.sample_us(line) == pytest.approx(us)


@pytest.mark.parametrize("line", ["", "count=0", "count=1 curr=0", "count=2 avg=nan max=nan"])
def test_a_line_without_a_time_is_refused(line: str) -> None:
    with pytest.raises(harness.Stop, match="no usable time"):
        harness.sample_us(line)


def test_conditions_are_read_from_whatever_the_phone_tells() -> None:
    text = THERMAL.format(celsius=62.5, status=2) + BATTERY + "clock=1000000\nclock=2914000\n"
    hot = harness.conditions(text)
    assert hot["temperature_c"] == 62.5
    assert (hot["thermal_state"], hot["throttled"]) == ("moderate", True)
    assert hot["cpu_mhz"] == 2914.0
    cached = text.partition("Current temperatures")[0]
    assert harness.conditions(cached)["temperature_c"] == 99.0
    zones = "zone=41500 cpu-0-0\nzone=4200000 vbat\nzone= gpu\nzone=39000 soc-thermal\n"
    assert harness.conditions(zones)["temperature_c"] == 41.5
    assert set(harness.conditions("").values()) == {None}


def test_help_is_short_and_has_an_example() -> None:
    done = subprocess.run(
        [sys.executable, str(HARNESS), "--help"], capture_output=True, text=True, check=True
    )
    assert "Example:" in done.stdout
    assert "--serial" in done.stdout
