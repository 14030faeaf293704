"""Draw which folder of hwnas/ imports which, as docs/module-graph.md: `make docs`.

The layers are those of import-linter's contract in pyproject.toml; the arrows are what the code
imports, less those that a longer way implies.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "module-graph.md"
GROUND = 2
"""Layers at the bottom that everything may use: they are shown, their arrows are not."""

HEAD = """# Which folder imports which

Made by `make docs` from the code: do not edit. A box is a folder or file of `hwnas/`, a frame a
layer. Imports run downwards only, and never in a circle, which `make lint` checks. Arrows that a
longer way implies are left out, and so are those into the lowest box, which everything may use.

"""


def layers() -> list[list[str]]:
    """Return the layers from the top down, each with its folders; the ground is one of them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    contract = next(each for each in contracts if each.get("containers") == ["hwnas"])
    found = [layer.split(" | ") for layer in contract["layers"]]
    return [*found[:-GROUND], [name for layer in found[-GROUND:] for name in layer]]


def imports() -> dict[str, set[str]]:
    """Return what each folder imports, directly, the ground left out."""
    graph = grimp.build_graph("hwnas")
    names = [name for layer in layers()[:-1] for name in layer]
    return {
        one: {
            other
            for other in names
            if one != other
            and graph.direct_import_exists(
                importer=f"hwnas.{one}", imported=f"hwnas.{other}", as_packages=True
            )
        }
        for one in names
    }


def reach(start: str, arrows: dict[str, set[str]]) -> set[str]:
    """Return everything that can be reached from one folder."""
    found: set[str] = set()
    ahead = list(arrows[start])
    while ahead:
        name = ahead.pop()
        if name not in found:
            found.add(name)
            ahead.extend(arrows[name])
    return found


def needed(arrows: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return the arrows less those that a longer way implies."""
    return {
        one: {
            other
            for other in targets
            if not any(other in reach(between, arrows) for between in targets - {other})
        }
        for one, targets in arrows.items()
    }


def page() -> str:
    """Return the page: a Mermaid diagram, which GitHub and most editors draw."""
    *upper, ground = layers()
    lines = ["```mermaid", "flowchart TD"]
    for number, layer in enumerate(upper):
        lines += [f"  subgraph layer{number}[ ]", "    direction LR"]
        lines += [f"    m_{name}[{name}]" for name in layer]
        lines += ["  end"]
    for one, targets in needed(imports()).items():
        lines += [f"  m_{one} --> m_{other}" for other in sorted(targets)]
    lines += [f"  ground[{', '.join(sorted(ground))}]"]
    lines += [f"  layer{len(upper) - 1} ~~~ ground", "```", ""]
    return HEAD + "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
