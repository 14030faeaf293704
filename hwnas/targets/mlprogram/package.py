"""A .mlpackage folder whose bytes depend on its content alone, and that says what is in it."""

from __future__ import annotations

import json
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.targets.apple import classifier, require
from hwnas.targets.apple.classifier import LABEL, PROBABILITIES
from hwnas.targets.shared.artifact import Artifact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hwnas.graph import ImageInput

MANIFEST = "Manifest.json"
MODEL = "Data/com.apple.CoreML/model.mlmodel"
WEIGHTS = "Data/com.apple.CoreML/weights/weight.bin"

DATE = "com.github.apple.coremltools.conversion_date"
"""User-defined metadata that coremltools adds."""


def classifier_of(model: Any, images: ImageInput, metadata: Mapping[str, str]) -> Artifact:
    """Return the package of a classifier that coremltools made.

    Args:
        model: an MLModel whose input is `IMAGE` and whose predicted feature is `LABEL`.
        images: its labels.
        metadata: texts by name, stored as user-defined metadata.
    """
    rename = require("models.utils").rename_feature

    def describe(spec: Any) -> None:
        rename(spec, f"{LABEL}_probs", PROBABILITIES)  # the name that coremltools gives it
        classifier.describe(spec.description, images)
        classifier.describe_origin(spec.description, metadata)

    return saved(model, describe)


def saved(model: Any, describe: Callable[[Any], None]) -> Artifact:
    """Return the package of any model that coremltools made; see `deterministic`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.mlpackage"
        model.save(str(path))
        return deterministic(path, describe)


def deterministic(path: Path, describe: Callable[[Any], None]) -> Artifact:
    """Return the package that coremltools wrote to `path`.

    It names the items of the manifest at random, orders maps by chance, and notes the day.

    Args:
        path: the folder.
        describe: is called with the model's protobuf, to add to it.
    """
    files = dict(Artifact.read(path).files)
    model = require("proto.Model_pb2").Model.FromString(files[MODEL])
    describe(model)
    model.description.metadata.userDefined.pop(DATE, None)
    files[MODEL] = model.SerializeToString(deterministic=True)
    files[MANIFEST] = _manifest(files[MANIFEST])
    return Artifact(files)


def _manifest(content: bytes) -> bytes:
    manifest = json.loads(content)
    names = {
        old: str(uuid.uuid5(uuid.NAMESPACE_URL, item["path"]))
        for old, item in manifest["itemInfoEntries"].items()
    }
    entries = {names[old]: item for old, item in manifest["itemInfoEntries"].items()}
    manifest["itemInfoEntries"] = dict(sorted(entries.items()))
    manifest["rootModelIdentifier"] = names[manifest["rootModelIdentifier"]]
    return json.dumps(manifest, indent=4).encode()
