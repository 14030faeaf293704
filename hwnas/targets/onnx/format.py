"""ONNX as a format: its files, and ONNX Runtime, which runs them here."""
# ruff: noqa: D102 - `Format` says what each of these is for

from __future__ import annotations

from hwnas.targets.onnx import emitter, runtime, slow_paths
from hwnas.targets.shared.artifact import Artifact
from hwnas.targets.shared.format import Content, RunHere


class Onnx(RunHere):
    """ONNX; making one raises MissingPackage."""

    name, suffix = "onnx", ".onnx"
    system = "any with ONNX Runtime"
    linear_per_channel = True

    def __init__(self) -> None:
        self.executor = f"ONNX Runtime {runtime.version()}"

    def emit(self, content: Content) -> Artifact:
        return Artifact.single(emitter.emit(content))

    def load(self, model: bytes) -> runtime.OnnxRuntime:
        return runtime.OnnxRuntime(model)

    def slow_paths(self, artifact: Artifact) -> list[str]:
        return slow_paths.slow_paths(artifact.content)
