"""torchao's PT2E flow: the schemes `xnnpack` and `x86`."""
