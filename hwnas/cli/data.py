"""`hwnas data ...`: commands on data sets."""

from __future__ import annotations

from typing import Any

import typer

from hwnas.cli.command import GroupedHelp, command
from hwnas.cli.console import TerminalReporter, print_json, stdout
from hwnas.workflows.data.options import DataShowOptions

LABELS_SHOWN = 6
USE = (
    (
        "use       {train:,} to train on, {search:,} to score candidates, "
        "{final:,} for the final result"
    ),
    "judges    {judge:,} of those to train on, for the finalists of a search",
)


@command(DataShowOptions)
def show(options: DataShowOptions, *, json: bool) -> None:
    """Tell what a data set was read as: images, classes, splits, size.

    folder:PATH is a folder of class folders, or of train/ and val/ with class folders.

    Example: hwnas data show folder:flowers --input 3x96x96 --check
    """
    from hwnas.workflows.data import show as workflow

    found = workflow.show(options, TerminalReporter())
    print_json(found) if json else stdout().print(*described(found), sep="\n")


def described(found: dict[str, Any]) -> list[str]:
    """Return what was found, in a few lines."""
    labels = ", ".join(found["labels"][:LABELS_SHOWN])
    more = ", ..." if found["classes"] > LABELS_SHOWN else ""
    lines = [
        f"{found['dataset']}: {found['kind']}",
        f"classes   {found['classes']}: {labels}{more}",
    ]
    if "splits" not in found:
        return lines
    parts = [part for part in ("train", "test") if found[part]]
    lines += [f"{part:<9} {_part(found[part])}" for part in parts]
    lines += [line.format(**found["splits"]) for line in USE]
    lines.append(f"size      mostly {found['typical_side']} pixels on the shorter side")
    lines += [f"training  {found['augmentation']}", f"cache     {_cache(found)}"]
    return [*lines, f"note      {found['note']}"] if found["note"] else lines


def _part(about: dict[str, Any]) -> str:
    low, high = about["per_class_min"], about["per_class_max"]
    each = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return f"{about['images']:,} images in {about['place']}, {each} of each class"


def _cache(found: dict[str, Any]) -> str:
    from hwnas.data.cache import in_bytes

    side, folder = found["stored_side"], found["cache"][0]
    about = f"{side}x{side}, {in_bytes(found['cache_bytes'])}"
    if not found["decoded"]:
        return f"not decoded yet (to {about}); --check does it now"
    damaged = f", {found['damaged']:,} damaged" if found["damaged"] else ""
    return f"decoded to {about}{damaged}, in {folder}"


app = typer.Typer(
    name="data",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Look at data sets.\n\nHow a folder or a download was read, and what it is used for.",
)
app.command("show", cls=GroupedHelp)(show)


@app.callback()
def _data() -> None:
    """Keep `show` a command of its own, though it is the only one."""
