"""Options of `hwnas export`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from hwnas.options import SPACE, Option
from hwnas.workflows import shared_options as shared

MODULE = "A torch module of your own"
CHECKS = "Checks of fp16 and int8"


@dataclass(frozen=True, kw_only=True)
class ExportOptions(shared.NamesGeometry, shared.NamesSelection):
    """Options of `hwnas export`."""

    format: Annotated[
        str | None,
        Option("onnx, tflite, coreml (iOS 12) or mlprogram (iOS 15).", default="the target's"),
    ] = None
    precision: Annotated[
        str | None, Option("fp32, fp16 or int8.", default="the target's, else fp32")
    ] = None
    out: Annotated[Path | None, Option("Folder.", default="RUN/export")] = None
    mediapipe: Annotated[
        bool, Option("TFLite: pixels in, float scores out, as MediaPipe takes it.")
    ] = False
    arch: Annotated[str | None, Option("An architecture instead of a run.", SPACE)] = None
    space: shared.Space = None
    input_size: shared.InputSize = None
    classes: shared.Classes = None
    width: shared.Width = None
    checkpoint: Annotated[Path | None, Option("With --arch: its weights.", SPACE)] = None
    random_weights: Annotated[bool, Option("With --arch: export it untrained.", SPACE)] = False
    seed: Annotated[int, Option("With --random-weights: their seed.", SPACE)] = 0
    model: Annotated[
        str | None,
        Option("A torch module of your own, with --input.", MODULE, metavar="FILE.py:FUNCTION"),
    ] = None
    labels: Annotated[
        Path | None, Option("With --model: file of class labels, one per line.", MODULE)
    ] = None
    mean: Annotated[
        str | None,
        Option("With --model: of its channels, 0 to 1.", MODULE, default="ImageNet's"),
    ] = None
    std: Annotated[str | None, Option("With --model: the same.", MODULE, default="ImageNet's")] = (
        None
    )
    dataset: shared.Dataset = None
    data_dir: shared.DataDir = None
    held_out_per_class: shared.HeldOutPerClass = None
    skip_damaged: shared.SkipDamaged = False
    images: Annotated[
        int, Option("Held-out images that fp16 and int8 are checked on.", CHECKS, at_least=0)
    ] = 1000
    max_drop: Annotated[
        float, Option("Points of top-1 that fp16 and int8 may lose.", CHECKS, at_least=0)
    ] = 2.0
    run: shared.RunFolder = None
    workspace: shared.Workspace = shared.HERE
