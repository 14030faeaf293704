"""Full training of one network: by epochs, with checkpoints that a kill cannot spoil."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from hwnas.errors import UserError
from hwnas.models.network import Network, initialise
from hwnas.train.full import checkpoint as checkpoints
from hwnas.train.full.course import Advice, Course
from hwnas.train.full.result import TrainResult
from hwnas.train.loop import Training
from hwnas.train.world import ADVISED_PER_PROCESS, ALONE, IMAGES_PER_PROCESS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hwnas.progress import Reporter
    from hwnas.train.full.checkpoint import Job
    from hwnas.train.full.listeners import Listener
    from hwnas.train.recipe import Recipe
    from hwnas.train.world import World


def train_final(
    job: Job,
    reporter: Reporter,
    *,
    advice: Advice | None = None,
    world: World = ALONE,
    listeners: Sequence[Listener] = (),
) -> TrainResult:
    """Train in full, or go on where the checkpoint stopped; a finished one is not trained again.

    The result after an interruption is the same as without, to the bit on a CPU. The best epoch's
    weights go into a file beside the checkpoint (`hwnas.train.full.checkpoint.best_of_checkpoint`).

    Args:
        job: what is trained on what, and how.
        reporter: is shown a bar and a line per epoch.
        advice: what the command at hand has for a training that fails; None for `hwnas train`.
        world: the processes that train it together, the first one writes; or the device of one.
        listeners: are told its course.

    Raises:
        UserError: the checkpoint is damaged or of another network, recipe, data set or seed; it
            cannot be written; the memory is full; the batches are too small for the processes.
        EvaluationFailed: training diverged; the checkpoint is from before.
        Interrupted: Ctrl-C or SIGTERM; the state is saved.
    """
    job.dataset.prepare(job.resolution, reporter)
    recipe, checkpoint = job.recipe, job.checkpoint
    _require_images_for_all(recipe, world, reporter)
    saved = checkpoints.read(checkpoint) if checkpoint.exists() else None
    if saved is not None:
        changes = checkpoints.recipe_changes(saved["recipe"], recipe)
        checkpoints.require_same(saved["identity"], job.identity, checkpoint, changes)
        if saved["metrics"] is not None:
            reporter.info(f"{checkpoint} has been trained to the end already")
            return TrainResult(**saved["metrics"])
    network = Network(job.graph)
    initialise(network, job.seed, still_branches=True)
    training = Training(network, recipe, world.device, world=world)
    course = Course(job, training, world, reporter, listeners)
    if advice is None:
        _tell_idle_gpus(world, reporter)
    course.begin(saved)
    _require_same_step(training.step, world)
    return course.finish(advice or _advice(recipe))


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


def _advice(recipe: Recipe) -> Advice:
    """Return what `hwnas train` has for it."""
    rate, size = recipe.peak_lr, recipe.batch_size
    return Advice(
        diverged=f"take a lower learning rate than {rate:g} (--lr {rate / 3:.1g} --fresh) or a "
        "longer --warmup-epochs",
        full=f"Take --batch-size {max(2, size // 2)}, or more GPUs",
    )
