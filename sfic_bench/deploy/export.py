"""Writing networks as files for other programs, and running them by ONNX Runtime.

A file is compared with torch before it is kept. The formats are ONNX through torch's exporter
(``torch.onnx.export(dynamo=True)``), torch's own exported programs (``torch.export``), and TorchScript.
"""

import importlib.util
import logging
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from sfic_bench.errors import InvalidValue, MissingDependency, SficBenchError, first_line
from sfic_bench.measure.execution import Ready, Unavailable

TOLERANCE = 1e-3
"""The largest error that is accepted, relative to the largest value of torch's output."""

BATCHES = (1, 3)
"""Batch sizes that a file is checked with; it is written with a different one."""

OPSET = 18
"""The version of ONNX's operators that is written."""


class ExportFailed(SficBenchError):
    """A network cannot be written in a format, or its file computes something else."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """A file that was checked and kept.

    Attributes:
        format: one of `FORMATS`.
        max_abs_error: the largest difference between its outputs and torch's, over all ``batches``.
        batches: the batch sizes that it was checked with.
    """

    path: Path
    format: str
    max_abs_error: float
    batches: tuple[int, ...]


Run = Callable[[Tensor], Tensor]
"""Computes a network's output from a file."""


def export(model: nn.Module, path: Path | str, *, format: str, input_size: int = 256) -> Exported:
    """Write ``model`` for inference on any batch of ``[B, 3, input_size, input_size]``.

    The file is written beside ``path``, run on random input, compared with ``model`` and only then renamed to
    ``path``, so that an existing file is replaced only by one that is correct.

    Args:
        model: any network in evaluation mode; its fused form needs the least work.
        path: the file.
        format: one of `FORMATS`.
        input_size: height and width.

    Raises:
        InvalidValue: for an unknown format, a network in training mode, or a folder that does not exist.
        MissingDependency: if the format needs a package that is not installed.
        ExportFailed: if the network cannot be written, or the file computes something else.
    """
    path = Path(path)
    if format not in FORMATS:
        raise InvalidValue(f"unknown format {format!r}; known: {', '.join(FORMATS)}")
    if model.training:
        raise InvalidValue("the network is in training mode: call .eval(), or fuse it, before exporting")
    if not path.parent.is_dir():
        raise InvalidValue(f"cannot write {path}: there is no folder {path.parent}; create it first")
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.", ignore_cleanup_errors=True) as folder:
        unchecked = Path(folder) / path.name
        write(model, torch.randn(2, 3, input_size, input_size), unchecked, format)
        run = FORMATS[format][1](unchecked)
        largest = max(_error(model, run, torch.randn(n, 3, input_size, input_size)) for n in BATCHES)
        unchecked.replace(path)
    return Exported(path=path, format=format, max_abs_error=largest, batches=BATCHES)


def write(model: nn.Module, x: Tensor, path: Path, format: str) -> None:
    """Write ``model`` in one of `FORMATS`, for inputs with the shape of ``x`` and any batch size.

    Raises:
        MissingDependency: if the format needs a package that is not installed.
        ExportFailed: if the network cannot be written.
    """
    try:
        with _quietly():
            FORMATS[format][0](model, x, path)
    except SficBenchError:
        raise
    except Exception as error:  # whatever an exporter raises
        raise ExportFailed(
            f"torch cannot write this network as {format}: {type(error).__name__}: {first_line(error)}"
        ) from error


@contextmanager
def _quietly() -> Iterator[None]:
    """Silence exporters' warnings about their own calls, packages that are not needed, and branches on sizes.

    Such branches depend on the input's height and width alone, which are fixed.
    """
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _error(model: nn.Module, run: Run, x: Tensor) -> float:
    """The largest difference between both outputs for ``x``; raises `ExportFailed` if they do not agree."""
    with torch.no_grad():
        expected, output = model(x), run(x)
    if output.shape != expected.shape:
        raise ExportFailed(
            f"for a batch of {len(x)} the file gives {tuple(output.shape)}, torch {tuple(expected.shape)}"
        )
    error = float((output - expected).abs().max())
    limit = TOLERANCE * max(float(expected.abs().max()), 1e-6)
    if not error <= limit:  # in this form NaN fails too
        raise ExportFailed(f"for a batch of {len(x)} the file is wrong by {error:.3g}, more than {limit:.3g}: not kept")
    return error


def _dynamic_batch() -> dict[int, object]:
    return {0: torch.export.Dim("batch", min=1)}


def _write_onnx(model: nn.Module, x: Tensor, path: Path) -> None:
    packages = ("onnx", "onnxscript", "onnxruntime")
    if missing := [package for package in packages if importlib.util.find_spec(package) is None]:
        raise MissingDependency(f"ONNX needs {', '.join(missing)}, not installed: pip install 'sfic-bench[onnx]'")
    program = torch.onnx.export(
        model, (x,), dynamo=True, opset_version=OPSET, verbose=False,
        input_names=["image"], output_names=["logits"], dynamic_shapes=(_dynamic_batch(),),
    )  # fmt: skip
    assert program is not None
    program.save(path)


def _load_onnx(path: Path) -> Run:
    """The network in an ONNX file, run by ONNX Runtime on the CPU with torch's number of threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(x: Tensor) -> Tensor:
        (result,) = session.run(None, {name: x.contiguous().numpy()})
        return torch.from_numpy(result)

    return run


def _write_exported(model: nn.Module, x: Tensor, path: Path) -> None:
    program = torch.export.export(model, (x,), dynamic_shapes=(_dynamic_batch(),))
    with path.open("wb") as file:
        torch.export.save(program, file)


def _load_exported(path: Path) -> Run:
    with path.open("rb") as file:
        return torch.export.load(file).module()


def _write_script(model: nn.Module, x: Tensor, path: Path) -> None:
    torch.jit.trace(model, x, check_trace=False).save(str(path))  # type: ignore[no-untyped-call]


def _load_script(path: Path) -> Run:
    loaded: Run = torch.jit.load(str(path))  # type: ignore[no-untyped-call]
    return loaded


FORMATS: Mapping[str, tuple[Callable[[nn.Module, Tensor, Path], None], Callable[[Path], Run]]] = {
    "onnx": (_write_onnx, _load_onnx),
    "torch-export": (_write_exported, _load_exported),
    "torchscript": (_write_script, _load_script),
}
"""A function that writes and a function that reads each format, by its name."""


def onnx_runtime(model: nn.Module, inputs: tuple[Tensor, ...], training: bool) -> Ready:
    """The execution path that writes ``model`` as ONNX for its one input and runs it by ONNX Runtime on the CPU.

    Raises:
        Unavailable: for training, another device or number format than the CPU and float32, or several inputs; if the
            extra ``onnx`` is not installed; or if the network cannot be written as ONNX.
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
            run = _load_onnx(path)
    except (MissingDependency, ExportFailed) as error:
        raise Unavailable(str(error)) from None
    fixed = x.contiguous()
    # The runtime allocates its own memory, which torch's allocator does not see.
    return Ready(run=lambda: run(fixed), setup_s=time.perf_counter() - start, peak_bytes={})
