"""The file formats in which networks are written for other programs, and what runs each of them.

ONNX is written by torch's exporter (``torch.onnx.export(dynamo=True)``) and run by ONNX Runtime; OpenVINO's format is
made of that file and run by OpenVINO; exported programs (``torch.export``) and TorchScript are torch's own.
"""

import copy
import importlib.util
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from sfic_bench.deploying.onnx_graph import suit_runtimes
from sfic_bench.errors import InvalidValue, MissingDependency, SficBenchError, UnknownName, chain, first_line
from sfic_bench.extras import install_command

if TYPE_CHECKING:
    from openvino import Model

OPSET = 18
"""The version of ONNX's operators that is written."""


class ExportFailed(SficBenchError):
    """A network cannot be written in a format, or its file computes something else."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """A network in a file, made ready by a runtime. Calling it gives the network's output for ``[B, 3, H, W]``.

    Attributes:
        run: computes the output.
        runtime: the runtime's name and version, what it runs on, and its number of threads.
    """

    run: Callable[[Tensor], Tensor]
    runtime: str

    def __call__(self, x: Tensor) -> Tensor:
        return self.run(x)


class Loader(Protocol):
    """Makes the network in a file ready, for batches of ``batch`` images alone if that is given.

    A runtime that knows the batch plans memory and code for it, and need not find out sizes in each call.
    ``channels_last`` says that images lie in memory pixel by pixel, as decoders give them, see `FileFormat`.
    """

    def __call__(self, path: Path, batch: int | None = None, channels_last: bool = False, /) -> Session: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class FileFormat:
    """A format, with the function that writes a network and the one that makes a file ready.

    Attributes:
        name: what ``--to`` calls it.
        title: its name in messages.
        write: writes a network for inputs of the shape of a tensor, and any batch size.
        load: makes a file ready, see `Loader`.
        packages: what it needs beside torch.
        extra: the extra of sfic-bench that brings these packages.
        suffix: what the name of a file must end with; ``""`` for anything.
        beside: the ending of a second file that lies beside the first; ``""`` if there is none.
        reads_channels_last: whether what runs it reads images that lie in memory pixel by pixel without a copy.
    """

    name: str
    title: str
    write: Callable[[nn.Module, Tensor, Path], None]
    load: Loader
    packages: tuple[str, ...] = ()
    extra: str = ""
    suffix: str = ""
    beside: str = ""
    reads_channels_last: bool = False

    def check_installed(self) -> None:
        """Raise `MissingDependency` if one of `packages` is not installed."""
        if missing := [package for package in self.packages if importlib.util.find_spec(package) is None]:
            raise MissingDependency(
                f"{self.title} needs {', '.join(missing)}, not installed: {install_command(self.extra)}"
            )

    def check_name(self, path: Path) -> None:
        """Raise `InvalidValue` if a file of this format cannot be called ``path``."""
        if not path.name.endswith(self.suffix):
            raise InvalidValue(f"a file of {self.title} is called NAME{self.suffix}, not {path.name}")


def format_named(name: str) -> FileFormat:
    """The format called ``name``.

    Raises:
        UnknownName: if there is none.
    """
    if name not in FORMATS:
        raise UnknownName("format", name, FORMATS)
    return FORMATS[name]


def write(model: nn.Module, x: Tensor, path: Path, format: str) -> None:
    """Write ``model`` in one of `FORMATS`, for inputs with the shape of ``x`` and any batch size.

    Raises:
        MissingDependency: if the format needs a package that is not installed.
        ExportFailed: if the network cannot be written.
    """
    chosen = format_named(format)
    chosen.check_installed()
    several = torch.cat((x, x)) if len(x) == 1 else x  # torch.export takes a batch of one for a constant
    try:
        with quietly():
            chosen.write(model, several, path)
    except SficBenchError:
        raise
    except Exception as error:  # whatever an exporter raises
        reason = f"{type(error).__name__}: {first_line(error)}"
        if any("'group': SymbolicTensor" in str(cause) for cause in chain(error)):
            reason = "a convolution has groups for each image of a batch, and ONNX takes one number of groups"
        raise ExportFailed(f"torch cannot write this network as {format}: {reason}") from error


@contextmanager
def quietly() -> Iterator[None]:
    """Silence exporters' warnings about their own calls, unneeded packages, and branches on the fixed image size."""
    loggers = [logging.getLogger("torch.onnx"), logging.getLogger()]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


BATCH = "batch"
"""The name of the first axis of a file's input and output, whose length is open."""


def _dynamic_batch() -> dict[int, object]:
    return {0: torch.export.Dim(BATCH, min=1)}


def _threads() -> str:
    threads = torch.get_num_threads()
    return f"{threads} thread{'s' if threads > 1 else ''}"


