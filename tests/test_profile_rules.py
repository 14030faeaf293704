"""Options of `hwnas profile` that do not go together are refused, and those that do are not."""

from __future__ import annotations

import dataclasses
from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest

from hwnas.errors import Interrupted, UserError
from hwnas.options import flag_of, options_of
from hwnas.progress import Silent
from hwnas.workflows.profile.options import ProfileOptions
from hwnas.workflows.profile.profile import (
    EMIT,
    HERE,
    INGEST,
    LISTEN,
    MEANS_SOMETHING,
    NEEDS,
    profile,
    require_one_way,
)

if TYPE_CHECKING:
    from pathlib import Path

FIELDS = {flag_of(name, o): (name, kind) for name, (kind, o) in options_of(ProfileOptions).items()}
VALUES: dict[Any, object] = {bool: True, float: 3.0, float | None: 3.0, int | None: 3}


def given(*flags: str) -> ProfileOptions:
    """Options of which these are given."""
    fields = (FIELDS[flag] for flag in flags)
    return ProfileOptions(**{name: VALUES.get(kind, "x") for name, kind in fields})


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
        require_one_way(given(*names))
    assert str(refused.value) == told


@pytest.mark.parametrize("way", [HERE, EMIT, INGEST, LISTEN])
def test_a_way_takes_all_its_options_together(way: str) -> None:
    own = [name for name, ways in MEANS_SOMETHING.items() if way in ways]
    require_one_way(given(*([way] if way else []), *own))


def test_any_two_ways_are_refused() -> None:
    for two in combinations((EMIT, INGEST, LISTEN), 2):
        with pytest.raises(UserError, match="give one of them"):
            require_one_way(given(*two))


def test_the_command_has_these_options() -> None:
    assert {EMIT, INGEST, LISTEN, *MEANS_SOMETHING, *NEEDS, *NEEDS.values()} <= set(FIELDS)


def test_the_workflow_refuses_before_it_looks_at_anything(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="needs --power-log"):
        profile(ProfileOptions(target="no-such", power_block=2.0, workspace=tmp_path), Silent())
    with pytest.raises(UserError, match="name a device with --target"):
        profile(ProfileOptions(workspace=tmp_path), Silent())
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_after_fresh_tells_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hwnas.workflows.profile.profile.profile_here", stop)
    options = ProfileOptions(target="iphone5s", workspace=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        profile(options, Silent())
    with pytest.raises(Interrupted, match="without --fresh goes on"):
        profile(dataclasses.replace(options, fresh=True), Silent())
