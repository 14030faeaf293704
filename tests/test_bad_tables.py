"""Every way a table can be wrong, as a user meets it: one line, what and where, the remedy, exit 2.

Through the commands that read tables; none of them may go on with a damaged one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tables import DIGITS, table
from typer.testing import CliRunner

from hwnas.cli.app import app
from hwnas.device import describe_host, find_target
from hwnas.errors import TableError
from hwnas.files import sha256
from hwnas.lut.storage import COLUMNS, SCHEMA, save
from hwnas.lut.table import Row, Table
from hwnas.spaces import SPACES
from hwnas.targets.backend import local_backend
from hwnas.workflows.tables import check_table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PLACE = ("lut", "onnx-cpu", "rcnet-digits")
REMEDY = "hwnas profile --target onnx-cpu --space rcnet-digits"
LINE = 4

COMMANDS = {
    "show": ("lut", "show", "--target", "onnx-cpu", "--space", "rcnet-digits"),
    "predict": ("predict", "s0", "--target", "onnx-cpu", "--space", "rcnet-digits"),
    "search": (
        *("search", "--target", "onnx-cpu", "--space", "rcnet-digits"),
        *("--budget-latency", "9ms", "--evaluator", "fake", "--max-evaluations", "50"),
    ),
}


def edit(change: Callable[[list[str]], list[str]], *, signed: bool) -> Callable[[Path], None]:
    """Change the lines of table.csv; `signed` makes meta.json agree, as a forger would."""

    def damage(folder: Path) -> None:
        path = folder / "table.csv"
        text = "\n".join(change(path.read_text().splitlines())) + "\n"
        path.write_text(text)
        if signed:
            meta(rows=text.count("\n") - 1, table_sha256=sha256(text.encode()))(folder)

    return damage


def cell(column: str, value: str) -> Callable[[Path], None]:
    """Set a field of line 4."""

    def change(lines: list[str]) -> list[str]:
        fields = lines[LINE - 1].split(",")
        fields[COLUMNS.index(column)] = value
        return [*lines[: LINE - 1], ",".join(fields), *lines[LINE:]]

    return edit(change, signed=True)


def meta(**values: Any) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / "meta.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return damage


def write(name: str, text: str | bytes | None) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        if text is None:
            (folder / name).unlink()
        elif isinstance(text, bytes):
            (folder / name).write_bytes(text)
        else:
            (folder / name).write_text(text)

    return damage


def held_out(change: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / "validation.csv"
        path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")

    return damage


def another(made: Callable[[], Table]) -> Callable[[Path], None]:
    return lambda folder: save(made(), folder)


def schema_1(folder: Path) -> None:
    """A table of another schema, whose table.csv has other columns too."""
    edit(lambda ls: [line.rpartition(",")[0] for line in ls], signed=True)(folder)
    meta(schema=1)(folder)


@dataclass(frozen=True)
class Case:
    damage: Callable[[Path], None]
    told: str
    file: str = "table.csv"
    line: int | None = None
    remedy: str = field(default=REMEDY)


def renamed(old: str, new: str) -> Callable[[Path], None]:
    return edit(lambda ls: [ls[0].replace(old, new), *ls[1:]], signed=True)


CASES: Mapping[str, Case] = {
    "truncated": Case(edit(lambda ls: ls[:20], signed=False), "truncated"),
    "cut within a row": Case(
        edit(lambda ls: [*ls[:20], ls[20][:9]], signed=False), "fields", line=21
    ),
    "edited": Case(edit(lambda ls: [*ls[:-1], ls[-1].replace("100", "101")], signed=False), "SHA"),
    "empty": Case(write("table.csv", ""), "is missing", line=1),
    "not text": Case(write("table.csv", b"\xff\xfe\x00"), "cannot be read"),
    "gone": Case(write("table.csv", None), "is missing"),
    "NaN": Case(cell("latency_ms", "nan"), "finite and above zero", line=LINE),
    "negative": Case(cell("latency_ms", "-0.5"), "finite and above zero", line=LINE),
    "zero": Case(cell("latency_ms", "0"), "finite and above zero", line=LINE),
    "infinite": Case(cell("raw_ms", "inf"), "finite and above zero", line=LINE),
    "with a unit": Case(cell("latency_ms", "3ms"), "could not convert", line=LINE),
    "no number": Case(cell("params", ""), "invalid literal", line=LINE),
    "interval the wrong way": Case(cell("latency_low_ms", "9"), "must hold", line=LINE),
    "negative energy": Case(cell("energy_mj", "-1"), "energy_mj must be", line=LINE),
    "energy gone": Case(cell("energy_mj", ""), "if and only if", line=LINE),
    "energy of another source": Case(cell("energy_source", "measured"), "says", line=LINE),
    "key twice": Case(edit(lambda ls: [*ls, ls[3]], signed=True), "is there twice", line=77),
    "key missing": Case(edit(lambda ls: ls[:9] + ls[10:], signed=True), "has no row for"),
    "key of another space": Case(cell("in_channels", "77"), "is no part of", line=LINE),
    "microseconds": Case(renamed("latency_ms", "latency_us"), "'latency_us'", line=1),
    "column gone": Case(renamed("samples,", ""), "'samples'", line=1),
    "columns swapped": Case(renamed("params,madds", "madds,params"), "order", line=1),
    "another schema": Case(
        schema_1, f"schema 1, but this version of hwnas reads schema {SCHEMA}", "meta.json"
    ),
    "a later schema": Case(meta(schema=SCHEMA + 1), f"schema {SCHEMA + 1}", "meta.json"),
    "no meta": Case(write("meta.json", None), "is missing", "meta.json"),
    "meta cut": Case(write("meta.json", '{"schema": 2, "tar'), "cannot be read", "meta.json"),
    "meta without a device": Case(write("meta.json", '{"schema": 2}'), "'space'", "meta.json"),
    "meta of no space": Case(meta(space={"name": "x"}), "missing", "meta.json"),
    "no validation": Case(write("validation.csv", None), "is missing", "validation.csv"),
    "validation cut": Case(
        held_out(lambda ls: ls[:-7]), "networks is 33, but meta.json says 40", "validation.csv"
    ),
    "validation NaN": Case(
        held_out(lambda ls: [*ls[:5], "x,nan,1", *ls[6:]]), "finite", "validation.csv", line=6
    ),
    "validation edited": Case(
        held_out(lambda ls: [*ls[:5], "x,1,1", *ls[6:]]), "changed after", "validation.csv"
    ),
    "of another target": Case(
        another(lambda: replace(table(), target="iphone5s")), "holds the table of iphone5s", ""
    ),
    "of another space": Case(
        another(lambda: table(SPACES["rcnet-cifar10"])), "for rcnet-cifar10, not of onnx-cpu", ""
    ),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", CASES)
def test_a_wrong_table_is_one_line_with_file_row_and_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    folder, case = Path(*PLACE), CASES[kind]
    save(table(watts=3.0), folder)
    case.damage(folder)
    done = CliRunner().invoke(app, COMMANDS[command])
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("hwnas: ")
    assert case.told in line
    assert str(folder / case.file) in line
    assert case.remedy in line
    if case.line is not None:
        assert f"line {case.line}" in line
    assert not Path("runs").exists()


# Tables that are whole, but of another set-up ---------------------------------------------------


def local(**values: Any) -> Table:
    """A table as if it had been measured here, but for `values` of its provenance."""
    backend = local_backend("onnxruntime")
    assert backend is not None
    here = {
        "device": describe_host(),
        "runtime": {"name": "onnxruntime", "version": backend.version()},
    }
    made = table()
    return replace(made, meta={**made.meta, **here, **values})


OTHER_SETUPS = {
    "precision": {"precision": "int8"},
    "threads": {"threads": 2},
    "runtime": {"runtime": {"name": "tflite", "version": "2.3"}},
}


@pytest.mark.parametrize("command", ["predict", "search"])
@pytest.mark.parametrize("what", OTHER_SETUPS)
def test_a_table_of_another_set_up_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    save(local(**OTHER_SETUPS[what]), Path(*PLACE))
    done = CliRunner().invoke(app, [*COMMANDS[command], "--json"])
    assert done.exit_code == 2
    (line,) = done.stderr.splitlines()
    assert f"{what} " in line
    assert "does not describe this target" in line
    assert REMEDY in line


OTHER_MACHINES = {
    "cpu": {"device": {"cpu": "Cortex-A53"}},
    "onnxruntime": {"runtime": {"name": "onnxruntime", "version": "1.0.0"}},
}


@pytest.mark.parametrize("command", ["predict", "search"])
@pytest.mark.parametrize("what", OTHER_MACHINES)
def test_a_table_of_another_machine_or_version_is_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    save(local(**OTHER_MACHINES[what]), Path(*PLACE))
    done = CliRunner().invoke(app, [*COMMANDS[command], "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)
    (line,) = [text for text in done.stderr.splitlines() if "warning" in text]
    assert "was measured elsewhere" in line
    assert f"{what} " in line
    assert REMEDY in line


def test_a_table_of_this_machine_is_no_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save(local(), Path(*PLACE))
    done = CliRunner().invoke(app, COMMANDS["predict"])
    assert done.exit_code == 0
    assert done.stderr == ""


class Told:
    """A reporter that keeps its warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def info(self, message: str) -> None:
        raise AssertionError(message)

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def task(self, description: str, total: int) -> Any:
        raise AssertionError(description)


def test_a_failed_check_is_refused_or_told() -> None:
    check = {**local().meta["validation"], "failures": ["MAPE 20% > 5%"]}
    told = Told()
    with pytest.raises(TableError, match="MAPE 20%"):
        check_table(local(validation=check), told, strict=True)
    check_table(local(validation=check), told)
    (line,) = told.warnings
    assert "MAPE 20%" in line


def test_an_estimate_is_not_compared_with_this_machine() -> None:
    told = Told()
    from hwnas.profiler.estimated import estimate_table

    check_table(estimate_table(find_target("iphone5s"), DIGITS), told)
    assert told.warnings == []


def test_unknown_energy_is_no_number() -> None:
    with pytest.raises(ValueError, match="if and only if"):
        Row(1, 1, 1.0, 1.0, 1.0, 1.0, 3.0, 1, 1, 1, "measured")
