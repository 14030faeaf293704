"""What users type about a table, as values: columns, names, plain numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.errors import UserError
from hwnas.spaces import TABULAR

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

EXAMPLE = (
    "hwnas search --space tabular:grid.csv --ops op1,op2,op3 --empty skip --score accuracy "
    "--cost latency=latency_ms --budget latency=12.5"
)


def table_values(
    space: str,
    ops: str | None,
    empty: str | None,
    score: str | None,
    costs: Sequence[str] | None,
    budgets: Sequence[str] | None,
) -> dict[str, Any]:
    """Return what the options say, as fields of a `TabularRequest`.

    Args:
        space: "tabular:FILE.csv".
        ops: "col1,col2,...".
        empty: an operation.
        score: a column.
        costs: "NAME=COLUMN", each.
        budgets: "NAME=VALUE", each.

    Raises:
        UserError: one is missing or cannot be read.
    """
    file = space.removeprefix(TABULAR)
    columns = [name.strip() for name in (ops or "").split(",") if name.strip()]
    given = {
        "a file": file,
        "--ops": columns,
        "--empty": empty is not None,
        "--score": score,
        "--cost": costs,
        "--budget": budgets,
    }
    if missing := [name for name, value in given.items() if not value]:
        raise UserError(f"--space {space} needs {', '.join(missing)}. For instance: {EXAMPLE}")
    return {
        # Absolute, so that `hwnas pick` finds it from any folder.
        "file": Path(file).expanduser().absolute(),
        "ops": tuple(columns),
        "empty": (empty or "").strip(),
        "score": score,
        "costs": parse_columns(costs or ()),
        "budgets": parse_numbers(budgets or ()),
    }


def parse_columns(texts: Iterable[str]) -> dict[str, str]:
    """Return the columns of "NAME=COLUMN", by name.

    Raises:
        UserError: no name, no column, or a name twice.
    """
    return _by_name("--cost", "latency=latency_ms", texts)


def parse_numbers(texts: Iterable[str]) -> dict[str, float]:
    """Return the numbers of "NAME=VALUE", by name.

    Raises:
        UserError: no name, a name twice, or no number.
    """
    return {
        name: _number(name, text)
        for name, text in _by_name("--budget", "latency=12.5", texts).items()
    }


def _by_name(option: str, example: str, texts: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        name, separator, value = (part.strip() for part in text.partition("="))
        if not (name and separator and value):
            raise UserError(f"{option} {text!r}: write for instance {option} {example}.")
        if name in found:
            raise UserError(f"two {option} for {name}: give one.")
        found[name] = value
    return found


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UserError(
            f"--budget {name}={text}: {text!r} is no number. A table's costs are plain numbers, in "
            f"the unit of their column: for instance --budget {name}=12.5."
        ) from None


def refuse_with_table(given: Mapping[str, Any]) -> None:
    """Refuse options that are for networks that can be built.

    Raises:
        UserError: one was given.
    """
    option = next((name for name, value in given.items() if value is not None), None)
    if option is None:
        return
    if resource := option.removeprefix("--budget-").removeprefix(option):
        raise UserError(
            f"{option} is for networks that are built and measured. A table's costs are plain "
            f"numbers: --cost {resource}=COLUMN --budget {resource}=VALUE."
        )
    raise UserError(
        f"{option} has no meaning with a table: its scores and costs are columns of the file."
    )


def refuse_without_table(given: Mapping[str, Any]) -> None:
    """Refuse options that are for tables only.

    Raises:
        UserError: one was given.
    """
    option = next((name for name, value in given.items() if value is not None), None)
    if option is not None:
        also = " Here budgets have units: --budget-latency 190ms." if option == "--budget" else ""
        raise UserError(f"{option} is for --space tabular:FILE.csv.{also}")
