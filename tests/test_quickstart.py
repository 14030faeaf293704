"""The whole chain in one command: which commands it runs, in which order, and what it prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hwnas.cli import quickstart as shown
from hwnas.cli.app import app
from hwnas.workflows import quickstart
from hwnas.workflows.bench import bench
from hwnas.workflows.export import export
from hwnas.workflows.profile import profile
from hwnas.workflows.search import search
from hwnas.workflows.train import train

FRONTS = {"profile": profile, "search": search, "train": train, "export": export, "bench": bench}
CHAIN = list(FRONTS)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """Options of the commands that were run, none of which does anything, and what was shown."""
    found: list[tuple[str, Any]] = []
    for name, module in FRONTS.items():

        def run(options: Any, _: object, name: str = name) -> dict[str, Any]:
            found.append((name, options))
            return {"of": name, "verdict": "PASS"}

        def show(result: dict[str, Any]) -> None:
            found.append(("shown", result["of"]))

        monkeypatch.setattr(module, name, run)
        monkeypatch.setitem(shown.SHOWN, name, show)
    monkeypatch.setattr(quickstart, "_budget_ms", lambda _: 1.5)
    return found


def test_commands_run_in_order_in_one_workspace_and_each_result_is_shown_at_once(
    ran: list[tuple[str, Any]], tmp_path: Path
) -> None:
    done = CliRunner().invoke(app, ["quickstart", "--workspace", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert [name for name, _ in ran] == [word for name in CHAIN for word in (name, "shown")]
    assert [what for name, what in ran if name == "shown"] == CHAIN
    options = dict(ran[::2])
    assert {one.workspace for one in options.values()} == {tmp_path}
    assert (options["profile"].target, options["profile"].space) == ("onnx-cpu", "rcnet-digits")
    assert (options["search"].target, options["search"].space) == ("onnx-cpu", "rcnet-digits")
    assert options["search"].budget_latency == ("1.5ms",)
    assert options["bench"].target == ("onnx-cpu",)


def test_json_is_the_last_result_alone(ran: list[tuple[str, Any]]) -> None:
    done = CliRunner().invoke(app, ["quickstart", "--json"])
    assert json.loads(done.stdout) == {"of": "bench", "verdict": "PASS"}
    assert [name for name, _ in ran] == CHAIN
    assert ran[0][1].workspace == Path("runs/quickstart")


def test_a_missed_budget_is_exit_code_1(
    ran: list[tuple[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "bench", lambda *_: {"of": "bench", "verdict": "FAIL"})
    assert CliRunner().invoke(app, ["quickstart"]).exit_code == 1
    assert ran[-1] == ("shown", "bench")
