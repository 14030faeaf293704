"""Tables on disk: what was saved is loaded, and damage never becomes a number."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from tables import DIGITS, table

from hwnas.errors import TableError, UserError
from hwnas.files import sha256
from hwnas.lut.accuracy import compare, conformal_margin, margin_certainty, margin_rank
from hwnas.lut.library import Library
from hwnas.lut.storage import PROVENANCE, load, save
from hwnas.lut.table import Row, Table, Timed

if TYPE_CHECKING:
    from collections.abc import Callable


REMEDY = "hwnas profile --target onnx-cpu --space rcnet-digits"


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
    with pytest.raises(TableError, match=name) as error:
        load(folder)
    assert REMEDY in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "\ufeff{}", '{"schema": 2}', '{"schema": 1}'])
def test_a_wrong_meta_file_is_refused(folder: Path, text: str) -> None:
    (folder / "meta.json").write_text(text)
    with pytest.raises(TableError, match=r"meta\.json") as error:
        load(folder)
    assert REMEDY in str(error.value)


META_DAMAGE = {
    "another schema": {"schema": 1},
    "no such source": {"source": "guessed"},
    "no device check": {"validation": None},
    "a check without its verdict": {"validation": {"mape": 0.01}},
    "an estimate without its doubt": {"source": "estimated"},
    "an impossible space": {"space": {"name": "x", "resolution": 2, "classes": 10, "width": 1}},
    "a space of words": {"space": "rcnet-digits"},
    "rows that are not there": {"rows": 500},
}


@pytest.mark.parametrize("kind", META_DAMAGE)
def test_wrong_provenance_is_one_line_with_file_and_remedy(folder: Path, kind: str) -> None:
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps(meta | META_DAMAGE[kind]))
    with pytest.raises(TableError) as error:
        load(folder)
    assert str(folder) in str(error.value)
    assert REMEDY in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["schema", "target", "space", "rows", "table_sha256", *PROVENANCE])
def test_provenance_that_is_missing_is_named(folder: Path, name: str) -> None:
    meta = json.loads((folder / "meta.json").read_text())
    del meta[name]
    (folder / "meta.json").write_text(json.dumps(meta))
    with pytest.raises(TableError, match=name) as error:
        load(folder)
    assert REMEDY in str(error.value)


def test_a_damaged_table_of_the_workspace_is_not_passed_over(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HWNAS_HOME", str(tmp_path / "home"))
    save(table(), tmp_path / "home" / "lut" / "onnx-cpu" / "rcnet-digits")
    (folder / "table.csv").unlink()
    with pytest.raises(TableError, match="is missing"):
        Library(tmp_path).find("onnx-cpu", "rcnet-digits")


HELD_OUT_DAMAGE = {
    "truncated": (lambda lines: lines[:-1], "networks is 39, but meta.json says 40"),
    "all lost": (lambda lines: lines[:1], "no networks"),
    "one time edited": (lambda ls: [*ls[:5], _half(ls[5]), *ls[6:]], "mape is"),
    "not finite": (lambda ls: [*ls[:5], "x,1.0,inf", *ls[6:]], "line 6"),
    "NaN": (lambda ls: [*ls[:5], "x,nan,1.0", *ls[6:]], "line 6"),
    "zero": (lambda ls: [*ls[:5], "x,0,1.0", *ls[6:]], "line 6"),
    "field missing": (lambda ls: [*ls[:5], "x,1.0", *ls[6:]], "line 6"),
    "another header": (lambda ls: ["arch,predicted_us,measured_us", *ls[1:]], "'predicted_ms'"),
}


def _half(line: str) -> str:
    arch_and_predicted, _, measured = line.rpartition(",")
    return f"{arch_and_predicted},{float(measured) / 2}"


@pytest.mark.parametrize("kind", HELD_OUT_DAMAGE)
def test_damage_to_the_held_out_check_never_moves_the_margin(folder: Path, kind: str) -> None:
    change, told = HELD_OUT_DAMAGE[kind]
    path = folder / "validation.csv"
    path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")
    with pytest.raises(TableError, match=told) as error:
        load(folder)
    assert str(path) in str(error.value)
    assert REMEDY in str(error.value)


CALIBRATION_DAMAGE = {
    "truncated": (lambda lines: lines[:-1], "2 networks, but meta.json says 3: truncated"),
    "NaN": (lambda lines: [*lines[:2], "x,nan", *lines[3:]], "line 3: times must be finite"),
    "field missing": (lambda lines: [*lines[:2], "x", *lines[3:]], "line 3: expected 2 fields"),
    "another header": (lambda lines: ["arch,measured_us", *lines[1:]], "'measured_ms'"),
}


@pytest.mark.parametrize("kind", CALIBRATION_DAMAGE)
def test_damage_to_the_networks_of_the_correction_is_told(folder: Path, kind: str) -> None:
    networks = tuple(Timed(n.arch, n.measured_ms) for n in table().held_out[:3])
    save(replace(table(), calibration=networks), folder)
    assert [n.arch for n in load(folder).calibration] == [n.arch for n in networks]
    change, told = CALIBRATION_DAMAGE[kind]
    path = folder / "calibration.csv"
    path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")
    with pytest.raises(TableError, match=told) as error:
        load(folder)
    assert str(path) in str(error.value)
    assert REMEDY in str(error.value)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["table.csv", "meta.json", "validation.csv"]),
    st.integers(0, 10**6),
    st.integers(0, 40),
    st.binary(max_size=3),
)
def test_any_damage_is_a_table_error_or_changes_no_figure(
    name: str, place: int, removed: int, inserted: bytes
) -> None:
    with TemporaryDirectory() as root:
        folder = Path(root) / "lut" / "onnx-cpu" / "rcnet-digits"
        folder.parent.mkdir(parents=True)
        whole = table(watts=3.0)
        save(whole, folder)
        data = (folder / name).read_bytes()
        place %= len(data)
        (folder / name).write_bytes(data[:place] + inserted + data[place + removed :])
        try:
            loaded = load(folder)
        except TableError as error:
            assert REMEDY in str(error)  # noqa: PT017 - either outcome is right
            return
        assert loaded.label == whole.label
        assert loaded.margin(0.95) == pytest.approx(whole.margin(0.95), rel=1e-3)
        assert loaded.space.lookup_keys() == DIGITS.lookup_keys()
        for key, row in whole.rows.items():
            assert loaded.rows[key].latency_ms == pytest.approx(row.latency_ms, rel=1e-8)


def test_shipped_tables_come_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hwnas.lut.library.shipped", lambda name: tmp_path / "shipped" / name)
    monkeypatch.setenv("HWNAS_HOME", str(tmp_path / "home"))
    library = Library(tmp_path / "here")
    roots = [tmp_path / "shipped" / "lut", tmp_path / "home" / "lut", library.own]
    for watts, root in enumerate(roots, start=1):
        save(table(watts=float(watts)), root / "onnx-cpu" / "rcnet-digits")
        row = next(iter(library.find("onnx-cpu", "rcnet-digits").rows.values()))
        assert row.energy_mj == pytest.approx(watts * row.latency_ms, rel=1e-4)


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


@pytest.mark.parametrize("count", [30, 60, 77, 100, 140])
def test_nine_tables_of_ten_cover_what_their_margin_is_meant_for(count: int) -> None:
    rng, certainty = np.random.default_rng(count), margin_certainty(count, 0.95)
    covered = []
    for _ in range(2000):
        margin = conformal_margin(np.ones(count), 1 + 0.02 * rng.standard_t(4, count), 0.95)
        covered.append(stats.t.cdf(margin / 0.02, 4))
    share = (np.array(covered) >= 0.95).mean()
    assert share == pytest.approx(certainty, abs=0.03)
    assert certainty >= 0.9 or (count == margin_rank(count, 0.95) == 30)


@given(st.integers(1, 200), st.floats(0.5, 0.999), st.floats(0.5, 0.999))
def test_a_surer_margin_is_never_tighter(count: int, one: float, other: float) -> None:
    residuals = np.random.default_rng(count).normal(0, 0.02, count)
    low, high = (
        conformal_margin(np.ones(count), 1 + residuals, confidence)
        for confidence in sorted((one, other))
    )
    assert low <= high


@given(st.integers(20, 200), st.floats(0.5, 0.95))
def test_a_margin_is_never_tighter_than_the_usual_rank(count: int, confidence: float) -> None:
    rank, usual = margin_rank(count, confidence), math.ceil((count + 1) * confidence)
    assert rank is not None
    assert usual <= rank <= count
    tighter = stats.beta.sf(confidence, rank - 1, count + 2 - rank)
    assert tighter < 0.9
    assert rank == count or margin_certainty(count, confidence) >= 0.9


def test_the_gate_names_what_failed() -> None:
    measured = np.linspace(1, 5, 40)
    assert compare(measured, measured).gate() == []
    bad = compare(measured[::-1], measured).gate()
    assert len(bad) == 3
    assert compare(measured[:9], measured[:9]).gate() == ["9 networks < 30"]
    assert compare(measured * np.nan, measured).gate()
