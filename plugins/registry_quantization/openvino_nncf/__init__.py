"""The scheme `openvino`: NNCF's quantization after training."""
