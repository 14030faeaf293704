"""MediaPipe and TFLite's Task Library themselves read `--mediapipe` files, in every precision."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from exporting import export_network

from hwnas.spaces import find_space
from hwnas.targets.formats import find_format
from hwnas.targets.shared.artifact import Artifact
from hwnas.workflows.winner import Winner

READERS = Path(__file__).parent / "readers"
ROOT = Path(__file__).parent.parent
SMALL = find_space("rcnet", input_size="32", classes=10, width=0.25)
WINNER = Winner(SMALL, SMALL.canonical(SMALL.add(SMALL.start(), (1, 2))))


def _reader(name: str, environment: str) -> object:
    default = ROOT / ".venv" / name / "bin/python"
    python = Path(os.environ.get(environment, default))
    missing = pytest.mark.skipif(
        not python.exists(), reason=f"no {python}: make mediapipe, or ${environment}"
    )
    script = READERS / f"{name.replace('-', '_')}_scores.py"
    return pytest.param([str(python), str(script)], marks=missing, id=name)


MEDIAPIPE = _reader("mediapipe", "HWNAS_TEST_MEDIAPIPE_PYTHON")
BOTH = [MEDIAPIPE, _reader("task-library", "HWNAS_TEST_TASK_LIBRARY_PYTHON")]


def _classified(reader: list[str], model: str, image: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": ""}
    return subprocess.run(
        [*reader, model, str(image)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=environment,
    )


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8))
    return path


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("reader", BOTH)
def test_a_file_for_mediapipe_gives_the_same_scores_there(
    reader: list[str], precision: str, image: Path, tmp_path: Path
) -> None:
    form = find_format("tflite", pixels=True)
    about = export_network(WINNER, form, precision, tmp_path)
    images = WINNER.image_input()
    (ours,) = form.execute(Artifact.read(Path(about["file"])), np.load(image)[None], images)
    done = _classified(reader, about["file"], image)
    assert done.returncode == 0, done.stderr
    theirs = json.loads(done.stdout.splitlines()[-1])
    mine = dict(zip(images.labels, ours.tolist(), strict=True))
    assert max(theirs, key=theirs.get) == max(mine, key=mine.get)
    assert len(theirs) >= 5
    assert theirs == pytest.approx({label: mine[label] for label in theirs}, abs=1e-3)


@pytest.mark.parametrize("reader", [MEDIAPIPE])
@pytest.mark.parametrize(("precision", "reason"), [
    ("fp32", "Per-channel image normalization is not available"), ("int8", "got INT8"),
])  # fmt: skip
def test_mediapipe_refuses_the_ordinary_files(
    reader: list[str], precision: str, reason: str, image: Path, tmp_path: Path
) -> None:
    """Why there is an option; the day this fails, it may go."""
    about = export_network(WINNER, "tflite", precision, tmp_path)
    done = _classified(reader, about["file"], image)
    assert done.returncode != 0
    assert reason in done.stderr
