"""Running a module and timing it."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn

from registry.artefacts import Artefact
from registry.errors import RegistryError
from registry.specs import ModelSpec
from registry_benchmark.subjects import Subject


class Run:
    """A module in eval mode with the input that it is timed on.

    Args:
        inputs: a tensor (N, C, H, W), a list of images (C, H, W), or a tuple of tensors for a part of a model.
        task: name of its task.
        engine: what runs it, with its version.
        spec: of a model of the registry.
        artefact: what an exported file says of itself.

    Attributes:
        whole: the model, where the module is a part of it.
    """

    def __init__(
        self,
        subject: Subject,
        module: nn.Module,
        inputs: Any,
        *,
        task: str,
        engine: str,
        spec: ModelSpec | None = None,
        artefact: Artefact | None = None,
    ) -> None:
        self.subject, self.module, self.inputs = subject, module.eval(), inputs
        self.task, self.engine, self.spec, self.artefact = task, engine, spec, artefact
        self.batch = subject.batch if isinstance(inputs, tuple) else len(inputs)
        self.whole: Any = None
        self._called: Any = self.module
        self._cuda = subject.device.startswith("cuda")

    @property
    def arguments(self) -> tuple[Any, ...]:
        """What the module is called with."""
        return self.inputs if isinstance(self.inputs, tuple) else (self.inputs,)

    @property
    def partial(self) -> bool:
        """True for a part of a model, and for a file of such a part, which takes a tensor where the model takes a list."""
        if self.subject.part is not None:
            return True
        if self.artefact is None or self.spec is None:
            return False
        return self.artefact.takes == "batch" and not self.spec.head.exportable

    def settle_norms(self) -> None:
        """Gives every batch normalisation the statistics of the input.

        Without them the values of a deep model of random weights vanish or grow, to numbers that processors are slow on.
        """

        def note(module: Any, given: tuple[torch.Tensor, ...]) -> None:
            values = given[0]
            axes = [axis for axis in range(values.ndim) if axis != 1]
            if values.numel() // values.shape[1] > 1:
                module.running_mean.copy_(values.mean(axes))
                module.running_var.copy_(values.var(axes, correction=0))

        with ExitStack() as hooks:
            for norm in (each for each in self.module.modules() if isinstance(each, nn.modules.batchnorm._BatchNorm)):
                if norm.running_mean is not None:
                    hooks.callback(norm.register_forward_pre_hook(note).remove)
            with torch.no_grad():
                self.module(*self.arguments)

    def place(self) -> None:
        """Brings module and input to the device, in the memory layout that was asked for, and compiles."""
        subject = self.subject
        layout = torch.channels_last if subject.channels_last else torch.preserve_format
        self.module.to(subject.device)
        if subject.channels_last:
            self.module.to(memory_format=torch.channels_last)
        if isinstance(self.inputs, torch.Tensor):
            self.inputs = self.inputs.to(subject.device, memory_format=layout)
        else:
            self.inputs = type(self.inputs)(each.to(subject.device) for each in self.inputs)
        if subject.compiled:
            self._called = torch.compile(self.module)

    def told(self) -> dict[str, Any]:
        """What it is, as plain data."""
        first = self.inputs if isinstance(self.inputs, torch.Tensor) else self.inputs[0]
        return {
            "name": self.spec.name if self.spec is not None else self.subject.reference,
            "task": self.task,
            "engine": self.engine,
            "image": [int(side) for side in first.shape[-2:]],
            "batch": self.batch,
            "quantization": None if self.artefact is None else self.artefact.quantization,
            "notes": [],
        }

    def timed(self) -> tuple[float, float]:
        """Seconds of one run: by the clock (of the device, where that is a GPU), and of the processor in all threads.

        Raises:
            RegistryError: the model fails.
        """
        collecting = gc.isenabled()
        gc.disable()
        try:
            with torch.inference_mode(), self._precision():
                return self._on_cuda() if self._cuda else self._on_cpu()
        except RegistryError:
            raise
        except Exception as error:  # of a model's code, or of a compiler
            told = " ".join(str(error).split())[:400]
            raise RegistryError(f"a run fails: {type(error).__name__}: {told}") from error
        finally:
            if collecting:
                gc.enable()

    def _on_cpu(self) -> tuple[float, float]:
        processor, start = time.process_time(), time.perf_counter()
        self._called(*self.arguments)
        if self.subject.device == "mps":
            torch.mps.synchronize()
        return time.perf_counter() - start, time.process_time() - processor

    def _on_cuda(self) -> tuple[float, float]:
        event: Any = torch.cuda.Event  # torch leaves it without types
        first, last = event(enable_timing=True), event(enable_timing=True)
        torch.cuda.synchronize(self.subject.device)
        processor = time.process_time()
        first.record(torch.cuda.current_stream(self.subject.device))
        self._called(*self.arguments)
        last.record(torch.cuda.current_stream(self.subject.device))
        torch.cuda.synchronize(self.subject.device)
        return first.elapsed_time(last) / 1000, time.process_time() - processor

    def _precision(self) -> AbstractContextManager[Any]:
        if self.subject.precision == "float32":
            return nullcontext()
        device = torch.device(self.subject.device).type
        return torch.autocast(device, dtype=getattr(torch, self.subject.precision))

    def device_memory(self) -> int | None:
        """Most bytes that torch held on the GPU, or None on a CPU."""
        return int(torch.cuda.max_memory_allocated(self.subject.device)) if self._cuda else None

    def counted(self) -> dict[str, Any]:
        """Parameters, multiply-adds of an image, bytes on disk, published accuracy, and what a detector found."""
        from registry_benchmark.counts import bytes_of, counts, published

        with self._watching() as seen, torch.inference_mode():
            output = self.module(*self.arguments)
        if isinstance(output, (list, tuple)) and output and isinstance(output[0], dict) and "boxes" in output[0]:
            seen["detections"] = sum(len(each["boxes"]) for each in output) / len(output)
        weights = self.subject.weights
        return {
            **counts(self),
            "bytes": bytes_of(self),
            "published": published(self.spec, weights) if self.spec is not None and self._published else {},
            "detections": seen.get("detections"),
            "proposals": seen.get("proposals"),
        }

    @property
    def _published(self) -> bool:
        """Whether what is published of the model holds for this: not for a part of it, nor for its integers."""
        return not self.partial and (self.artefact is None or self.artefact.quantization is None)

    @contextmanager
    def _watching(self) -> Iterator[dict[str, float]]:
        """Notes how many proposals of an image a detector looks at."""
        seen: dict[str, float] = {}
        images = self.batch

        def of_network(module: Any, given: Any, found: Any) -> None:
            seen["proposals"] = sum(len(boxes) for boxes in found[0]) / images

        def of_part(module: Any, given: Any) -> None:
            seen["proposals"] = seen.get("proposals", 0) + len(given[0]) / images

        with ExitStack() as hooks:
            network = getattr(self.module, "rpn", None)
            if isinstance(network, nn.Module):
                hooks.callback(network.register_forward_hook(of_network).remove)
            parts = getattr(self.module, "replaced", None)
            if isinstance(parts, nn.ModuleDict) and "box" in parts:
                hooks.callback(parts["box"].register_forward_pre_hook(of_part).remove)
            yield seen
