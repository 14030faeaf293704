"""What the documentation names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(
    page.relative_to(ROOT).as_posix()
    for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("export/**/*.md"))
)
NAMED = re.compile(r"`((?:hwnas|tests|benchmarks|docs|profiles)/[\w./-]+)[`: ]")
LINKED = re.compile(r"\]\(([^)#:\s]+)\)")


@pytest.mark.parametrize("page", PAGES)
def test_files_and_links_of_a_page_are_there(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    named = [ROOT / name for name in NAMED.findall(text) if not re.search(r"NAME|test_x", name)]
    linked = [(ROOT / page).parent / link for link in LINKED.findall(text)]
    missing = [str(path) for path in [*named, *linked] if not path.exists()]
    assert not missing


def test_the_walk_names_files_that_hold_what_it_says():
    """Each step of the walk has at least one link into the code."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    walk = text[text.index("## A walk") :]
    steps = re.findall(r"^\d+\. .*?(?=^\d+\. |^## |\Z)", walk, re.MULTILINE | re.DOTALL)
    assert len(steps) >= 9
    assert all(LINKED.search(step) for step in steps[:9])
