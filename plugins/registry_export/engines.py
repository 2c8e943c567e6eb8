"""Modules that hold an engine's file and run it: ONNX Runtime and OpenVINO."""

from __future__ import annotations

import importlib
import threading
from types import ModuleType
from typing import Any, Literal

import torch
from torch import nn

from registry.errors import MissingExtraError, RegistryError
from registry_export.forms import restored
from registry_export.running import in_batches

#: Engines that `EngineModule` runs, each with its package and the extra that brings it.
_PACKAGES = {"onnx": ("onnxruntime", "onnx"), "openvino": ("openvino", "openvino")}


def require(package: str, extra: str, what: str) -> ModuleType:
    """Imports a package.

    Args:
        extra: which brings it.
        what: what needs it, for the message.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise MissingExtraError(what, extra, package.partition(".")[0]) from error


class EngineModule(nn.Module):
    """Runs the bytes of an engine's file on the CPU. It has no parameters, is in eval mode, and pickles with the bytes.

    It can be called from several threads at once.

    Args:
        engine: `onnx` for ONNX Runtime, `openvino` for OpenVINO.
        data: of the `.onnx` file, or of the `.xml` file.
        weights: of the `.bin` file of OpenVINO.
        outputs: structure of what comes out, see `registry_export.forms`: of the whole batch, or of one image.
        takes: `batch` for a file that takes (N, C, H, W), `images` for one that takes a single image (C, H, W); then the module
            takes a list of images and returns a list.
        threads: that the engine uses; None: as many as torch does when the engine starts.
        spec: the model's resolved spec.
        quantization: spec of the scheme that made it.

    Attributes:
        artefact: what the file says of itself, where it was loaded from one; else None.
    """

    def __init__(
        self,
        engine: Literal["onnx", "openvino"],
        data: bytes,
        *,
        weights: bytes = b"",
        outputs: Any = "tensor",
        takes: Literal["batch", "images"] = "batch",
        threads: int | None = None,
        spec: Any = None,
        quantization: Any = None,
        artefact: Any = None,
    ) -> None:
        super().__init__()
        if engine not in _PACKAGES:
            raise RegistryError(f"there is no engine `{engine}`; known are {', '.join(_PACKAGES)}")
        self.engine = engine
        self.data = data
        self.weights = weights
        self.outputs = outputs
        self.takes = takes
        self.spec = spec
        self.quantization = quantization
        self.artefact = artefact
        self._threads = threads
        self._forget()
        self.train(False)

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._session: Any = None
        self._local = threading.local()

    @property
    def threads(self) -> int | None:
        """Threads that the engine uses; None: as many as torch does when it starts. Setting it starts the engine anew."""
        return self._threads

    @threads.setter
    def threads(self, count: int | None) -> None:
        self._threads = count
        self._forget()

    @property
    def size(self) -> int:
        """Bytes of the file or files."""
        return len(self.data) + len(self.weights)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(self.__dict__)
        for key in ("_lock", "_session", "_local"):
            del state[key]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]  # torch leaves it without types
        self._forget()

    def train(self, mode: bool = True) -> EngineModule:
        """Stays in eval mode; raises RegistryError for training, which no engine does."""
        if mode:
            raise RegistryError(
                f"a file of the engine `{self.engine}` cannot be trained; train the model and export it"
            )
        super().train(False)
        return self

    def forward(self, inputs: Any) -> Any:
        """What the model returns in eval mode, on the CPU.

        Args:
            inputs: (N, C, H, W), or a list of (C, H, W) for a file that takes images.
        """
        if self.takes == "batch":
            found = self.run(inputs) if self.artefact is None else in_batches(self.run, self.artefact, inputs)
            return restored(self.outputs, found)
        return [restored(self.outputs, self.run(image)) for image in inputs]

    def run(self, tensor: torch.Tensor) -> list[torch.Tensor]:
        """The file's outputs for its one input, as they come.

        Raises:
            MissingExtraError: the engine is not installed.
            RegistryError: the engine refuses the input, such as for its shape.
        """
        array = tensor.detach().to("cpu").contiguous().numpy()
        session = self.session
        try:
            if self.engine == "onnx":
                arrays = session.run(None, {session.get_inputs()[0].name: array})
            else:
                found = self._request(session).infer({0: array}, share_inputs=True, share_outputs=False)
                arrays = [found[index].copy() for index in range(len(session.outputs))]
        except Exception as error:  # of the engine's own types
            told = " ".join(str(error).split())[:400]
            raise RegistryError(
                f"the engine `{self.engine}` fails on an input of {tuple(tensor.shape)}: {type(error).__name__}: {told}"
            ) from error
        return [torch.from_numpy(each) for each in arrays]

    @property
    def session(self) -> Any:
        """The engine's own object, an `InferenceSession` or a `CompiledModel`, made on first use."""
        with self._lock:
            if self._session is None:
                self._session = self._start()
            return self._session

    def _start(self) -> Any:
        package, extra = _PACKAGES[self.engine]
        module: Any = require(package, extra, f"running a model with {package}")
        threads = self._threads or torch.get_num_threads()
        if self.engine == "onnx":
            options = module.SessionOptions()
            options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
            options.log_severity_level = 3
            return module.InferenceSession(self.data, options, providers=["CPUExecutionProvider"])
        core = module.Core()
        model = core.read_model(self.data, self.weights)
        settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        return core.compile_model(model, "CPU", settings)

    def _request(self, compiled: Any) -> Any:
        """This thread's own request, as one request runs one input at a time."""
        if getattr(self._local, "of", None) is not compiled:
            self._local.of, self._local.request = compiled, compiled.create_infer_request()
        return self._local.request
