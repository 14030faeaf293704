"""The drawing of the module graph in docs/ is that of the code as it is."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def _script():
    place = ROOT / "docs" / "module_graph.py"
    spec = importlib.util.spec_from_file_location("module_graph", place)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def test_the_drawing_is_of_the_code_as_it_is():
    script = _script()
    assert script.PAGE.read_text(encoding="utf-8") == script.page(), (
        "where `make lint` has nothing to say of imports: make docs"
    )


def test_arrows_that_a_longer_way_implies_are_left_out():
    arrows = {"a": {"b", "c"}, "b": {"c"}, "c": set()}
    assert _script().needed(arrows) == {"a": {"b"}, "b": {"c"}, "c": set()}
