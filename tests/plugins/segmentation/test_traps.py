"""Calls of a segmentation model that are none."""

from __future__ import annotations

import pytest

import registry

pytest.importorskip("torch")
pytest.importorskip("torchvision")


@pytest.mark.parametrize("training", [True, False], ids=["training", "eval"])
def test_a_call_without_images_is_told(training: bool) -> None:
    model = registry.build("lraspp_mnv3_large", device="meta")
    with pytest.raises(registry.RegistryError) as caught:
        model.train(training)()
    assert str(caught.value) == "the model was called without images; write model(images)"
