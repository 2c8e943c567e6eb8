"""Real handwritten digits that scikit-learn ships: 1,797 pictures of 8x8 pixels (UCI, Alpaydin and Kaynak, 1998)."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image

from registry.errors import MissingExtraError


@dataclass(frozen=True)
class Split:
    """Grey pictures, uint8 (N, 8, 8), 0 black to 255 white, and their digits, int64 (N)."""

    pictures: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def picture(self, index: int) -> Image.Image:
        """One picture as a grey image."""
        return Image.fromarray(self.pictures[index].numpy())

    def png(self, index: int) -> bytes:
        """One picture as the bytes of a PNG file."""
        buffer = io.BytesIO()
        self.picture(index).save(buffer, format="PNG")
        return buffer.getvalue()


def load_splits(seed: int) -> tuple[Split, Split]:
    """Three quarters to train on, one quarter held out, every digit in both in the same proportion.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split
    except ImportError as error:
        raise MissingExtraError("the demonstration", "demo", "scikit-learn") from error
    data: Any = load_digits()
    pictures = torch.from_numpy(data.images / 16 * 255).round().to(torch.uint8)
    labels = torch.from_numpy(data.target).long()
    train, held_out = train_test_split(range(len(labels)), test_size=0.25, stratify=labels.numpy(), random_state=seed)
    return Split(pictures[train], labels[train]), Split(pictures[held_out], labels[held_out])