def _write_onnx(model: nn.Module, x: Tensor, path: Path) -> None:
    # ONNX knows no memory formats: of one whose weights lie channels last, torch writes a global pool as a gather with
    # computed indices, which OpenVINO 2026.4 reads wrongly in int8.
    contiguous = copy.deepcopy(model)
    contiguous.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # torch has no type for it
    program = torch.onnx.export(
        contiguous, (x.contiguous(),), dynamo=True, opset_version=OPSET, verbose=False,
        input_names=["image"], output_names=["logits"], dynamic_shapes=(_dynamic_batch(),),
    )  # fmt: skip
    assert program is not None
    suit_runtimes(program.model)
    program.save(path)


def _load_onnx(path: Path, batch: int | None = None, _: bool = False, /, *, as_written: bool = False) -> Session:
    """An ONNX file, run by ONNX Runtime on the CPU with torch's number of threads.

    ``as_written`` runs it operation by operation, so that a file in int8 computes its rounded values in float32.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    if as_written:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if batch is not None:
        options.add_free_dimension_override_by_name(BATCH, batch)
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors alone
    session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(x: Tensor) -> Tensor:
        (result,) = session.run(None, {name: x.contiguous().numpy()})
        return torch.from_numpy(result)

    (provider,) = session.get_providers()
    return Session(run=run, runtime=f"ONNX Runtime {onnxruntime.__version__}, {provider}, {_threads()}")


load_as_written: Loader = partial(_load_onnx, as_written=True)
"""Makes an ONNX file ready to be run operation by operation."""


def onnx_to_openvino(onnx: Path, path: Path) -> None:
    """Write the network in the file ``onnx`` in OpenVINO's format, in the same number format."""
    import openvino

    openvino.save_model(openvino.Core().read_model(onnx), path, compress_to_fp16=False)


def _write_openvino(model: nn.Module, x: Tensor, path: Path) -> None:
    onnx = path.with_name(f"{path.name}.onnx")
    _write_onnx(model, x, onnx)
    onnx_to_openvino(onnx, path)
    onnx.unlink()


def _load_openvino(path: Path, batch: int | None = None, channels_last: bool = False, /) -> Session:
    """A file of OpenVINO, run by it on the CPU with torch's number of threads, in the file's format.

    Without the hint OpenVINO computes a float32 network in bfloat16 where the processor can.
    """
    import openvino

    core = openvino.Core()
    settings = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    model = core.read_model(path)
    if batch is not None:
        shape = model.inputs[0].partial_shape
        shape[0] = batch
        model.reshape(shape)
    if channels_last:
        model = _reading_channels_last(model)
    compiled = core.compile_model(model, "CPU", settings)

    def run(x: Tensor) -> Tensor:
        given = x.permute(0, 2, 3, 1) if channels_last else x
        return torch.from_numpy(compiled(given.contiguous().numpy())[0].copy())

    version = openvino.__version__.partition("-")[0]
    return Session(run=run, runtime=f"OpenVINO {version}, CPU, {_threads()}")


def _reading_channels_last(model: "Model") -> "Model":
    """A network of OpenVINO whose input is ``[B, H, W, C]`` in place of ``[B, C, H, W]``."""
    from openvino import Layout
    from openvino.preprocess import PrePostProcessor

    steps = PrePostProcessor(model)
    steps.input().tensor().set_layout(Layout("NHWC"))
    steps.input().model().set_layout(Layout("NCHW"))
    return steps.build()


def _write_exported(model: nn.Module, x: Tensor, path: Path) -> None:
    program = torch.export.export(model, (x,), dynamic_shapes=(_dynamic_batch(),))
    with path.open("wb") as file:
        torch.export.save(program, file)


def _load_exported(path: Path, _: int | None = None, __: bool = False, /) -> Session:
    with path.open("rb") as file:
        return by_torch(torch.export.load(file).module())


def _write_script(model: nn.Module, x: Tensor, path: Path) -> None:
    torch.jit.trace(model, x, check_trace=False).save(str(path))  # type: ignore[no-untyped-call]


def _load_script(path: Path, _: int | None = None, __: bool = False, /) -> Session:
    return by_torch(torch.jit.load(str(path)))  # type: ignore[no-untyped-call]


def by_torch(network: Callable[[Tensor], Tensor]) -> Session:
    """A network that torch runs on the CPU."""
    return Session(run=network, runtime=f"torch {torch.__version__}, CPU, {_threads()}")


ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")

FORMATS: Mapping[str, FileFormat] = {
    format.name: format
    for format in (
        FileFormat(name="onnx", title="ONNX", write=_write_onnx, load=_load_onnx, packages=ONNX_PACKAGES, extra="onnx"),
        FileFormat(
            name="openvino", title="OpenVINO", write=_write_openvino, load=_load_openvino,
            packages=(*ONNX_PACKAGES, "openvino"), extra="openvino", suffix=".xml", beside=".bin",
            reads_channels_last=True,
        ),
        FileFormat(name="torch-export", title="torch.export", write=_write_exported, load=_load_exported),
        FileFormat(name="torchscript", title="TorchScript", write=_write_script, load=_load_script),
    )
}  # fmt: skip
"""All formats by name."""
