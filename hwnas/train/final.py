"""Full training of one network: by epochs, with checkpoints that a kill cannot spoil."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from hwnas.errors import EvaluationFailed, UserError
from hwnas.models.network import Network, initialise
from hwnas.train import checkpoint as checkpoints
from hwnas.train.checkpoint import Job
from hwnas.train.course import Course
from hwnas.train.loop import Training
from hwnas.train.outcome import TrainResult
from hwnas.train.world import ADVISED_PER_PROCESS, ALONE, IMAGES_PER_PROCESS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from hwnas.data.dataset import Dataset
    from hwnas.graph import Graph
    from hwnas.progress import Reporter
    from hwnas.train.curve import Listener
    from hwnas.train.recipe import Recipe
    from hwnas.train.world import World


def default_device() -> torch.device:
    """Return the GPU if there is one, else the CPU."""
    return ALONE.device


def train_final(
    graph: Graph,
    dataset: Dataset,
    recipe: Recipe,
    seed: int,
    checkpoint: Path,
    reporter: Reporter,
    *,
    world: World = ALONE,
    listeners: Sequence[Listener] = (),
) -> TrainResult:
    """Train in full, or go on where `checkpoint` stopped; a finished one is not trained again.

    The result after an interruption is the same as without, to the bit on a CPU. The best epoch's
    weights go into a file beside the checkpoint (`hwnas.train.checkpoint.best_of_checkpoint`).

    Args:
        graph: network with a square RGB input.
        dataset: has as many classes as the graph has outputs.
        recipe: how.
        seed: of the initial weights and the order of images.
        checkpoint: file to write; `load_trained` reads it.
        reporter: is shown a bar and a line per epoch.
        world: the processes that train it together, the first one writes; or the device of one.
        listeners: are told its course.

    Raises:
        UserError: the checkpoint is damaged or of another network, recipe, data set or seed; it
            cannot be written; the memory is full; the batches are too small for the processes.
        EvaluationFailed: training diverged; the checkpoint is from before.
        Interrupted: Ctrl-C or SIGTERM; the state is saved.
    """
    dataset.prepare(graph.input_shape[1], reporter)
    job = Job(graph, dataset, recipe, seed, checkpoint)
    _require_images_for_all(recipe, world, reporter)
    saved = checkpoints.read(checkpoint) if checkpoint.exists() else None
    if saved is not None:
        changes = checkpoints.recipe_changes(saved.get("recipe"), recipe)
        checkpoints.require_same(saved["identity"], job.identity, checkpoint, changes)
        if saved["metrics"] is not None:
            reporter.info(f"{checkpoint} has been trained to the end already")
            return TrainResult(**saved["metrics"])
    network = Network(graph)
    initialise(network, seed, still_branches=True)
    training = Training(network, recipe, world.device, world=world)
    course = Course(job, training, world, reporter, listeners)
    reporter.info(course.describe())
    _tell_idle_gpus(world, reporter)
    if saved is not None:
        course.go_on(saved)
    _require_same_step(training.step, world)
    with _explained(job, course):
        course.train()
        return course.score()


def _require_images_for_all(recipe: Recipe, world: World, reporter: Reporter) -> None:
    if recipe.batch_size < (least := IMAGES_PER_PROCESS * world.size):
        raise UserError(
            f"a batch of {recipe.batch_size} images is too small for {world.size} processes: give "
            f"--batch-size {least} at least, which counts the images of all processes together."
        )
    if world.size > 1 and recipe.batch_size < ADVISED_PER_PROCESS * world.size:
        reporter.warn(
            f"{world.size} processes with {recipe.batch_size} images together: batch norm, which "
            f"each does for itself, is unsteady with fewer than {ADVISED_PER_PROCESS} of its own."
        )


def _tell_idle_gpus(world: World, reporter: Reporter) -> None:
    gpus = torch.cuda.device_count()
    # Who names a device is not `hwnas train`.
    if world.size == 1 and world.on is None and gpus > 1:
        reporter.info(
            f"one of {gpus} GPUs is used; for all: torchrun --nproc-per-node {gpus} -m hwnas train"
        )


def _require_same_step(step: int, world: World) -> None:
    total = torch.tensor(float(step), dtype=torch.float64, device=world.device)
    world.add([total])
    if total.item() != world.size * step:
        raise UserError(
            "the processes of this training do not see the same checkpoint: its folder must be "
            "shared by all machines."
        )


@contextmanager
def _explained(job: Job, course: Course) -> Iterator[None]:
    """Say what can be done about a training that fails."""
    try:
        yield
    except EvaluationFailed as error:
        rate = job.recipe.peak_lr
        raise EvaluationFailed(
            f"{error}, in {course.place}: take a lower learning rate than {rate:g} (--lr "
            f"{rate / 3:.1g} --fresh) or a longer --warmup-epochs. {course.saved_state}"
        ) from error
    except (RuntimeError, MemoryError) as error:
        full = isinstance(error, torch.OutOfMemoryError | MemoryError)
        if not full and "allocate memory" not in str(error):
            raise
        size = job.recipe.batch_size
        raise UserError(
            f"the memory is full in {course.place}: batches of {size} images are too large for "
            f"this network here. Take --batch-size {max(2, size // 2)}, or more GPUs. "
            f"{course.saved_state}"
        ) from error
