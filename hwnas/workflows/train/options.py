"""Options of `hwnas train`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from hwnas.options import SPACE, Option
from hwnas.train.full.presets import DEFAULT, Changes
from hwnas.workflows import shared_options as shared


@dataclass(frozen=True, kw_only=True)
class TrainOptions(Changes, shared.NamesGeometry, shared.NamesSelection):
    """Options of `hwnas train`: those here, and what is wanted otherwise than in the recipe."""

    dataset: shared.Dataset = None
    data_dir: shared.DataDir = None
    recipe: Annotated[
        str, Option("one-cycle, cifar or imagenet (those of the RCNet paper), or modern.")
    ] = DEFAULT
    fresh: Annotated[bool, Option("Begin anew; what was trained is kept aside.")] = False
    seed: Annotated[int | None, Option("Seed of weights and batches.", default="the run's")] = None
    tensorboard: Annotated[bool, Option("Write TensorBoard's event files, too.")] = False
    held_out_per_class: shared.HeldOutPerClass = None
    skip_damaged: shared.SkipDamaged = False
    arch: Annotated[
        str | None, Option("An architecture instead of a run, with --dataset.", SPACE)
    ] = None
    space: shared.Space = None
    input_size: shared.InputSize = None
    classes: shared.Classes = None
    width: shared.Width = None
    out: Annotated[
        Path | None, Option("With --arch: folder.", SPACE, default="WORKSPACE/trained/...")
    ] = None
    run: shared.RunFolder = None
    workspace: shared.Workspace = shared.HERE
