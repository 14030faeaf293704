"""Options of `hwnas profile` that do not go together are refused, and those that do are not."""

from __future__ import annotations

import inspect
import re
from itertools import combinations

import pytest

from hwnas.cli.profile import profile
from hwnas.cli.profile_rules import EMIT, HERE, INGEST, LISTEN, MEANS_SOMETHING, NEEDS, check
from hwnas.errors import UserError

VALUES: dict[str, object] = {"--power-offset": 3.0, "--new-token": True, "--require-device": True}


def given(*names: str) -> dict[str, object]:
    """Everything that `profile` passes on, with these options given."""
    absent: dict[str, object] = dict.fromkeys([EMIT, INGEST, LISTEN, *MEANS_SOMETHING])
    absent |= {"--power-offset": 0.0, "--new-token": False, "--require-device": False}
    return absent | {name: VALUES.get(name, "x") for name in names}


REFUSED = [
    ((EMIT, LISTEN), "--emit, --ingest and --listen are three ways: give one of them."),
    (("--networks",), "--networks needs --emit DIR or --listen PORT."),
    (("--tls-cert",), "--tls-cert needs --listen PORT."),
    (("--new-token",), "--new-token needs --listen PORT."),
    ((EMIT, "--tls-key"), "--tls-key says nothing with --emit: leave it out."),
    ((INGEST, "--networks"), "--networks says nothing with --ingest: leave it out."),
    ((INGEST, "--space"), "--space says nothing with --ingest: leave it out."),
    ((INGEST, "--threads"), "--threads says nothing with --ingest: leave it out."),
    (("--power-offset",), "--power-offset needs --power-log CSV."),
    (("--power-block",), "--power-block needs --power-log CSV."),
    *(
        (
            (way, option),
            f"{option} is for what this machine measures itself, not for {way}: leave out one.",
        )
        for way in (EMIT, INGEST, LISTEN)
        for option in ("--power-log", "--power-offset", "--power-block", "--require-device")
    ),
]


@pytest.mark.parametrize(("names", "told"), REFUSED)
def test_options_that_do_not_go_together_are_one_line(names: tuple[str, ...], told: str) -> None:
    with pytest.raises(UserError) as refused:
        check(given(*names))
    assert str(refused.value) == told


@pytest.mark.parametrize("way", [HERE, EMIT, INGEST, LISTEN])
def test_a_way_takes_all_its_options_together(way: str) -> None:
    own = [name for name, ways in MEANS_SOMETHING.items() if way in ways]
    check(given(*([way] if way else []), *own))


def test_any_two_ways_are_refused() -> None:
    for two in combinations((EMIT, INGEST, LISTEN), 2):
        with pytest.raises(UserError, match="give one of them"):
            check(given(*two))


def test_the_command_has_these_options_and_passes_all_on() -> None:
    passed_on = set(re.findall(r'"(--[a-z-]+)": ', inspect.getsource(profile)))
    assert passed_on == {EMIT, INGEST, LISTEN, *MEANS_SOMETHING}
    assert set(NEEDS) | set(NEEDS.values()) <= passed_on
