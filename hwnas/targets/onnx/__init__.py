"""ONNX: emitter and ONNX Runtime."""
