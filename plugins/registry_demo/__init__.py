"""The demonstration: real handwritten digits, from spec to trained checkpoint to prediction."""
