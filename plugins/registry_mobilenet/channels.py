"""Channel arithmetic of the MobileNet family."""

from __future__ import annotations


def make_divisible(channels: float, divisor: int = 8) -> int:
    """The multiple of `divisor` nearest to `channels`, at least `divisor`, and not more than 10 % below `channels`.

    Source: torchvision.models._utils._make_divisible, after TensorFlow's slim.
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded
