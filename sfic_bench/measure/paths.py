"""Execution paths: the ways to run a network, by name. This module imports no torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from sfic_bench.choices import Kernels
from sfic_bench.plugins import WithPlugins

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sfic_bench.measure.execution import Ready

Maker = Callable[["nn.Module", "tuple[Tensor, ...]", bool], "Ready"]
"""Makes a network ready to be called. Its arguments are the network, its inputs and whether a training step is run."""

_EXECUTION = "sfic_bench.measure.execution"
EAGER = f"{_EXECUTION}:eager"
_DEPLOY = "sfic_bench.deploying.paths"


@dataclass(frozen=True, kw_only=True, slots=True)
class ExecutionPath:
    """One way to run a network, whether vanilla or SFIC.

    Attributes:
        fused: whether the network is fused first, see `sfic_bench.fuse`; a vanilla network then loses its BatchNorms.
        maker: the function that makes a network ready, or its location as ``"package.module:function"``.
        limits: the device or mode that the path is limited to, and what it needs; ``""`` if nothing limits it.
        kernels: whose code runs Stage 2, see `sfic_bench.fuse`.
    """

    name: str
    summary: str
    fused: bool = True
    maker: str | Maker
    limits: str = ""
    kernels: Kernels = Kernels.NONE

    @property
    def is_eager(self) -> bool:
        """Whether the network runs operation by operation."""
        return self.maker == EAGER

    def make(self, model: "nn.Module", inputs: "tuple[Tensor, ...]", training: bool) -> "Ready":
        """Make ``model`` ready to be called on ``inputs``.

        Raises:
            Unavailable: if the path cannot run in this mode, on this device or on this machine.
        """
        maker = self.maker
        if isinstance(maker, str):
            module, _, function = maker.partition(":")
            maker = getattr(import_module(module), function)
        return maker(model, inputs, training)


_OWN: Mapping[str, ExecutionPath] = {
    path.name: path
    for path in (
        ExecutionPath(
            name="reference", fused=False, maker=EAGER,
            summary="as in the paper: four convolutions and two resizes in Stage 2, eager",
        ),
        ExecutionPath(name="fused", maker=EAGER, summary="fused, eager"),
        ExecutionPath(name="compiled", maker=f"{_EXECUTION}:compiled", summary="fused, torch.compile"),
        ExecutionPath(
            name="compiled-freezing", maker=f"{_EXECUTION}:compiled_freezing", limits="inference only",
            summary="fused, torch.compile with the weights as constants",
        ),
        ExecutionPath(
            name="compiled-reduce-overhead", maker=f"{_EXECUTION}:compiled_reduce_overhead", limits="CUDA only",
            summary="fused, torch.compile in mode reduce-overhead",
        ),
        ExecutionPath(
            name="compiled-max-autotune", maker=f"{_EXECUTION}:compiled_max_autotune",
            summary="fused, torch.compile in mode max-autotune",
        ),
        ExecutionPath(
            name="cuda-graph", maker=f"{_EXECUTION}:cuda_graph", limits="CUDA only",
            summary="fused, captured in a CUDA graph and replayed",
        ),
        ExecutionPath(
            name="triton", maker=f"{_EXECUTION}:triton", kernels=Kernels.AUTO,
            limits="CUDA only; needs the extra kernels",
            summary="fused, Stage 2 by Triton kernels with tuned tiles, in a CUDA graph",
        ),
        ExecutionPath(
            name="onnxruntime", maker=f"{_DEPLOY}:onnx_runtime",
            limits="fp32 inference on a CPU only; needs the extra onnx",
            summary="fused, as ONNX, run by ONNX Runtime",
        ),
        ExecutionPath(
            name="onnxruntime-int8", maker=f"{_DEPLOY}:onnx_runtime_int8",
            limits="inference on a CPU only; needs the extra onnx",
            summary="fused, in static int8, run by ONNX Runtime",
        ),
        ExecutionPath(
            name="openvino", maker=f"{_DEPLOY}:openvino",
            limits="fp32 inference on a CPU only; needs the extra openvino",
            summary="fused, run by OpenVINO",
        ),
        ExecutionPath(
            name="openvino-int8", maker=f"{_DEPLOY}:openvino_int8",
            limits="inference on a CPU only; needs the extra openvino",
            summary="fused, in static int8, run by OpenVINO",
        ),
        ExecutionPath(
            name="tensorrt", maker=f"{_DEPLOY}:tensorrt", limits="CUDA inference only; needs torch-tensorrt",
            summary="fused, compiled by TensorRT",
        ),
    )
}  # fmt: skip

EXECUTION_PATHS: Mapping[str, ExecutionPath] = WithPlugins(_OWN, "paths", ExecutionPath)
"""All execution paths by name, with those of plug-ins."""
