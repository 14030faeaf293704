"""Target profiles: the shipped ones load, wrong ones are one clear line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hwnas.device import describe_host, find_target, target_names
from hwnas.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

GOOD = 'title = "T"\nruntime = "coreml"\nexport_format = "coreml"\ndefault_space = "rcnet-digits"\n'


def test_shipped_profiles_load() -> None:
    assert {"onnx-cpu", "iphone5s"} <= set(target_names())
    for name in ("onnx-cpu", "iphone5s"):
        assert find_target(name).name == name


def test_a_profile_in_the_working_folder_is_a_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "mine.toml").write_text(GOOD)
    assert "mine" in target_names()
    assert find_target("mine").title == "T"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("title =", "mine"),
        (GOOD + 'colour = "red"\n', "colour"),
        (GOOD.replace("coreml", "abacus", 1), "unknown runtime 'abacus'"),
        (GOOD + "threads = 0\n", "at least 1"),
        ('title = "T"\n', "missing"),
        (GOOD + "[[anchors]]\nnetwork = 'a'\n", "missing"),
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


def test_an_unknown_target_gets_a_suggestion() -> None:
    with pytest.raises(UserError, match="Did you mean 'iphone5s'"):
        find_target("iphone5")


def test_the_host_is_described() -> None:
    assert all(describe_host()[name] for name in ("cpu", "cores", "os", "machine", "python"))
