"""Exports: what is handed over computes what it should, and nothing else is handed over."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from exporting import export_network

from hwnas.errors import CheckFailed, UserError
from hwnas.files import sha256
from hwnas.graph import Shuffle
from hwnas.progress import Silent
from hwnas.spaces import PUBLISHED, RcnetSpace, find_space
from hwnas.targets.formats import FORMATS, find_format
from hwnas.targets.shared.artifact import Artifact
from hwnas.targets.shared.format import PRECISIONS, Content
from hwnas.targets.shared.half import half
from hwnas.workflows.export import accuracy
from hwnas.workflows.export import parity as parities
from hwnas.workflows.winner import Winner

if TYPE_CHECKING:
    from pathlib import Path

    from hwnas.targets.shared.format import Format

SMALL = find_space("rcnet", input_size="16", classes=10, width=0.25)
ALL = [(form, precision) for form in FORMATS for precision in PRECISIONS]


def random_winner(space: RcnetSpace, seed: int) -> Winner:
    return Winner(space, space.sample(np.random.default_rng(seed)), seed=seed)


def test_random_architectures_pass_parity_in_every_format(
    tmp_path: Path, architectures: int
) -> None:
    """Float32 in every format, and of each network one smaller precision in each format."""
    for seed in range(architectures):
        winner = random_winner(SMALL, seed)
        for form in FORMATS:
            about = export_network(winner, form, "fp32", tmp_path)
            assert about["parity"]["max_rel"] <= 1e-4, (seed, form)
            assert about["parity"]["top1_agreement"] == 1, (seed, form)
            if form != "mlprogram" or seed % 10 == 0:  # two seconds each
                export_network(winner, form, ("fp16", "int8")[seed % 2], tmp_path)


@pytest.mark.parametrize(("form", "precision"), ALL)
def test_the_published_imagenet_network_in_every_precision(
    form: str, precision: str, tmp_path: Path
) -> None:
    space = find_space("rcnet-imagenet")
    winner = Winner(space, space.canonical(space.parse(PUBLISHED["rcnet-imagenet"])))
    about = export_network(winner, form, precision, tmp_path)
    whole = space.graph(winner.arch).weight_bytes
    share = about["size_bytes"] / whole
    assert share <= {"fp32": 1.02, "fp16": 0.52, "int8": 0.30}[precision]
    path = tmp_path / about["file"]
    written = Artifact.read(path)
    assert (written.size_bytes, written.sha256) == (about["size_bytes"], about["sha256"])
    name = form if precision == "fp32" else f"{form}-{precision}"
    assert json.loads((tmp_path / f"{name}.json").read_text()) == about
    if precision == "fp32":
        assert about["parity"]["max_rel"] <= 1e-4
        assert "precision_effect" not in about
    else:
        assert about["parity"]["reference"].startswith(f"its {precision} arithmetic")
        assert about["precision_effect"]["rms_rel"] > about["parity"]["rms_rel"] / 2


def wrong_shuffle(content: Content) -> Content:
    nodes = tuple(
        dataclasses.replace(node, op=Shuffle(node.shape[0] // 2))
        if isinstance(node.op, Shuffle)
        else node
        for node in content.graph
    )
    return dataclasses.replace(content, graph=dataclasses.replace(content.graph, nodes=nodes))


@dataclasses.dataclass(frozen=True)
class Wrong:
    """A format whose emitter shuffles wrongly."""

    right: Format

    def __getattr__(self, name: str) -> Any:
        return getattr(self.right, name)

    def emit(self, content: Content) -> Artifact:
        return self.right.emit(wrong_shuffle(content))


@pytest.mark.parametrize(("form", "precision"), ALL)
def test_a_wrong_file_is_refused_and_leaves_nothing(
    form: str, precision: str, tmp_path: Path
) -> None:
    arch = SMALL.add(SMALL.add(SMALL.start(), (1, 2)), (13, 4))
    winner = Winner(SMALL, SMALL.canonical(arch))
    wrong = Wrong(find_format(form))
    with pytest.raises(CheckFailed, match="Nothing was written"):
        export_network(winner, wrong, precision, tmp_path)
    assert not list(tmp_path.iterdir())


def test_not_a_number_fails_parity() -> None:
    found = np.full((2, 3), np.nan)
    parity = parities.Parity(
        **dataclasses.asdict(parities.difference(found, np.ones((2, 3)))),
        images=2, outputs="logits", executor="test", reference="ones", measure="max_rel",
        limit=1.0,
    )  # fmt: skip
    with pytest.raises(CheckFailed, match="differs from ones"):
        parity.require("the file", "look again")


def test_weights_beyond_float16_are_refused() -> None:
    with pytest.raises(CheckFailed, match="float16 ends at 65504"):
        half(np.array([1.0, -70000.0], np.float32), "layer")


def test_an_artifact_is_one_file_or_a_folder(tmp_path: Path) -> None:
    single = Artifact.single(b"abc")
    single.write(tmp_path / "one")
    assert Artifact.read(tmp_path / "one") == single
    assert single.sha256 == sha256(b"abc")
    folder = Artifact({"a.json": b"1", "data/b.bin": b"22"})
    folder.write(tmp_path / "many")
    folder.write(tmp_path / "many")  # replaces the first
    assert Artifact.read(tmp_path / "many") == folder
    assert folder.size_bytes == 3
    assert folder.sha256 != Artifact({"a.json": b"1", "data/b.bin": b"23"}).sha256
    with pytest.raises(ValueError, match="one file or a folder"):
        Artifact({"": b"1", "a": b"2"})


# A trained network: calibration on its data, accuracy on held-out images ------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Winner:
    """The start network after some thousand images: far from chance, far from perfect."""
    from hwnas.data.catalog import find_dataset
    from hwnas.train.full.checkpoint import Job
    from hwnas.train.full.training import train_final
    from hwnas.train.recipe import final_recipe

    space, checkpoint = find_space("rcnet-digits"), tmp_path_factory.mktemp("t") / "checkpoint.pt"
    data = find_dataset("cluttered-digits")
    arch = space.canonical(space.start())
    train_final(Job(space.graph(arch), data, final_recipe(8000, 1), 0, checkpoint), Silent())
    return Winner(space, arch, dataset="cluttered-digits", checkpoint=checkpoint)


@pytest.mark.parametrize("form", FORMATS)
def test_fewer_bits_report_what_they_cost_in_accuracy(
    form: str, trained: Winner, tmp_path: Path
) -> None:
    for precision in ("fp16", "int8"):
        about = export_network(trained, form, precision, tmp_path, images=300, max_drop=5)
        accuracy = about["precision_effect"]["accuracy"]
        assert accuracy["images"] == 300
        assert 0.2 < accuracy["float_top1"] < 1
        assert abs(accuracy["top1"] - accuracy["float_top1"]) <= 0.05
        assert accuracy["drop_points"] == 100 * (accuracy["float_top1"] - accuracy["top1"])
        assert accuracy["agreement"] > 0.9


def test_a_file_that_loses_too_much_is_refused(
    trained: Winner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def constant(*_: Any) -> Any:
        return dataclasses.replace(real(*_), top1=0.1)

    real = accuracy.measured_accuracy
    monkeypatch.setattr(accuracy, "measured_accuracy", constant)
    with pytest.raises(CheckFailed, match=r"loses .* more than --max-drop 2"):
        export_network(trained, "onnx", "int8", tmp_path, images=100)
    assert not list(tmp_path.iterdir())


def test_8_bits_of_a_checkpoint_need_its_data(trained: Winner, tmp_path: Path) -> None:
    alone = dataclasses.replace(trained, dataset=None)
    with pytest.raises(UserError, match="calibrated on training images"):
        export_network(alone, "onnx", "int8", tmp_path)
