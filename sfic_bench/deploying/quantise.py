"""Static int8: a network whose convolutions multiply integers of eight bits, with scales found on example images.

ONNX Runtime finds the scales and writes them into the graph (QDQ format), and both it and OpenVINO run such a file.
Weights have a scale for each output channel, activations one for each tensor (Jacob et al., "Quantization and Training
of Neural Networks for Efficient Integer-Arithmetic-Only Inference", CVPR 2018). The convolutions that read the image
and the layer that gives the logits stay float32, as is usual: they take little time, and errors cost most there.
OpenVINO 2026.4 also computes a convolution of three channels in int8 wrongly. Weights have as many bits as the CPU that
quantises multiplies rightly (`sfic_bench.deploying.weight_bits`).
"""

import math
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from sfic_bench.deploying.formats import ExportFailed, format_named, onnx_to_openvino, quietly, write
from sfic_bench.deploying.weight_bits import weight_bits
from sfic_bench.errors import InvalidValue, first_line

QUANTISED = ("onnx", "openvino")
"""The formats that have int8."""


class OnnxFiles:
    """A network as ONNX files in a folder, each written when it is first asked for.

    Args:
        model: the network, in evaluation mode.
        x: an input with the shape that the network takes; any batch size.
        folder: where the files lie.
        calibration: gives the images for `quantise`.
    """

    def __init__(self, model: nn.Module, x: Tensor, folder: Path, calibration: Callable[[], Iterable[Tensor]]) -> None:
        self.model, self._x, self._folder, self._calibration = model, x, folder, calibration

    @cached_property
    def float32(self) -> Path:
        """The network as it is; raises the errors of `sfic_bench.deploying.formats.write`."""
        path = self._folder / "float32.onnx"
        write(self.model, self._x, path, "onnx")
        return path

    @cached_property
    def int8(self) -> Path:
        """The quantised network; also raises `ExportFailed` if it cannot be quantised."""
        path = self._folder / "int8.onnx"
        quantise(self.float32, path, self._calibration())
        return path


def write_int8(model: nn.Module, x: Tensor, path: Path, format: str, images: Iterable[Tensor]) -> None:
    """Write ``model`` in int8, as `sfic_bench.deploying.formats.write` writes it in float32.

    Args:
        model: the network, in evaluation mode.
        x: an input with the shape that the network takes; any batch size.
        path: the file to write.
        format: one of `QUANTISED`.
        images: see `quantise`.

    Raises:
        UnknownName: for an unknown format.
        InvalidValue: for a format without int8.
        MissingDependency: if a package is not installed.
        ExportFailed: if the network cannot be written or quantised.
    """
    chosen = format_named(format)
    if format not in QUANTISED:
        raise InvalidValue(f"{chosen.title} has no int8 here: choose {' or '.join(QUANTISED)}")
    chosen.check_installed()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        int8 = OnnxFiles(model, x, Path(folder), lambda: images).int8
        if format == "onnx":
            shutil.move(int8, path)
        else:
            onnx_to_openvino(int8, path)


def _ends(path: Path) -> list[str]:
    """The names of the nodes at both ends of the network in an ONNX file, which stay float32.

    They are the convolutions that read as many channels as the image has, the max pools between them and the next
    convolutions, and the last product.
    """
    import onnx

    graph = onnx.load(path).graph
    weights = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    channels = graph.input[0].type.tensor_type.shape.dim[1].dim_value
    ends, last, in_float32 = [], "", set[str]()
    for node in graph.node:
        if node.op_type in ("Conv", "Gemm", "MatMul"):
            last = node.name
            weight = weights.get(node.input[1], ())
            groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
            if len(weight) != 4 or weight[1] * groups != channels:
                continue
            ends.append(node.name)
        elif in_float32.isdisjoint(node.input):
            continue
        elif node.op_type == "MaxPool":
            ends.append(node.name)
        in_float32.update(node.output)
    return [*ends, last]


