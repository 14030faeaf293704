"""The course of a full training: epochs, validation, what is saved and told when."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch

from hwnas.errors import EvaluationFailed, Interrupted, UserError
from hwnas.train.environment import device_name, precision, versions
from hwnas.train.full import checkpoint as checkpoints
from hwnas.train.full.listeners import Epoch, best_of
from hwnas.train.full.plan import Pace, Plan, duration
from hwnas.train.full.result import Confusion, TrainResult
from hwnas.train.full.stopping import stop_requests
from hwnas.train.full_memory import full_memory
from hwnas.train.loop import GPU_CHECK_STEPS
from hwnas.train.metrics import measure, metrics_of, outputs
from hwnas.train.mixing import mixed
from hwnas.train.world import IMAGES_PER_PROCESS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from hwnas.data.dataset import Batch
    from hwnas.progress import Reporter
    from hwnas.train.full.checkpoint import Job
    from hwnas.train.full.listeners import Listener
    from hwnas.train.loop import Training
    from hwnas.train.world import World

SAVE_EVERY_S = 60
"""The state is saved this often within an epoch, beside its end."""

VALIDATED = 2_000
VALIDATED_SHARE = 0.05
"""After every epoch so many held-out images are classified, or this share of an epoch if more."""

CONFUSED_PAIRS = 5


@dataclass(frozen=True, slots=True)
class Advice:
    """What a user can do about a training that fails, in options of the command at hand.

    Attributes:
        diverged: goes on after a colon.
        full: a sentence without its full stop, for a full memory.
    """

    diverged: str
    full: str


class Course:
    """One call's part of a training."""

    def __init__(
        self,
        job: Job,
        training: Training,
        world: World,
        reporter: Reporter,
        listeners: Sequence[Listener],
    ) -> None:
        self._job, self._training, self._world = job, training, world
        self._reporter, self._listeners = reporter, listeners
        self._identity = job.identity
        least = IMAGES_PER_PROCESS * world.size
        self._plan = Plan(job.recipe, job.dataset.train_size, least)
        self._curve: list[Epoch] = []
        self._losses = torch.zeros((), dtype=torch.float64, device=training.device)
        self._counted = 0
        self._began = self._saved_at = time.perf_counter()
        self._saved_step = 0
        self._pace, self._note = Pace(self._plan.steps), ""

    def begin(self, saved: dict[str, Any] | None) -> None:
        """Say what is done where, and take up what a checkpoint holds, if there is one."""
        device, size = self._training.device, self._world.size
        together = f", {size} processes" if size > 1 else ""
        self._reporter.info(f"{self._plan}; {device_name(device)}, {precision(device)}{together}")
        if saved is None:
            return
        self._training.load_state_dict(saved["training"])
        self._began -= saved["seconds"]
        self._saved_step = self._training.step
        progress = saved["progress"]
        self._curve = [Epoch(**values) for values in progress["curve"]]
        self._losses.fill_(progress["losses"])
        self._counted = progress["counted"]
        self._reporter.info(f"going on in {self._place} ({self._job.checkpoint})")

    def finish(self, advice: Advice) -> TrainResult:
        """Train to the end of the recipe, and measure the result.

        Args:
            advice: what can be done about a training that fails.

        Raises:
            Interrupted: someone asked to stop; the state is saved.
            EvaluationFailed: training diverged; no state is saved from then on.
            UserError: the memory is full.
        """
        try:
            self._train()
            return self._score()
        except EvaluationFailed as error:
            raise EvaluationFailed(
                f"{error}, in {self._place}: {advice.diverged}. {self._saved_state}"
            ) from error
        except (RuntimeError, MemoryError) as error:
            if full_memory(error) is None:
                raise
            raise UserError(
                f"the memory is full in {self._place}: batches of {self._job.recipe.batch_size} "
                f"images are too large for this network here. {advice.full}. {self._saved_state}"
            ) from error

    @property
    def _place(self) -> str:
        """Where the training is, for people."""
        return self._plan.place(self._training.step)

    @property
    def _saved_state(self) -> str:
        """What is saved, for people."""
        if self._saved_step == 0:
            return "Nothing of this training is saved."
        return f"{self._job.checkpoint} holds the state of step {self._saved_step:,}, unspoiled."

    def _train(self) -> None:
        training = self._training
        for listener in self._listeners:
            listener.on_start(training.step)
        remaining = self._plan.steps - training.step
        with (
            stop_requests(heed=self._world.first) as stop,
            self._reporter.task("training", remaining) as advance,
        ):
            self._pace = Pace(remaining)
            for loss in training.run(self._batches()):
                self._count(loss)
                advance(1, self._look(loss))
                if training.step in self._plan.ends:
                    self._end_epoch()
                elif time.perf_counter() - self._saved_at > SAVE_EVERY_S:
                    self._save(None)
                if stop.asked:
                    self._stop()

    def _batches(self) -> Iterator[Batch]:
        job, training = self._job, self._training
        batches = job.dataset.train_batches(
            job.recipe.images,
            job.recipe.batch_size,
            job.resolution,
            job.seed,
            start=training.step,
            device=training.device,
        )
        needed = islice(batches, self._plan.steps - training.step)
        classes = len(job.dataset.images.labels)
        return mixed(needed, job.recipe, classes, job.seed, training.step)

    def _count(self, loss: Tensor) -> None:
        step = self._training.step
        images = self._plan.images_at(step) - self._plan.images_at(step - 1)
        self._losses += images * loss
        self._counted += images
        self._pace.count(images)

    def _look(self, loss: Tensor) -> str:
        """Tell listeners of a step now and then; return what stands beside the bar."""
        step = self._training.step
        # Reading a loss makes a GPU wait.
        if self._training.device.type == "cuda" and step % GPU_CHECK_STEPS:
            return self._note
        value, speed = loss.item(), self._pace.images_per_s
        if step % GPU_CHECK_STEPS == 0:
            for listener in self._listeners:
                listener.on_step(step, value, self._rate, speed)
        epoch = self._curve[-1].epoch + 1 if self._curve else 1
        self._note = f"epoch {epoch}/{self._plan.epochs}, loss {value:.3f}, {speed:,.0f} images/s"
        return self._note

    @property
    def _rate(self) -> float:
        """The learning rate of the last step."""
        return self._job.recipe.learning_rate(self._training.step - 1)

    def _end_epoch(self) -> None:
        train_loss = self._losses.item() / self._counted
        speed = self._pace.images_per_s
        self._training.require_finite()
        epoch = self._validate(train_loss, speed)
        self._curve.append(epoch)
        self._losses.zero_()
        self._counted = 0
        if self._world.first and best_of(self._curve) is epoch:
            content = self._content(asdict(epoch))
            content["training"] = {"result": self._training.result.state_dict()}
            checkpoints.write(checkpoints.best_of_checkpoint(self._job.checkpoint), content)
        for listener in self._listeners:
            listener.on_epoch(self._curve)
        self._save(None)
        self._reporter.info(self._line(epoch))
        self._pace.go_on()

    def _validate(self, train_loss: float, images_per_s: float) -> Epoch:
        training, job = self._training, self._job
        count = max(VALIDATED, math.ceil(VALIDATED_SHARE * job.dataset.train_size))
        held_out = job.dataset.held_out("search", job.resolution, count, device=training.device)
        metrics = measure(training.result, held_out, self._world)
        epoch = Epoch(
            epoch=self._plan.ends[training.step],
            step=training.step,
            images=self._plan.images_at(training.step),
            learning_rate=self._rate,
            train_loss=train_loss,
            cross_entropy=metrics.cross_entropy,
            accuracy=metrics.accuracy,
            top5=metrics.top5,
            images_per_s=images_per_s,
            seconds=time.perf_counter() - self._began,
        )
        if not math.isfinite(epoch.train_loss + epoch.cross_entropy):
            raise EvaluationFailed(
                f"training diverged: training loss {epoch.train_loss}, held-out loss "
                f"{epoch.cross_entropy}"
            )
        return epoch

    def _line(self, epoch: Epoch) -> str:
        top5 = "" if epoch.top5 is None else f", top-5 {epoch.top5:.1%}"
        left = self._pace.seconds_left
        return (
            f"epoch {epoch.epoch}/{self._plan.epochs}: loss {epoch.train_loss:.3f}, held-out top-1 "
            f"{epoch.accuracy:.1%}{top5}, {epoch.images_per_s:,.0f} images/s"
            f"{f', {duration(left)} left' if left else ''}"
        )

    def _stop(self) -> None:
        self._save(None)
        raise Interrupted(
            f"training stopped in {self._place}, saved in {self._job.checkpoint}: the same command "
            "goes on there."
        )

    def _score(self) -> TrainResult:
        """Measure the result and write the finished checkpoint."""
        training, job = self._training, self._job
        device = training.device
        # What is reported comes from all images that there are.
        count = None if job.scored_on == "final" else job.recipe.validation
        held_out = job.dataset.held_out(job.scored_on, job.resolution, count, device=device)
        logits, labels = outputs(training.result, held_out, self._world)
        metrics = metrics_of(logits, labels)
        confusion = Confusion.of(logits, labels, job.dataset.images.labels)
        result = TrainResult(
            **asdict(metrics),
            images=self._plan.images_at(training.step),
            seconds=time.perf_counter() - self._began,
            device=str(device),
            epochs=self._plan.epochs,
            best=asdict(best_of(self._curve)),
            confused=[asdict(pair) for pair in confusion.worst(CONFUSED_PAIRS)],
            device_name=device_name(device),
            precision=precision(device),
            processes=self._world.size,
            versions=versions(device),
        )
        for listener in self._listeners:
            listener.on_end(confusion)
        self._save(result)
        return result

    def _save(self, result: TrainResult | None) -> None:
        """Write the state, if it is one to go on from.

        Raises:
            EvaluationFailed: it is not: training diverged.
        """
        if not self._world.first:
            return
        self._training.require_finite()
        content = self._content(None if result is None else result.to_json())
        checkpoints.write(self._job.checkpoint, content)
        self._saved_at, self._saved_step = time.perf_counter(), self._training.step

    def _content(self, metrics: dict[str, Any] | None) -> dict[str, Any]:
        return {
            "identity": self._identity,
            "recipe": asdict(self._job.recipe),
            "seconds": time.perf_counter() - self._began,
            "training": self._training.state_dict(),
            "progress": {
                "curve": [asdict(epoch) for epoch in self._curve],
                "losses": self._losses.item(),
                "counted": self._counted,
            },
            "metrics": metrics,
        }
