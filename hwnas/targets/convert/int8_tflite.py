"""TFLite in float32 to 8 bits by litert-quantizer, for models that no graph describes."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

from hwnas.errors import MissingPackage
from hwnas.targets.shared.quiet import quietly
from hwnas.targets.tflite.runtime import load_interpreter

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

QUANTISER = "litert-quantizer"

ENDS: tuple[dict[str, Any], ...] = tuple(
    {"regex": ".*", "operation": end, "algorithm_key": "no_quantize", "op_config": {}}
    for end in ("INPUT", "OUTPUT")
)
"""Rules that leave the ends of a model as they are."""


def quantised(model: bytes, images: NDArray[np.float32], *, float_ends: bool = False) -> bytes:
    """Return the model with values and weights as int8, its input and output included.

    Args:
        model: a serialised model in float32 of one input (1, H, W, C), with a signature.
        images: normalised inputs (n, C, H, W) like those of use; their extremes set the scales.
        float_ends: leave input and output in float32.

    Raises:
        MissingPackage: ai-edge-litert or litert-quantizer is not installed.
        UserError: the quantiser does not take the model.
    """
    ((signature, tensors),) = load_interpreter(model).get_signature_list().items()
    (source,) = tensors["inputs"]
    fed = [{source: image[None]} for image in images.transpose(0, 2, 3, 1)]
    require()
    with quietly(QUANTISER, "8-bit TFLite"):
        from litert_quantizer import quantizer, recipe

        rules = [*recipe.static_wi8_ai8(), *(ENDS if float_ends else ())]
        seen = _extremes(model, rules, {signature: fed})
        work = quantizer.Quantizer(model, rules)
        return bytes(work.quantize(seen, enable_progress_report=False).quantized_model)


def _extremes(model: bytes, rules: Any, fed: Mapping[str, Any]) -> Any:
    """Return the extremes of every value over all inputs.

    `Quantizer.calibrate` keeps a moving average instead: it cuts off what fewer inputs reach, and
    forgets the first ones.
    """
    from litert_quantizer import calibrator, recipe_manager
    from litert_quantizer.utils import qsv_utils

    manager = recipe_manager.RecipeManager()
    manager.load_quantization_recipe(rules)
    work = calibrator.Calibrator(
        memoryview(model), num_threads=1, qsv_update_func=qsv_utils.min_max_update
    )
    work.calibrate(fed, manager)
    return work.get_model_qsvs()


def require() -> None:
    """Raise MissingPackage unless litert-quantizer is installed."""
    if importlib.util.find_spec("litert_quantizer") is None:
        raise MissingPackage(
            "TFLite in 8 bits of a module of your own needs litert-quantizer: "
            'pip install "hwnas[convert]"'
        )
