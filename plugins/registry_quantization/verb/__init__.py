"""The verb `registry quantize`."""
