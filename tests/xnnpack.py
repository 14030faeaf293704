"""What LiteRT hands over to XNNPACK, whose kernels are many times faster than its own."""

from __future__ import annotations

from hwnas.targets.tflite.runtime import LiteRt


def runs_whole_on_xnnpack(model: bytes) -> bool:
    """Return whether one delegated part leads from the model's input to its output.

    An operator that XNNPACK does not take splits the model, or cuts an end off.
    """
    interpreter = LiteRt(model)._interpreter
    (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    parts = [op for op in interpreter._get_ops_details() if op["op_name"] == "DELEGATE"]
    return (
        len(parts) == 1
        and source["index"] in parts[0]["inputs"]
        and result["index"] in parts[0]["outputs"]
    )
