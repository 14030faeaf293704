"""Tables on disk: what was saved is loaded, and damage never becomes a number."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tables import DIGITS, table

from hwnas.errors import TableError, UserError
from hwnas.files import sha256
from hwnas.lut.accuracy import compare, conformal_margin
from hwnas.lut.library import Library
from hwnas.lut.storage import load, save
from hwnas.lut.table import Row, Table

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "lut" / "onnx-cpu" / "rcnet-digits"
    save(table(watts=3.0), place)
    return place


def test_a_table_is_loaded_as_it_was_saved(folder: Path) -> None:
    before, after = table(watts=3.0), load(folder)
    assert list(after.rows) == list(before.rows)
    for key, row in before.rows.items():
        assert after.rows[key].latency_ms == pytest.approx(row.latency_ms, rel=1e-8)
        assert after.rows[key].energy_mj == pytest.approx(row.energy_mj, rel=1e-5)
        assert after.rows[key].params == row.params
    assert after.margin(0.95) == pytest.approx(before.margin(0.95), rel=1e-6)
    assert after.space == DIGITS
    frame = after.frame()
    assert len(frame) == len(before.rows)
    assert frame["latency_ms"].min() > 0


def _edit(folder: Path, change: Callable[[list[str]], list[str]], *, signed: bool) -> None:
    """Change the lines of table.csv; `signed` makes meta.json agree, as a forger would."""
    path = folder / "table.csv"
    text = "\n".join(change(path.read_text().splitlines())) + "\n"
    path.write_text(text)
    if signed:
        meta = json.loads((folder / "meta.json").read_text())
        meta |= {"rows": text.count("\n") - 1, "table_sha256": sha256(text.encode())}
        (folder / "meta.json").write_text(json.dumps(meta))


def _with(column: int, value: str) -> Callable[[list[str]], list[str]]:
    """Set one field of the third row."""

    def change(lines: list[str]) -> list[str]:
        fields = lines[3].split(",")
        fields[column] = value
        return [*lines[:3], ",".join(fields), *lines[4:]]

    return change


DAMAGE = {
    "truncated": (lambda lines: lines[:20], False, "truncated"),
    "a byte changed": (_with(5, "12345"), False, "was changed after it was made"),
    "NaN": (_with(7, "nan"), True, "line 4"),
    "negative": (_with(7, "-1.0"), True, "line 4"),
    "zero": (_with(7, "0"), True, "line 4"),
    "infinite": (_with(7, "inf"), True, "line 4"),
    "no number": (_with(7, "fast"), True, "line 4"),
    "energy below zero": (_with(11, "-1"), True, "line 4"),
    "unknown source": (_with(15, "guessed"), True, "line 4"),
    "field missing": (lambda ls: [*ls[:3], ls[3].rpartition(",")[0], *ls[4:]], True, "line 4"),
    "row twice": (lambda lines: [*lines, lines[3]], True, "is there twice"),
    "row missing": (lambda lines: lines[:3] + lines[4:], True, "has no row for"),
    "wrong unit column": (
        lambda ls: [ls[0].replace("latency_ms", "latency_us"), *ls[1:]],
        True,
        "'latency_ms'",
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_one_line_with_file_and_remedy(folder: Path, kind: str) -> None:
    change, signed, told = DAMAGE[kind]
    _edit(folder, change, signed=signed)
    with pytest.raises(TableError, match=told) as error:
        load(folder)
    assert "hwnas profile --target onnx-cpu --space rcnet-digits" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["meta.json", "table.csv", "validation.csv"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(UserError, match=name):
        load(folder)


@pytest.mark.parametrize("text", ["{", '{"schema": 2}', "[]", '{"schema": 1}'])
def test_a_wrong_meta_file_is_refused(folder: Path, text: str) -> None:
    (folder / "meta.json").write_text(text)
    with pytest.raises(UserError, match=r"meta\.json"):
        load(folder)


def test_a_missing_key_never_becomes_a_default() -> None:
    whole = table()
    key = DIGITS.lookup_keys()[7]
    rows = {k: row for k, row in whole.rows.items() if k != key}
    with pytest.raises(TableError, match=str(key)):
        Table("onnx-cpu", DIGITS, rows, whole.meta)


def test_a_row_checks_itself() -> None:
    with pytest.raises(ValueError, match="must hold"):
        Row(1, 1, 1.0, 1.1, 1.2, 1.0, None, 1, 1, 1, "measured")


def test_the_workspace_comes_before_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HWNAS_HOME", str(tmp_path / "home"))
    library = Library(tmp_path / "here")
    with pytest.raises(TableError, match="hwnas profile --target onnx-cpu"):
        library.find("onnx-cpu", "rcnet-digits")
    with pytest.raises(UserError, match="unknown target"):
        library.find("toaster", "rcnet-digits")
    save(table(watts=1.0), tmp_path / "home" / "lut" / "onnx-cpu" / "rcnet-digits")
    assert library.latest() is None
    assert library.find("onnx-cpu", "rcnet-digits").meta["energy_source"] == "estimated"
    save(table(), library.folder("onnx-cpu", "rcnet-digits"))
    assert library.find("onnx-cpu", "rcnet-digits").meta["energy_source"] == "unknown"
    assert library.latest() == ("onnx-cpu", "rcnet-digits")
    assert ("onnx-cpu", "rcnet-digits") in library.names()


def test_the_conformal_margin_covers_fresh_networks() -> None:
    rng, covered = np.random.default_rng(0), []
    for _ in range(300):
        residuals = rng.standard_t(4, size=140) * 0.02
        margin = conformal_margin(np.ones(40), 1 + residuals[:40], 0.95)
        covered.append((residuals[40:] <= margin).mean())
    assert np.mean(covered) >= 0.945
    assert conformal_margin(np.ones(10), np.ones(10), 0.95) == float("inf")
    assert conformal_margin(np.ones(40), 0.5 * np.ones(40), 0.95) == 0


def test_the_gate_names_what_failed() -> None:
    measured = np.linspace(1, 5, 40)
    assert compare(measured, measured).gate() == []
    bad = compare(measured[::-1], measured).gate()
    assert len(bad) == 3
    assert compare(measured[:9], measured[:9]).gate() == ["9 networks < 30"]
    assert compare(measured * np.nan, measured).gate()
