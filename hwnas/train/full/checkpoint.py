"""Checkpoints of full training: what they are of, and whole or not there."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch

from hwnas.errors import UserError
from hwnas.files import fingerprint, write_bytes
from hwnas.models.network import Network

if TYPE_CHECKING:
    from pathlib import Path

    from hwnas.data.dataset import Dataset, Split
    from hwnas.graph import Graph
    from hwnas.train.recipe import Recipe

FORMAT = "2"
"""To be raised when older content can no longer be read."""

PARTS = frozenset({"identity", "recipe", "seconds", "training", "progress", "metrics"})
"""What every checkpoint holds; `metrics` is None until the training has finished."""

REMEDY = "`hwnas train --fresh` trains anew and keeps that one in another folder"


def best_of_checkpoint(checkpoint: Path) -> Path:
    """Return the file beside a checkpoint that holds the weights of the best epoch."""
    return checkpoint.with_name(f"{checkpoint.stem}-best{checkpoint.suffix}")


@dataclass(frozen=True, slots=True)
class Job:
    """What is trained on what, how, and where its checkpoint lies.

    Attributes:
        graph: network with a square RGB input.
        dataset: has as many classes as the graph has outputs.
        recipe: how.
        seed: of the initial weights and the order of images.
        checkpoint: where the state goes; `load_trained` reads it.
        scored_on: held-out images that score the result: all of "final", or as many of another
            split as the recipe says.
    """

    graph: Graph
    dataset: Dataset
    recipe: Recipe
    seed: int
    checkpoint: Path
    scored_on: Split = "final"

    @property
    def identity(self) -> dict[str, str]:
        """What must be equal for a training to go on, hashed, by the user's word for it."""
        return {
            "network": network_id(self.graph),
            "data set": fingerprint(self.dataset.fingerprint),
            "recipe": fingerprint(asdict(self.recipe)),
            "seed": str(self.seed),
            "format": FORMAT,
        }

    @property
    def resolution(self) -> int:
        """Height and width of the images."""
        return self.graph.input_shape[1]


def network_id(graph: Graph) -> str:
    """Return a short name of a network: another one for other layers or another geometry."""
    nodes = [[node.name, repr(node.op), *node.inputs] for node in graph]
    return fingerprint([graph.input_shape, nodes])


def load_trained(graph: Graph, checkpoint: Path) -> Network:
    """Return the network of a finished training, or of its best epoch, on the CPU.

    It is in evaluation mode.

    Raises:
        UserError: missing, damaged, unfinished, or of another network.
    """
    if not checkpoint.exists():
        raise UserError(f"{checkpoint} is missing: run `hwnas train` first.")
    saved = read(checkpoint)
    require_same(saved["identity"], {"network": network_id(graph)}, checkpoint)
    if saved["metrics"] is None:
        raise UserError(f"{checkpoint} is of an unfinished training: `hwnas train` goes on.")
    network = Network(graph)
    network.load_state_dict(saved["training"]["result"])
    return network.eval()


def read(checkpoint: Path) -> dict[str, Any]:
    """Return the content of a checkpoint, on the CPU.

    Raises:
        UserError: the file is damaged, or may not be read.
    """
    refusal = f"{checkpoint} is damaged, or no checkpoint of hwnas: remove it to train anew."
    try:
        content = checkpoint.read_bytes()
    except OSError as error:
        raise UserError(f"{checkpoint} cannot be read: {error.strerror}.") from error
    try:
        saved: dict[str, Any] = torch.load(
            io.BytesIO(content), map_location="cpu", weights_only=True
        )
        missing = PARTS - set(saved)
    except Exception as error:  # torch raises many kinds, and tells of its own insides
        raise UserError(refusal) from error
    if missing:
        raise UserError(refusal)
    return saved


def write(checkpoint: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint atomically.

    Raises:
        UserError: it cannot be written, say because the disk is full; one before stays as it is.
    """
    stream = io.BytesIO()
    torch.save(content, stream)
    write_bytes(checkpoint, stream.getvalue())


def require_same(
    saved: dict[str, str], wanted: dict[str, str], checkpoint: Path, detail: str = ""
) -> None:
    """Compare two identities.

    Args:
        saved: that of a checkpoint.
        wanted: what it has to agree with.
        checkpoint: the file, for the message.
        detail: how recipes differ, for the message.

    Raises:
        UserError: they differ; names in what.
    """
    different = [what for what in wanted if saved.get(what) != wanted[what]]
    if different:
        raise UserError(
            f"{checkpoint} is of another {' and '.join(different)}{detail}: give the same options "
            f"to go on with it, or choose another place; {REMEDY}."
        )


def recipe_changes(before: dict[str, Any], now: Recipe) -> str:
    """Return " (batch_size 64, now 128)" or the like; empty where nothing differs."""
    numbers = asdict(now)
    changed = [name for name in numbers if before[name] != numbers[name]]
    told = "; ".join(f"{name} {before[name]}, now {numbers[name]}" for name in changed)
    return f" ({told})" if told else ""
