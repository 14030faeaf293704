"""`hwnas lut show` and `lut diff`: every key at its place, and comparisons whose truth is known."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import pytest
from tables import DIGITS, table
from typer.testing import CliRunner

from hwnas.cli.app import app
from hwnas.cli.lut.heat_map import LEVELS, Scale
from hwnas.lut.stages import ends, places
from hwnas.lut.storage import save
from hwnas.spaces import SPACES, find_space

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from hwnas.lut.table import Table

ALL_SPACES = [*SPACES.values(), find_space("rcnet", input_size="96", classes=20, width=0.5)]
MAP_WIDTH = 80


def lut(workspace: Path, *arguments: str, code: int = 0) -> Result:
    done = CliRunner().invoke(app, ["lut", *arguments, "--workspace", str(workspace)])
    assert done.exit_code == code, done.output
    return done


def scaled(before: Table, factor: float, block: str) -> Table:
    """The table of a device on which one block type takes `factor` times as long."""
    rows = {
        key: dataclasses.replace(
            row,
            latency_ms=row.latency_ms * factor,
            latency_low_ms=row.latency_low_ms * factor,
            latency_high_ms=row.latency_high_ms * factor,
        )
        if key.block == block
        else row
        for key, row in before.rows.items()
    }
    return dataclasses.replace(before, rows=rows)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    save(table(), tmp_path / "lut" / "onnx-cpu" / "rcnet-digits")
    return tmp_path


@pytest.mark.parametrize("space", ALL_SPACES, ids=lambda space: space.name)
def test_every_key_stands_at_its_place_and_nothing_else_does(space: object) -> None:
    assert isinstance(space, type(DIGITS))
    shown = {key for place in places(space) for key in place.keys.values()} | set(ends(space))
    assert shown == set(space.lookup_keys())
    for place in places(space):
        for key in place.keys.values():
            assert key.out_channels == space.channels(place.stage)
            stride = space.stage_strides[place.stage] if place.first else 1
            assert key.stride == stride


def test_a_scale_keeps_order_and_the_middle() -> None:
    scale = Scale.around(2.0, [1.0, 2.0, 3.0])
    assert scale.place(2.0) == pytest.approx(0.5)
    assert scale.place(1.0) < scale.place(2.0) < scale.place(3.0) <= 1
    assert Scale.over([4.0, 4.0]).place(4.0) == 0.5


def test_show_is_readable_without_colour_and_within_80_columns(workspace: Path) -> None:
    text = lut(workspace, "show").stdout
    assert "\x1b" not in text
    head, _, body = text.partition("\n\n")
    assert "40 held-out networks" in head
    assert "fp32, 1 thread" in head
    rows = body.splitlines()
    assert len(rows) == len(places(DIGITS)) + 3
    assert max(map(len, rows)) <= MAP_WIDTH
    assert any(level in body for level in LEVELS)
    largest = max(
        row.latency_ms for key, row in table().rows.items() if key.block not in ("stem", "head")
    )
    assert f"█ {1000 * largest:.3g}"[:5] in body or f"{largest:.3g}"[:4] in body


def test_show_json_holds_every_row_with_its_effect(workspace: Path) -> None:
    told = json.loads(lut(workspace, "show", "--target", "onnx-cpu", "--json").stdout)
    assert len(told["rows"]) == len(DIGITS.lookup_keys())
    for row in told["rows"]:
        assert row["effect"] == pytest.approx(row["latency_ms"] / row["raw_ms"])
        assert (row["stage"] is None) == (row["block"] in ("stem", "head"))
    assert told["unstable"] == []
    assert told["median_effect"] == pytest.approx(1 / 0.9)
    assert told["validation"]["networks"] == 40
    assert 0 < told["margin"] < 0.1


def test_effects_show_what_the_correction_did(workspace: Path) -> None:
    text = lut(workspace, "show", "--effects").stdout
    assert "white is the median, 1.11" in text
    assert text.count("1.11") > len(DIGITS.lookup_keys()) - 5


def test_unstable_keys_are_marked_and_named(tmp_path: Path) -> None:
    before = table()
    key = DIGITS.lookup_keys()[5]
    shaky = dataclasses.replace(before.rows[key], latency_high_ms=2 * before.rows[key].latency_ms)
    unstable = dataclasses.replace(before, rows={**before.rows, key: shaky})
    save(unstable, tmp_path / "lut" / "onnx-cpu" / "rcnet-digits")
    text = lut(tmp_path, "show").stdout
    assert f"1 keys, marked !: {key}" in text
    assert text.partition("\n\n")[2].count("!") >= 1


def test_show_takes_the_newest_table(workspace: Path) -> None:
    save(table(SPACES["rcnet-cifar10"]), workspace / "lut" / "onnx-cpu" / "rcnet-cifar10")
    assert "rcnet-cifar10" in lut(workspace, "show").stdout.splitlines()[0]
    asked = lut(workspace, "show", "--space", "rcnet-digits").stdout
    assert "rcnet-digits" in asked.splitlines()[0]


def test_show_without_a_table_names_the_command(tmp_path: Path) -> None:
    done = lut(tmp_path, "show", code=2)
    assert done.stderr.startswith("hwnas: there is no lookup table")
    assert "hwnas profile" in done.stderr


def test_diff_finds_the_block_that_became_cheaper(workspace: Path) -> None:
    other = workspace / "other"
    save(scaled(table(), 0.5, "t3"), other)
    first = str(workspace / "lut" / "onnx-cpu" / "rcnet-digits")
    told = json.loads(lut(workspace, "diff", first, str(other), "--json").stdout)
    assert told["median_ratio"] == pytest.approx(1)
    assert told["cheaper_in_b"] == ["t3"]
    assert told["dearer_in_b"] == []
    assert told["by_block"]["t3"] == pytest.approx(0.5)
    assert all(key.startswith("t3:") for key in told["worst"])
    assert 0.5 < told["kendall_tau"] < 1
    text = lut(workspace, "diff", "onnx-cpu", str(other)).stdout
    assert "relatively cheaper in B: t3 (-50%)" in text


def test_diff_of_a_table_with_itself_is_one(workspace: Path) -> None:
    told = json.loads(lut(workspace, "diff", "onnx-cpu", "onnx-cpu", "--json").stdout)
    assert told["kendall_tau"] == pytest.approx(1)
    assert {row["ratio"] for row in told["rows"]} == {1.0}


def test_diff_refuses_tables_of_two_schemas(workspace: Path) -> None:
    older = workspace / "older"
    save(table(), older)
    meta = json.loads((older / "meta.json").read_text())
    (older / "meta.json").write_text(json.dumps(meta | {"schema": 1}))
    (line,) = lut(workspace, "diff", "onnx-cpu", str(older), code=2).stderr.splitlines()
    assert f"{older / 'meta.json'}: schema 1, but this version of hwnas reads schema" in line


@pytest.mark.parametrize("command", ["show", "diff"])
def test_every_command_has_help_with_an_example(command: str) -> None:
    done = CliRunner().invoke(app, ["lut", command, "--help"])
    assert f"hwnas lut {command}" in done.stdout.split("Example:")[1]


def test_diff_refuses_other_spaces_and_unknown_names(workspace: Path) -> None:
    other = workspace / "other"
    save(table(SPACES["rcnet-cifar10"]), other)
    spaces = lut(workspace, "diff", "onnx-cpu", str(other), "--space", "rcnet-digits", code=2)
    assert "only tables of one space can be compared" in spaces.stderr
    unknown = lut(workspace, "diff", "onnx-cpu", "toaster", code=2)
    assert "unknown target 'toaster'" in unknown.stderr
    missing = lut(workspace, "diff", "onnx-cpu", "nowhere/at/all", code=2)
    assert "nowhere/at/all/meta.json is missing" in missing.stderr
    for done in (spaces, unknown, missing):
        assert len(done.stderr.splitlines()) == 1
