"""A .mlpackage folder whose bytes depend on its content alone."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

from hwnas.targets.apple import require
from hwnas.targets.artifact import Artifact

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MANIFEST = "Manifest.json"
MODEL = "Data/com.apple.CoreML/model.mlmodel"
WEIGHTS = "Data/com.apple.CoreML/weights/weight.bin"

DATE = "com.github.apple.coremltools.conversion_date"
"""User-defined metadata that coremltools adds."""


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
