"""Target profiles: the shipped ones load, wrong ones are one clear line."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwnas.device import describe_host, find_target, is_target, target_names, temperature
from hwnas.errors import UserError
from hwnas.harness import HARNESSES
from hwnas.spaces import find_space

GOOD = 'title = "T"\nruntime = "coreml"\nexport_format = "coreml"\ndefault_space = "rcnet-digits"\n'
ANCHOR = '[[anchors]]\nnetwork = "s0"\nspace = "rcnet-digits"\nlatency_ms = 9.5\nsource = "x"\n'
ESTIMATION = """[estimation]
dense_gmadds = 2.5
grouped_gmadds = 1.8
depthwise_gmadds = 0.7
memory_gbps = 3.0
op_overhead_ms = 0.1
"""


def test_shipped_profiles_load() -> None:
    assert {"onnx-cpu", "iphone5s"} <= set(target_names())
    for name in ("onnx-cpu", "iphone5s"):
        assert find_target(name).name == name


def test_the_iphones_say_what_core_ml_may_use() -> None:
    old, recent = find_target("iphone5s"), find_target("iphone")
    assert (old.export_format, recent.export_format) == ("coreml", "mlprogram")
    assert {old.compute_units, recent.compute_units} == {"all"}
    assert {old.harness, recent.harness} == {"ios"}
    assert find_target("onnx-cpu").compute_units is None


def test_a_profile_in_the_working_folder_is_a_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "mine.toml").write_text(GOOD)
    assert "mine" in target_names()
    assert find_target("mine").title == "T"
    (tmp_path / "profiles" / "mine.toml").write_text(GOOD + ANCHOR + ESTIMATION)
    assert find_target("mine").anchors[0].latency_ms == 9.5
    assert find_target("mine").estimation is not None


def test_a_profile_of_hwnas_home_comes_after_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HWNAS_HOME", str(tmp_path / "home"))
    for folder, title in (("home/profiles", "home"), ("profiles", "here")):
        (tmp_path / folder).mkdir(parents=True)
        for name in ("onnx-cpu", title):
            text = GOOD.replace('"T"', f'"{title}"')
            (tmp_path / folder / f"{name}.toml").write_text(text)
    assert find_target("onnx-cpu").title == "here"
    assert find_target("home").title == "home"
    assert find_target("iphone5s").anchors


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("title =", "mine"),
        (GOOD + 'colour = "red"\n', "colour"),
        (GOOD.replace("coreml", "abacus", 1), "unknown runtime 'abacus'"),
        (GOOD + "threads = 0\n", "at least 1"),
        ('title = "T"\n', "missing"),
        (GOOD + "[[anchors]]\nnetwork = 'a'\n", "missing"),
        (GOOD + ANCHOR.replace("9.5", "0"), "latency_ms of an anchor must be a number above zero"),
        (GOOD + ANCHOR.replace("9.5", "'9.5'"), "latency_ms of an anchor must be a number"),
        (GOOD + ESTIMATION.replace("2.5", "-2.5"), "dense_gmadds must be a number above zero"),
        (GOOD + ESTIMATION.replace("2.5", "nan"), "dense_gmadds must be a number above zero"),
        (GOOD + ESTIMATION + "spread = 0\n", "spread must be a number above zero"),
        (GOOD + "anchors = 3\n", "not iterable"),
        (GOOD + "estimation = 3\n", "must be a mapping"),
        (GOOD + "threads = 'two'\n", "threads must be at least 1"),
        (GOOD + "watts = '3'\n", "watts must be a number above zero"),
        (GOOD + "watts = -1\n", "watts must be a number above zero"),
        (GOOD + "compute_units = 'npu'\n", "unknown compute_units 'npu'"),
        (
            GOOD.replace("coreml", "tflite", 1) + "compute_units = 'all'\n",
            "compute_units are of runtime coreml, not of tflite",
        ),
        (GOOD + "networks_at_once = 0\n", "networks_at_once must be at least 1"),
        (GOOD + "harness = 'mac'\n", "unknown harness 'mac'"),
        (GOOD + "harness = 'android'\n", "harness 'android' runs tflite, not 'coreml'"),
        (GOOD + "hottest_c = 500\n", "hottest_c must be a number from 20 to 150"),
        (GOOD + "cool_down_s = '1'\n", "cool_down_s must be a number from 0 to 600"),
    ],
)
def test_a_wrong_profile_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "mine.toml").write_text(text)
    with pytest.raises(UserError, match=told) as error:
        find_target("mine")
    assert "\n" not in str(error.value)
    assert str(Path("profiles", "mine.toml")) in str(error.value)


def test_an_unknown_target_gets_a_suggestion() -> None:
    with pytest.raises(UserError, match="Did you mean 'iphone5s'"):
        find_target("iphone5")


def test_the_host_is_described() -> None:
    assert all(describe_host()[name] for name in ("cpu", "cores", "os", "machine", "python"))


def test_a_number_of_threads_makes_a_target_of_its_own() -> None:
    one, four = find_target("onnx-cpu"), find_target("onnx-cpu-t4")
    assert (four.name, four.threads, four.runtime) == ("onnx-cpu-t4", 4, one.runtime)
    assert is_target("onnx-cpu-t4")
    assert not is_target("onnx-cpu-t0")
    assert not is_target("nothing-t4")
    with pytest.raises(UserError, match="unknown target"):
        find_target("nothing-t4")


def test_the_temperature_is_that_of_the_hottest_zone(tmp_path: Path) -> None:
    assert temperature(tmp_path) == "not readable"
    for number, text in enumerate(("41000\n", "56500\n", "broken")):
        zone = tmp_path / f"thermal_zone{number}"
        zone.mkdir()
        (zone / "temp").write_text(text)
    assert temperature(tmp_path) == "56 C"


def test_the_harness_follows_from_the_runtime_and_can_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "profiles").mkdir()
    path = tmp_path / "profiles" / "mine.toml"
    path.write_text(GOOD)
    assert find_target("mine").harness == "ios"
    path.write_text(GOOD.replace("coreml", "tflite"))
    assert find_target("mine").harness == "linux"
    path.write_text(GOOD.replace("coreml", "tflite") + 'harness = "android"\n')
    assert find_target("mine").harness == "android"


def test_watts_hold_for_the_number_of_threads_that_they_were_given_for() -> None:
    board = find_target("raspberry-pi-4")
    assert board.watts is not None
    assert find_target("raspberry-pi-4-t4").watts == board.watts
    assert find_target("raspberry-pi-4-t1").watts is None


@pytest.mark.parametrize("name", target_names())
def test_a_shipped_profile_says_all_that_its_harness_needs(name: str) -> None:
    profile = find_target(name)
    assert profile.runtime in HARNESSES[profile.harness]
    assert (profile.watts is None) == (profile.watts_source is None)
    assert find_space(profile.default_space).name == profile.default_space
