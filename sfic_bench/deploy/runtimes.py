"""The runtimes that take a trained network: torch itself, ONNX Runtime and OpenVINO, in float32 and in int8."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from sfic_bench.deploy.formats import FORMATS, Session, by_torch, write
from sfic_bench.deploy.quantise import write_int8
from sfic_bench.errors import UnknownName


@dataclass(frozen=True, kw_only=True, slots=True)
class Runtime:
    """One way to deploy a network.

    Attributes:
        name: the execution path's name, or ``"torch"``.
        format: the file format that the network is written in; ``None`` for torch, which needs no file.
        int8: whether the network is quantised.
    """

    name: str
    format: str | None = None
    int8: bool = False

    def session(
        self, model: nn.Module, x: Tensor, folder: Path, calibration: Callable[[], Iterable[Tensor]]
    ) -> tuple[Session, int]:
        """``model`` made ready, and the bytes of its file or, for torch, of its parameters and buffers.

        Args:
            model: a fused network in evaluation mode, on the CPU.
            x: an input of the size that it will get.
            folder: an empty folder for its files, which may be deleted afterwards.
            calibration: gives batches of inputs on which the scales of int8 are found.

        Raises:
            MissingDependency: if a package that the runtime needs is not installed.
            ExportFailed: if the network cannot be written or quantised.
        """
        if self.format is None:
            return by_torch(torch.inference_mode()(model)), sum(t.nbytes for t in model.state_dict().values())
        path = folder / f"network{FORMATS[self.format].suffix}"
        if self.int8:
            write_int8(model, x, path, self.format, calibration())
        else:
            write(model, x, path, self.format)
        return FORMATS[self.format].load(path), sum(file.stat().st_size for file in folder.iterdir())


RUNTIMES: Mapping[str, Runtime] = {
    runtime.name: runtime
    for runtime in (
        Runtime(name="torch"),
        Runtime(name="onnxruntime", format="onnx"),
        Runtime(name="onnxruntime-int8", format="onnx", int8=True),
        Runtime(name="openvino", format="openvino"),
        Runtime(name="openvino-int8", format="openvino", int8=True),
    )
}
"""All runtimes by name; the first is what the others are compared with."""

TORCH = "torch"


def runtimes_named(names: Iterable[str]) -> list[Runtime]:
    """The runtimes called ``names``, torch first, which all are compared with.

    Raises:
        UnknownName: for a name that is none of a runtime.
    """
    for name in (names := list(names)):
        if name not in RUNTIMES:
            raise UnknownName("runtime", name, RUNTIMES)
    return [RUNTIMES[name] for name in dict.fromkeys((TORCH, *names))]
