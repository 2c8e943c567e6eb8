"""Seeds that depend on what they are for and on nothing else: not on the number of workers, nor on where a run was resumed."""

from __future__ import annotations

import hashlib
import random

_ORDER, _SAMPLE, _STEP, _START = b"order", b"sample", b"step", b"start"


def _derived(purpose: bytes, *numbers: int) -> int:
    """A seed of 63 bits for one purpose."""
    text = purpose + b":" + ",".join(map(str, numbers)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def start_seed(seed: int) -> int:
    """What a model is initialised under."""
    return _derived(_START, seed)


def order_of(seed: int, epoch: int) -> random.Random:
    """What shuffles an epoch."""
    return random.Random(_derived(_ORDER, seed, epoch))


def sample_seed(seed: int, epoch: int, sample: int, repeat: int) -> int:
    """What a picture is augmented under; `sample` is its number in the data set."""
    return _derived(_SAMPLE, seed, epoch, sample, repeat)


def step_seed(seed: int, epoch: int, step: int, rank: int) -> int:
    """What a step draws from: mixing of images, dropout, proposals."""
    return _derived(_STEP, seed, epoch, step, rank)
