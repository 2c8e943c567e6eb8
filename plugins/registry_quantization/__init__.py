"""Quantization: a float model made an integer one, by schemes of several engines."""
