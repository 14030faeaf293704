"""What both formats of Core ML need: coremltools, image classifiers, versions of iOS."""

from __future__ import annotations

import logging
from typing import Any

from hwnas.errors import MissingPackage
from hwnas.targets.shared.imports import import_whole


def require(module: str) -> Any:
    """Return a module of coremltools, e.g. `require("proto.Model_pb2")`.

    The first call takes seconds, since coremltools loads every converter that it has.

    Raises:
        MissingPackage: coremltools is not installed.
    """
    # On import it logs a line for every macOS library and every untested version that it meets.
    logging.getLogger("coremltools").setLevel(logging.ERROR)
    try:
        return import_whole(f"coremltools.{module}")
    except ModuleNotFoundError as error:
        if error.name != "coremltools":
            raise
        raise MissingPackage(
            'Core ML needs coremltools, which is not installed: pip install "hwnas[coreml]"'
        ) from error
