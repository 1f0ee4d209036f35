"""Execution paths that run a network from a file by another runtime than torch, in float32 or int8."""

import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from sfic_bench.deploying.formats import ExportFailed, load_as_written
from sfic_bench.deploying.quantise import OnnxFiles
from sfic_bench.deploying.runtimes import RUNTIMES, Runtime
from sfic_bench.errors import MissingDependency
from sfic_bench.measure.execution import Ready, Unavailable
from sfic_bench.measure.paths import Maker


def _by(runtime: Runtime) -> Maker:
    """A maker for a network that ``runtime`` runs on the CPU. Scales of int8 are found on the network's one input."""

    def make(model: nn.Module, inputs: tuple[Tensor, ...], training: bool) -> Ready:
        if training:
            raise Unavailable("this path runs inference alone")
        x = inputs[0]
        if x.device.type != "cpu" or x.dtype != torch.float32 or len(inputs) != 1:
            raise Unavailable("this path runs networks with one float32 input on the CPU")
        lies_last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
        channels_last = lies_last and runtime.reads_channels_last
        fixed = x if channels_last else x.contiguous()
        start = time.perf_counter()
        try:
            with tempfile.TemporaryDirectory() as folder:
                files = OnnxFiles(model, x, Path(folder), lambda: [fixed])
                session, _ = runtime.session(files, len(x), channels_last)
                setup_s = time.perf_counter() - start
                rounded = load_as_written(files.int8, len(x))(fixed) if runtime.int8 else None
        except (MissingDependency, ExportFailed) as error:
            raise Unavailable(str(error)) from None
        # A runtime allocates its own memory, which torch's allocator does not see.
        return Ready(
            run=lambda: session(fixed), setup_s=setup_s, peak_bytes={}, runtime=session.runtime, rounded=rounded
        )

    return make


onnx_runtime = _by(RUNTIMES["onnxruntime"])
onnx_runtime_int8 = _by(RUNTIMES["onnxruntime-int8"])
openvino = _by(RUNTIMES["openvino"])
openvino_int8 = _by(RUNTIMES["openvino-int8"])


def tensorrt(model: nn.Module, inputs: tuple[Tensor, ...], training: bool) -> Ready:
    """The network compiled by TensorRT, through the package torch_tensorrt.

    Raises:
        Unavailable: for training, on another device than CUDA, without the package, or if it cannot compile.
    """
    if training:
        raise Unavailable("TensorRT runs inference alone")
    if inputs[0].device.type != "cuda":
        raise Unavailable("TensorRT needs a CUDA device")
    try:
        import torch_tensorrt
    except ImportError as error:
        raise Unavailable("TensorRT needs torch_tensorrt, not installed: pip install torch-tensorrt") from error
    start = time.perf_counter()
    try:
        compiled = torch_tensorrt.compile(
            model, ir="dynamo", inputs=list(inputs), enabled_precisions={inputs[0].dtype}, min_block_size=1
        )
        with torch.no_grad():
            compiled(*inputs)
    except Exception as error:  # whatever the compiler raises
        raise Unavailable(f"TensorRT cannot compile this network: {error}") from error

    def run() -> Tensor:
        with torch.no_grad():
            result: Tensor = compiled(*inputs)
        return result

    runtime = f"TensorRT, torch_tensorrt {torch_tensorrt.__version__}"
    return Ready(run=run, setup_s=time.perf_counter() - start, runtime=runtime)
