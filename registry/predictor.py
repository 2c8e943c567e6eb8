"""A model with the task that feeds it: from a picture to a result."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from registry.errors import ImageError, RegistryError
from registry.images import read_image
from registry.registry import Registry
from registry.specs import ModelSpec
from registry.tasks import Task

if TYPE_CHECKING:
    import torch
    from PIL import Image
    from torch import nn

    from registry.catalog import Reference


class Predictor:
    """Runs a model in eval mode on single pictures.

    Attributes:
        model: the module, in eval mode.
        task: what feeds it and reads its answers.
        spec: its resolved spec.
    """

    def __init__(self, model: nn.Module, task: Task[Any, Any]) -> None:
        self.model = model.eval()
        self.task = task
        self.spec: ModelSpec = model.spec  # type: ignore[assignment]

    @classmethod
    def load(cls, registry: Registry, model: Reference, *, weights: Any = None, **settings: Any) -> Predictor:
        """Builds a model with weights; arguments as `Registry.build` takes them.

        Raises:
            RegistryError: no weights are given and the model is no checkpoint: random answers mean nothing.
            Others as `Registry.build`.
        """
        from registry.catalog import is_checkpoint

        if weights is None and not is_checkpoint(model):
            spec = registry.load_spec(model)
            known = ", ".join(f"`{name}`" for name in spec.weights)
            hint = f"`default` or one of {known}, or a file" if known else "a file of weights"
            raise RegistryError(f"without weights the answers of `{spec.name}` mean nothing; give weights: {hint}")
        module = registry.build(model, weights=weights, **settings)
        return cls(module, registry.task(module.spec))  # type: ignore[arg-type]

    def predict(self, source: str | os.PathLike[str] | bytes) -> tuple[Image.Image, Any]:
        """The picture as it was read (RGB, upright), and the task's result for it.

        Raises:
            ImageError: the picture cannot be read, or is of a shape that task or model refuse or fail on.
            RegistryError: the model takes another number of channels than the task's pre-processing yields.
        """
        import torch

        image = read_image(source)
        device = next((parameter.device for parameter in self.model.parameters()), torch.device("cpu"))
        name = f"<{len(source)} bytes>" if isinstance(source, bytes) else repr(os.fspath(source))
        try:
            tensor = self.task.preprocess(image)
        except RegistryError as problem:
            raise ImageError(f"{name}: {problem}") from problem
        self._check_channels(tensor)
        try:
            with torch.inference_mode():
                output = self.model(self.task.collate([tensor.to(device)]))
            return image, self.task.postprocess(output, [(image.height, image.width)])[0]
        except RegistryError as problem:
            raise ImageError(f"{name}: {problem}") from problem
        except Exception as error:  # torch refuses sizes, and memory for them, with errors of any type
            text = str(error).partition("\n")[0] or "no reason given"
            raise ImageError(
                f"`{self.spec.name}` fails on {name} of {image.width}x{image.height} pixels: {type(error).__name__}: {text}"
            ) from error

    def _check_channels(self, tensor: torch.Tensor) -> None:
        wanted = self.spec.backbone.in_channels
        if tensor.shape[0] != wanted:
            settings = "task.preprocessing" if "preprocessing" in type(self.spec.task).model_fields else "task"
            raise RegistryError(
                f"`{self.spec.name}` takes {wanted} input channels, its task's pre-processing yields {tensor.shape[0]}; "
                f"change the settings under {settings}"
            )
