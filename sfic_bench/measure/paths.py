"""Execution paths: the ways to run a network, by name. This module imports no torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

    from sfic_bench.measure.execution import Ready

Maker = Callable[["nn.Module", "tuple[Tensor, ...]", bool], "Ready"]
"""Makes a network ready to be called, given the network, its inputs, and whether a training step is run."""

_EXECUTION = "sfic_bench.measure.execution"


@dataclass(frozen=True, kw_only=True, slots=True)
class ExecutionPath:
    """One way to run a network, whether vanilla or SFIC.

    Attributes:
        name: what the command line calls it.
        summary: how `sfic-bench list` describes it.
        fused: whether the network is fused first, see `sfic_bench.fuse`; a vanilla network then loses its BatchNorms.
        maker: the function that makes a network ready, or its place as ``"package.module:function"``.
        needs: the device or mode that the path is limited to; ``""`` if it is not limited.
    """

    name: str
    summary: str
    fused: bool = True
    maker: str | Maker
    needs: str = ""

    def make(self, model: "nn.Module", inputs: "tuple[Tensor, ...]", training: bool) -> "Ready":
        """Make ``model`` ready to be called on ``inputs``.

        Raises:
            Unavailable: if the path cannot run in this mode, on this device or on this machine.
        """
        if not isinstance(self.maker, str):
            return self.maker(model, inputs, training)
        module, _, function = self.maker.partition(":")
        maker: Maker = getattr(import_module(module), function)
        return maker(model, inputs, training)


EXECUTION_PATHS: Mapping[str, ExecutionPath] = {
    path.name: path
    for path in (
        ExecutionPath(
            name="reference",
            summary="as in the paper: four convolutions and two resizes in Stage 2, eager",
            fused=False,
            maker=f"{_EXECUTION}:eager",
        ),
        ExecutionPath(name="fused", summary="fused, eager", maker=f"{_EXECUTION}:eager"),
        ExecutionPath(name="compiled", summary="fused, torch.compile", maker=f"{_EXECUTION}:compiled"),
        ExecutionPath(
            name="compiled-freezing",
            summary="fused, torch.compile with the weights as constants",
            maker=f"{_EXECUTION}:compiled_freezing",
            needs="inference",
        ),
        ExecutionPath(
            name="compiled-reduce-overhead",
            summary="fused, torch.compile in mode reduce-overhead",
            maker=f"{_EXECUTION}:compiled_reduce_overhead",
            needs="CUDA",
        ),
        ExecutionPath(
            name="compiled-max-autotune",
            summary="fused, torch.compile in mode max-autotune",
            maker=f"{_EXECUTION}:compiled_max_autotune",
        ),
        ExecutionPath(
            name="cuda-graph",
            summary="fused, captured in a CUDA graph and replayed",
            maker=f"{_EXECUTION}:cuda_graph",
            needs="CUDA",
        ),
        ExecutionPath(
            name="onnxruntime",
            summary="fused, as ONNX, run by ONNX Runtime",
            maker="sfic_bench.deploy.onnx:onnx_runtime",
            needs="inference on a CPU in fp32, and the extra onnx",
        ),
    )
}
"""By name."""
