"""The scheme `qnnpack`: torch's eager mode, which fuses, observes or trains, and converts modules.

Source: torchvision's `models.quantization` and its references, and the article on MobileNetV3 there. torch calls this mode
deprecated; where it is gone, the scheme says so.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from registry.errors import RegistryError, WeightsError
from registry.modules.split import can_split
from registry.weights import read_state_dict
from registry_quantization.choice import choose, inputs_of
from registry_quantization.eager.engine import ao, config
from registry_quantization.eager.module import EagerModule, working
from registry_quantization.specs import QnnpackSpec

#: Names that an error shows.
_SHOWN = 3


class EagerScheme:
    """The scheme; see `Registrar.quantization`."""

    def __call__(self, spec: QnnpackSpec, model: nn.Module, batches: Any) -> EagerModule:
        """Quantizes after training.

        Returns:
            a module in eval mode with `spec`, `quantization`, and `float_layers`, the names of layers that stayed float.

        Raises:
            RegistryError: nothing to calibrate with, nothing to quantize, an engine that torch lacks, or a model that has no
                integer form where all operations are asked for.
        """
        inputs = inputs_of(spec, batches)
        with working(spec) as found:
            own, left = _formed(spec, model, inputs, training=False)
            found.prepare(own, inplace=True)
            with torch.no_grad():
                for batch in inputs:
                    own(batch.clone() if isinstance(batch, torch.Tensor) else [image.clone() for image in batch])
            return EagerModule(_converted(spec, own), spec, model, left, integers=True)

    def prepare(self, spec: QnnpackSpec, model: nn.Module, batches: Any) -> EagerModule:
        """The model as one that is trained with simulated rounding; `convert` makes it an integer one.

        Raises:
            RegistryError: as calling the scheme; a model that takes lists of images.
        """
        inputs = inputs_of(spec, batches)
        if can_split(model) or not isinstance(inputs[0], torch.Tensor):
            raise RegistryError(
                f"{type(model).__name__} takes lists of images, and such models are not trained with simulated rounding; "
                "quantize it after training"
            )
        with working(spec) as found:
            own, left = _formed(spec, model, inputs, training=True)
            found.prepare_qat(own.train(), inplace=True)
            made = EagerModule(own, spec, model, left, integers=False)
            made.apply(
                found.disable_fake_quant
            )  # training starts from ranges that fit, and not from those of its first batch
            with torch.no_grad():
                for batch in inputs:
                    made(batch.clone())
            return made.apply(found.enable_fake_quant)

    def freeze_observers(self, prepared: nn.Module) -> None:
        """Ranges stay as they are from here on."""
        prepared.apply(ao().disable_observer)

    def freeze_batch_norms(self, prepared: nn.Module) -> None:
        """Mean and variance of batch norms stay as they are from here on."""
        prepared.apply(ao("torch.ao.nn.intrinsic.qat").freeze_bn_stats)
        prepared.frozen_norms = True  # type: ignore[assignment]  # a flag, not a module
        prepared.train(prepared.training)

    def convert(self, spec: QnnpackSpec, prepared: nn.Module) -> EagerModule:
        """The integer model of one that was prepared, which is left as it is."""
        with working(spec):
            own = copy.deepcopy(prepared.get_submodule("model")).cpu()
            return EagerModule(_converted(spec, own), spec, prepared, prepared.__dict__["float_layers"], integers=True)

    def published(
        self, spec: QnnpackSpec, model: nn.Module, weights: Mapping[str, torch.Tensor] | str | os.PathLike[str]
    ) -> EagerModule:
        """The integer model of weights that torchvision trained with simulated rounding.

        Args:
            spec: its engine is what the model runs with; everything is made of integers, as torchvision does.
            model: a classifier of MobileNetV3 of the same shape; its own weights do not matter.
            weights: state dict of torchvision's fused and prepared model, or its file.

        Raises:
            RegistryError: the model is none of MobileNetV3.
            WeightsError: the file cannot be read, or is for another model.
        """
        given = weights if isinstance(weights, Mapping) else read_state_dict(Path(weights))
        told = spec.model_copy(
            update={"operations": "all", "least_signal": None, "float_modules": (), "depthwise": True}
        )
        with working(told) as found:
            from registry_quantization.eager.whole import whole

            setting = config(told, training=True)
            own = whole(copy.deepcopy(model).train(), (), setting, training=True)
            found.prepare_qat(own, inplace=True)
            _load(own, given)
            return EagerModule(_converted(told, own), told, model, (), integers=True)


def _formed(
    spec: QnnpackSpec, model: nn.Module, inputs: list[Any], *, training: bool
) -> tuple[nn.Module, tuple[str, ...]]:
    """A copy with stubs and what is fused, and the names of layers that stay float."""
    from registry_quantization.eager.layers import layers_between
    from registry_quantization.eager.whole import whole

    model.eval()
    choice = choose(spec, model, inputs)
    own = copy.deepcopy(model).train(training)
    setting = config(spec, training=training)
    if spec.operations == "all":
        return whole(own, choice.left, setting, training=training), choice.left
    ran = {signal.name for signal in choice.signals}
    done = set(layers_between(own, ran.intersection(choice.quantized), setting, training=training))
    if not done:
        raise RegistryError(
            "every layer would stay float: torch has no integer kernels for those that are left; choose the scheme xnnpack"
        )
    order = {name: None for name, _ in model.named_modules() if name in {*choice.quantized, *choice.left}}
    return own, tuple(name for name in order if name not in done)


def _converted(spec: QnnpackSpec, own: nn.Module) -> nn.Module:
    from registry_quantization.eager.bias import make_room

    made: nn.Module = ao().convert(own.eval(), inplace=True)
    if spec.engine == "qnnpack":
        make_room(made)
    return made


def _load(own: nn.Module, given: Mapping[str, torch.Tensor]) -> None:
    try:
        found = own.load_state_dict(given, strict=False)
    except RuntimeError as error:
        told = " ".join(str(error).split())[:300]
        raise WeightsError(f"the weights do not fit the model: {told}") from error
    if found.missing_keys or found.unexpected_keys:
        counts = ", ".join(
            f"{len(keys)} {word}: {', '.join(keys[:_SHOWN])}{' …' if len(keys) > _SHOWN else ''}"
            for word, keys in (("missing", found.missing_keys), ("unknown", found.unexpected_keys))
            if keys
        )
        raise WeightsError(
            f"the weights do not fit the model once it is fused and prepared for training with simulated rounding ({counts}); "
            "give a state dict that torchvision saved before it converted the model"
        )


quantize = EagerScheme()
