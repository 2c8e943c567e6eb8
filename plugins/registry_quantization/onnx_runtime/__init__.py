"""The scheme `onnx`: rounding in a graph of ONNX."""
