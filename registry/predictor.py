"""A model with the task that feeds it: from pictures to results."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Union

from registry.errors import ImageError, RegistryError
from registry.images import read_image
from registry.registry import Registry
from registry.specs import ModelSpec
from registry.tasks import Task, check_channels

if TYPE_CHECKING:
    import numpy as np
    import torch
    from PIL import Image
    from torch import nn

    from registry.artefacts import Artefact
    from registry.catalog import Reference

    #: A picture: a path, the bytes of an image file, a PIL image, or an array (H, W, 3) of uint8, RGB.
    Picture = Union[str, os.PathLike[str], bytes, Image.Image, "np.ndarray[Any, Any]"]


class Predictor:
    """Runs a model in eval mode on pictures. Several threads can use one at the same time.

        predictor = registry.Predictor("my_model", weights="default")
        result = predictor("photo.jpg")
        results = predictor(["a.jpg", "b.jpg"], batch=8)

    Args:
        model: a name, a path, a spec or a checkpoint, as `Predictor.load` takes it; an artefact's path; or a built module.
        task: what feeds a built module; None: the one that its spec names.
        weights: as `Registry.build` takes them.
        registry: which builds it; None: the default one.
        settings: others that `Registry.build` takes.

    Raises:
        As `Predictor.load`.

    Attributes:
        model: the module, in eval mode.
        task: what feeds it and reads its answers.
        spec: its resolved spec.
    """

    def __init__(
        self,
        model: nn.Module | Reference,
        task: Task[Any, Any] | None = None,
        *,
        weights: Any = None,
        registry: Registry | None = None,
        **settings: Any,
    ) -> None:
        from registry.assemble import require_torch

        require_torch("running a model")
        from torch import nn

        self.model: nn.Module
        self.task: Task[Any, Any]
        self.spec: ModelSpec
        if not isinstance(model, nn.Module):
            loaded = Predictor.load(registry or _default(), model, weights=weights, **settings)
            self.model, self.spec, self.task = loaded.model, loaded.spec, task or loaded.task
            return
        if weights is not None or settings:
            raise RegistryError("a built module has its weights and settings; give them to registry.build")
        self.model, self.spec = model.eval(), model.spec  # type: ignore[assignment]  # built modules carry it
        self.task = task if task is not None else (registry or _default()).task(self.spec)

    @classmethod
    def load(cls, registry: Registry, model: Reference, *, weights: Any = None, **settings: Any) -> Predictor:
        """Builds a model with weights, arguments as `Registry.build` takes them, or loads an artefact.

        An artefact takes `overrides` of its task alone, such as a threshold: the rest is fixed in the file.

        Raises:
            RegistryError: no weights are given and the model is no checkpoint: random answers mean nothing; or settings that an
                artefact cannot follow.
            Others as `Registry.build` and `Registry.load_artefact`.
        """
        from registry.artefacts import is_artefact
        from registry.catalog import is_checkpoint

        if is_artefact(registry, model):
            given = [key for key, value in {**settings, "weights": weights}.items() if value not in (None, [], (), {})]
            given = [key for key in given if key != "device" or str(settings[key]) != "cpu"]
            return cls._of_artefact(registry, os.fspath(model), settings.get("overrides"), given)  # type: ignore[arg-type]
        if weights is None and not is_checkpoint(model):
            spec = registry.load_spec(model)
            known = ", ".join(f"`{name}`" for name in spec.weights)
            hint = f"`default` or one of {known}, or a file" if known else "a file of weights"
            raise RegistryError(f"without weights the answers of `{spec.name}` mean nothing; give weights: {hint}")
        module = registry.build(model, weights=weights, **settings)
        return cls(module, registry.task(module.spec))  # type: ignore[arg-type]

    @classmethod
    def _of_artefact(cls, registry: Registry, path: str, overrides: Any, given: Sequence[str]) -> Predictor:
        from registry.assemble import build_task

        refused = [key for key in given if key != "overrides"]
        if refused:
            raise RegistryError(f"{path} is an artefact, which has its weights and settings; leave out `{refused[0]}`")
        module = registry.load_artefact(path)
        own: ModelSpec = module.spec  # type: ignore[assignment]
        artefact: Artefact = module.artefact  # type: ignore[assignment]
        spec = registry.load_spec(own, overrides=overrides) if overrides else own
        if (spec.head, spec.backbone) != (own.head, own.backbone):
            raise RegistryError(
                f"{path} is an artefact, whose backbone and head are fixed; change settings under task alone"
            )
        sizes = spec.task.image_size(), own.task.image_size()
        if sizes[0] != sizes[1] and not {"height", "width"} <= set(artefact.dynamic):
            raise RegistryError(
                f"{path} takes images of {artefact.shape[-1]}x{artefact.shape[-2]} pixels alone; export the model for another "
                "size, or with height and width that may change"
            )
        found = cls(module, build_task(registry.host, spec, artefact.categories))
        found.spec = spec
        return found

    def __call__(self, source: Picture | Sequence[Picture], *, batch: int = 8) -> Any:
        """The task's result for a picture, or a list of results for a list of pictures; see `predict_batch`."""
        if isinstance(source, (list, tuple)):
            return [result for _, result in self.predict_batch(source, batch=batch)]
        return self.predict(source)[1]  # type: ignore[arg-type]

    def predict(self, source: Picture) -> tuple[Image.Image, Any]:
        """The picture as it was read (RGB, upright), and the task's result for it.

        Raises:
            ImageError: the picture cannot be read, or is of a shape that task or model refuse or fail on.
            RegistryError: the model takes another number of channels than the task's pre-processing yields.
        """
        image, name = picture(source), name_of(source)
        return image, self._results([(name, image, self._input(image, name))])[0]

    def predict_batch(self, sources: Sequence[Picture], *, batch: int = 8) -> list[tuple[Image.Image, Any]]:
        """Every picture and its result, in their order.

        Pictures that pre-processing makes of one shape go through the model together. The results are those of `predict`, up to
        the rounding of sums in another order.

        Args:
            batch: most pictures at once.

        Raises:
            ImageError: as `predict`; names the picture.
        """
        if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
            raise RegistryError(f"a batch is a number of pictures, 1 or more, not {batch!r}")
        found: dict[int, tuple[Image.Image, Any]] = {}
        waiting: dict[tuple[int, ...], list[tuple[int, tuple[str, Image.Image, torch.Tensor]]]] = {}

        def run(group: list[tuple[int, tuple[str, Image.Image, torch.Tensor]]]) -> None:
            results = self._results([each for _, each in group])
            for (index, (_, image, _)), result in zip(group, results, strict=True):
                found[index] = (image, result)

        for index, source in enumerate(sources):
            image, name = picture(source), name_of(source)
            tensor = self._input(image, name)
            group = waiting.setdefault(tuple(tensor.shape), [])
            group.append((index, (name, image, tensor)))
            if len(group) == batch:
                run(waiting.pop(tuple(tensor.shape)))
        for group in waiting.values():
            run(group)
        return [found[index] for index in range(len(sources))]

    def _input(self, image: Image.Image, name: str) -> torch.Tensor:
        try:
            tensor = self.task.preprocess(image)
        except RegistryError as problem:
            raise ImageError(f"{name}: {problem}") from problem
        check_channels(self.spec, tensor)
        return tensor

    def _results(self, given: Sequence[tuple[str, Image.Image, torch.Tensor]]) -> list[Any]:
        """Results of pictures of one shape; where the model fails on several, on which of them."""
        import torch

        device = next((parameter.device for parameter in self.model.parameters()), torch.device("cpu"))
        (name, image, _), *others = given
        sizes = [(each.height, each.width) for _, each, _ in given]
        try:
            with torch.inference_mode():
                output = self.model(self.task.collate([tensor.to(device) for _, _, tensor in given]))
            return self.task.postprocess(output, sizes)
        except Exception as error:  # torch refuses sizes, and memory for them, with errors of any type
            if others:
                return [result for each in given for result in self._results([each])]
            if isinstance(error, RegistryError):
                raise ImageError(f"{name}: {error}") from error
            text = str(error).partition("\n")[0] or "no reason given"
            raise ImageError(
                f"`{self.spec.name}` fails on {name} of {image.width}x{image.height} pixels: {type(error).__name__}: {text}"
            ) from error


