"""The execution path that runs a network by ONNX Runtime."""

import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from sfic_bench.deploy.export import ExportFailed, load_onnx, write
from sfic_bench.errors import MissingDependency
from sfic_bench.measure.execution import Ready, Unavailable


def onnx_runtime(model: nn.Module, inputs: tuple[Tensor, ...], training: bool) -> Ready:
    """Write ``model`` as ONNX for the shape of its one input, to be run by ONNX Runtime on the CPU in float32.

    Raises:
        Unavailable: for training, another device or number format, or several inputs; if the extra ``onnx`` is not
            installed; or if the network cannot be written as ONNX.
    """
    if training:
        raise Unavailable("ONNX Runtime runs inference alone")
    x = inputs[0]
    if x.device.type != "cpu" or x.dtype != torch.float32 or len(inputs) != 1:
        raise Unavailable("this path runs float32 on the CPU, and networks with one input")
    start = time.perf_counter()
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "network.onnx"
            write(model, x, path, "onnx")
            run = load_onnx(path)
    except (MissingDependency, ExportFailed) as reason:
        raise Unavailable(str(reason)) from None
    fixed = x.contiguous()
    # The runtime allocates its own memory, which torch's allocator does not see.
    return Ready(run=lambda: run(fixed), setup_s=time.perf_counter() - start, peak_bytes={})