def _write_means_as_convolutions(path: Path) -> None:
    """Write average pools of whole windows that do not overlap as depthwise convolutions, in the ONNX file ``path``.

    ONNX Runtime's average pool in int8 computes in float32 and takes five times as long.
    """
    import onnx

    model = onnx.shape_inference.infer_shapes(onnx.load(path))
    graph = model.graph
    values = [*graph.input, *graph.value_info]
    shapes = {value.name: [d.dim_value for d in value.type.tensor_type.shape.dim] for value in values}
    for place, pool in enumerate(graph.node):
        if pool.op_type != "AveragePool":
            continue
        settings = {a.name: onnx.helper.get_attribute_value(a) for a in pool.attribute}
        window, (_, channels, *_) = settings["kernel_shape"], shapes[pool.input[0]]
        if settings.get("strides") != window or settings.get("ceil_mode") or any(settings.get("pads", ())):
            continue
        mean = np.full((channels, 1, *window), 1 / math.prod(window), np.float32)
        graph.initializer.append(onnx.numpy_helper.from_array(mean, f"{pool.output[0]}.mean"))
        graph.node[place].CopyFrom(
            onnx.helper.make_node(
                "Conv",
                [pool.input[0], f"{pool.output[0]}.mean"],
                list(pool.output),
                name=pool.name or f"{pool.output[0]}.conv",
                group=channels,
                kernel_shape=window,
                strides=window,
            )
        )
    onnx.save(model, path)


def _keep_float_pools(path: Path) -> None:
    """Let largest values that are taken of float32 be taken in float32, in the ONNX file ``path``.

    ONNX Runtime moves the rounding in front of such a pool, and behind a convolution in float32 it then takes 20 times
    as long. It does not move it over the maximum with a number that is never larger.
    """
    import onnx

    model = onnx.load(path)
    graph = model.graph
    dequantised = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    pools = [node for node in graph.node if node.op_type == "MaxPool" and node.input[0] not in dequantised]
    if pools:
        graph.initializer.append(onnx.numpy_helper.from_array(np.array(np.finfo(np.float32).min), "least"))
    for pool in pools:
        pooled = pool.output[0]
        pool.output[0] = f"{pooled}_float32"
        graph.node.insert(
            list(graph.node).index(pool) + 1, onnx.helper.make_node("Max", [pool.output[0], "least"], [pooled])
        )
    onnx.save(model, path)


def quantise(source: Path, target: Path, images: Iterable[Tensor]) -> None:
    """Write the float32 network in the ONNX file ``source`` as int8 to ``target``.

    Args:
        source: the file to read.
        target: the file to write; files for intermediate results lie beside it for a while.
        images: batches ``[B, 3, H, W]`` as the network reads them, whose largest and smallest activations give the
            scales.

    Raises:
        ExportFailed: if ONNX Runtime cannot quantise the network.
    """
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class CalibrationImages(CalibrationDataReader):  # type: ignore[misc]  # the package has no types
        """The images under the name of the network's input, one batch at a time."""

        def __init__(self) -> None:
            self.batches: Iterator[Tensor] = iter(images)

        def get_next(self) -> dict[str, object] | None:
            batch = next(self.batches, None)
            return None if batch is None else {"image": batch.contiguous().numpy()}

    prepared = target.with_name(f"{target.name}.prepared")
    try:
        with quietly():
            quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
            _write_means_as_convolutions(prepared)
            quantize_static(
                str(prepared),
                str(target),
                CalibrationImages(),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                reduce_range=weight_bits() < 8,
                calibrate_method=CalibrationMethod.MinMax,
                nodes_to_exclude=_ends(prepared),
            )
            _keep_float_pools(target)
    except Exception as error:  # whatever the runtime raises
        raise ExportFailed(
            f"ONNX Runtime cannot quantise this network: {type(error).__name__}: {first_line(error)}"
        ) from error
    finally:
        prepared.unlink(missing_ok=True)
