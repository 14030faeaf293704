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
    from collections.abc import Mapping

    from hwnas.graph import ImageInput

MANIFEST = "Manifest.json"
MODEL = "Data/com.apple.CoreML/model.mlmodel"
WEIGHTS = "Data/com.apple.CoreML/weights/weight.bin"

DATE = "com.github.apple.coremltools.conversion_date"
"""User-defined metadata that coremltools adds."""


def saved(model: Any, metadata: Mapping[str, str], images: ImageInput | None = None) -> Artifact:
    """Return the package of a model that coremltools made, with what is to be said of it.

    coremltools names the items of the manifest at random, orders maps by chance, and notes the day.

    Args:
        model: an MLModel; of a classifier, its input is `IMAGE`, its predicted feature `LABEL`.
        metadata: texts by name, stored as user-defined metadata.
        images: labels of a classifier.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.mlpackage"
        model.save(str(path))
        files = dict(Artifact.read(path).files)
    spec = require("proto.Model_pb2").Model.FromString(files[MODEL])
    if images is not None:
        # coremltools calls them by another name.
        require("models.utils").rename_feature(spec, f"{LABEL}_probs", PROBABILITIES)
    classifier.describe(spec.description, metadata, images)
    spec.description.metadata.userDefined.pop(DATE, None)
    files[MODEL] = spec.SerializeToString(deterministic=True)
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
