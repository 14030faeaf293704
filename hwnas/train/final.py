"""Full training of one network, with checkpoints that a kill cannot spoil."""

from __future__ import annotations

import io
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch

from hwnas.errors import UserError
from hwnas.files import fingerprint, write_bytes
from hwnas.models.network import Network, initialise
from hwnas.train.loop import Training
from hwnas.train.metrics import measure

if TYPE_CHECKING:
    from pathlib import Path

    from hwnas.data.dataset import Dataset
    from hwnas.graph import Graph
    from hwnas.progress import Reporter
    from hwnas.train.recipe import Recipe

FORMAT = "2"
"""Of checkpoints: to be raised when their content changes."""

CHECKPOINTS = 50
"""How often per training the state is saved."""


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What full training came to, on the "final" images.

    Attributes:
        accuracy: share of images classified correctly.
        accuracy_stderr: its standard error.
        cross_entropy: nats per image.
        cross_entropy_stderr: its standard error.
        validation: number of held-out images.
        images: images trained on.
        seconds: training time over all runs, interruptions left out.
        device: where the last part was trained.
    """

    accuracy: float
    accuracy_stderr: float
    cross_entropy: float
    cross_entropy_stderr: float
    validation: int
    images: int
    seconds: float
    device: str

    def to_json(self) -> dict[str, Any]:
        """Return all values."""
        return asdict(self)


def default_device() -> torch.device:
    """Return the GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def train_final(
    graph: Graph,
    dataset: Dataset,
    recipe: Recipe,
    seed: int,
    checkpoint: Path,
    reporter: Reporter,
) -> TrainResult:
    """Train in full, or go on where `checkpoint` stopped; a finished one is not trained again.

    The result after an interruption is the same as without.

    Args:
        graph: network with a square RGB input.
        dataset: has as many classes as the graph has outputs.
        recipe: how.
        seed: of the initial weights and the order of images.
        checkpoint: file to write; `load_trained` reads it.
        reporter: is shown a bar of images.

    Raises:
        UserError: the checkpoint is damaged or of another network, recipe, data set or seed.
        EvaluationFailed: training diverged.
    """
    dataset.prepare(graph.input_shape[1], reporter)
    identity = _identity(graph, dataset, recipe, seed)
    saved = _read(checkpoint) if checkpoint.exists() else None
    if saved is not None:
        _require_same(saved["identity"], identity, checkpoint)
        if saved["metrics"] is not None:
            return TrainResult(**saved["metrics"])
    network = Network(graph)
    initialise(network, seed, still_branches=True)
    training = Training(network, recipe, default_device())
    seconds = 0.0
    if saved is not None:
        training.load_state_dict(saved["training"])
        seconds = saved["seconds"]
        reporter.info(f"going on at step {training.step} of {recipe.steps} ({checkpoint})")
    run = _Run(training, dataset, seed, checkpoint, identity, seconds)
    run.finish(reporter, graph.input_shape[1])
    return run.score(graph.input_shape[1])


def network_of(checkpoint: Path) -> str:
    """Return which network a checkpoint is of, as `network_id` names it.

    Raises:
        UserError: the file is damaged.
    """
    name: str = _read(checkpoint)["identity"]["network"]
    return name


def network_id(graph: Graph) -> str:
    """Return a short name of a network: another one for other layers or another geometry."""
    return _network(graph)["network"]


def load_trained(graph: Graph, checkpoint: Path) -> Network:
    """Return the network of a finished training, on the CPU, in evaluation mode.

    Raises:
        UserError: missing, damaged, unfinished, or of another network.
    """
    if not checkpoint.exists():
        raise UserError(f"{checkpoint} is missing: run `hwnas train` first.")
    saved = _read(checkpoint)
    _require_same({"network": saved["identity"]["network"]}, _network(graph), checkpoint)
    if saved["metrics"] is None:
        raise UserError(f"{checkpoint} is of an unfinished training: `hwnas train` goes on.")
    network = Network(graph)
    network.load_state_dict(saved["training"]["result"])
    return network.eval()


class _Run:
    """One call's part of a training."""

    def __init__(
        self,
        training: Training,
        dataset: Dataset,
        seed: int,
        checkpoint: Path,
        identity: dict[str, str],
        seconds: float,
    ) -> None:
        self._training = training
        self._dataset = dataset
        self._seed = seed
        self._checkpoint = checkpoint
        self._identity = identity
        self._began = time.perf_counter() - seconds

    def finish(self, reporter: Reporter, resolution: int) -> None:
        """Train to the end of the recipe."""
        training, recipe = self._training, self._training.recipe
        batches = self._dataset.train_batches(
            recipe.images,
            recipe.batch_size,
            resolution,
            self._seed,
            start=training.step,
            device=training.device,
        )
        every = max(1, recipe.steps // CHECKPOINTS)
        with reporter.task("training", recipe.steps) as advance:
            advance(training.step)
            for loss in training.run(batches):
                # Reading a loss makes a GPU wait.
                note = f"loss {loss.item():.3f}" if training.step % 20 == 0 else ""
                advance(1, note)
                if training.step % every == 0:
                    self._save(None)

    def score(self, resolution: int) -> TrainResult:
        """Measure the result and write the finished checkpoint."""
        training, recipe = self._training, self._training.recipe
        device = training.device
        held_out = self._dataset.held_out("final", resolution, recipe.validation, device=device)
        metrics = measure(training.result, held_out)
        result = TrainResult(
            metrics.accuracy,
            metrics.accuracy_stderr,
            metrics.cross_entropy,
            metrics.cross_entropy_stderr,
            validation=metrics.count,
            images=recipe.images,
            seconds=time.perf_counter() - self._began,
            device=str(device),
        )
        self._save(result)
        return result

    def _save(self, result: TrainResult | None) -> None:
        stream = io.BytesIO()
        state = {
            "identity": self._identity,
            "seconds": time.perf_counter() - self._began,
            "training": self._training.state_dict(),
            "metrics": None if result is None else result.to_json(),
        }
        torch.save(state, stream)
        write_bytes(self._checkpoint, stream.getvalue())


def _network(graph: Graph) -> dict[str, str]:
    nodes = [[node.name, repr(node.op), *node.inputs] for node in graph]
    return {"network": fingerprint([graph.input_shape, nodes])}


def _identity(graph: Graph, dataset: Dataset, recipe: Recipe, seed: int) -> dict[str, str]:
    """Return what must be equal for a training to go on, hashed, by the user's word for it."""
    return {
        **_network(graph),
        "data set": fingerprint(dataset.fingerprint),
        "recipe": fingerprint(recipe.as_dict()),
        "seed": str(seed),
        "format": FORMAT,
    }


def _read(checkpoint: Path) -> dict[str, Any]:
    try:
        saved: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True)
        missing = {"identity", "seconds", "training", "metrics"} - set(saved)
    except Exception as error:  # torch raises many kinds for a damaged file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"{checkpoint} is no checkpoint of hwnas ({reason}): remove it to train anew."
        ) from error
    if missing:
        raise UserError(f"{checkpoint} is no checkpoint of hwnas: remove it to train anew.")
    return saved


def _require_same(saved: dict[str, str], wanted: dict[str, str], checkpoint: Path) -> None:
    different = [what for what in wanted if saved.get(what) != wanted[what]]
    if different:
        raise UserError(
            f"{checkpoint} is of another {' and '.join(different)}: choose another file, or "
            "remove it to train anew."
        )