def picture(source: Picture) -> Image.Image:
    """A picture as RGB, upright.

    Raises:
        ImageError: it cannot be read, or is an array of another form.
    """
    from PIL import Image

    if isinstance(source, (str, os.PathLike, bytes)):
        return read_image(source)
    if isinstance(source, Image.Image):
        return _upright(source)
    shape, dtype = getattr(source, "shape", None), str(getattr(source, "dtype", ""))
    if shape is None:
        raise ImageError(f"a picture is a path, bytes, a PIL image or an array, not a {type(source).__name__}")
    if len(shape) != 3 or shape[2] != 3 or 0 in shape or dtype != "uint8":
        raise ImageError(f"an array of a picture is uint8 of the shape (H, W, 3), RGB, not {dtype} of {tuple(shape)}")
    return Image.fromarray(source)


def name_of(source: Picture) -> str:
    """What messages call a picture."""
    if isinstance(source, bytes):
        return f"<{len(source)} bytes>"
    if isinstance(source, (str, os.PathLike)):
        return repr(os.fspath(source))
    return f"<{type(source).__name__}>"


def _upright(image: Image.Image) -> Image.Image:
    """A PIL image as a file of it would be read: by way of a lossless one where it is not plain RGB."""
    if image.mode == "RGB" and "transparency" not in image.info and not image.getexif().get(0x0112):
        return image
    import io

    from PIL import ImageOps

    upright, buffer = ImageOps.exif_transpose(image), io.BytesIO()
    kept = upright.mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")  # which PNG holds without a loss
    (upright if kept else upright.convert("RGB")).save(buffer, format="PNG")
    return read_image(buffer.getvalue())


def _default() -> Registry:
    from registry.current import default_registry

    return default_registry()
