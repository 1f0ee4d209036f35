"""`export`: a network as a file for other programs, which is compared with torch before it is kept."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from sfic_bench.deploying.formats import ExportFailed, format_named, write
from sfic_bench.deploying.quantise import write_int8
from sfic_bench.errors import InvalidValue

TOLERANCE = 1e-3
"""The largest error that is accepted, relative to the largest value of torch's output."""

INT8_TOLERANCE = 0.2
"""The same for int8. It tells a wrong network from a rounded one; what rounding costs, `deploy` measures on images."""

BATCHES = (1, 3)
"""Batch sizes that a file is checked with; it is written with a different one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """A file that was checked and kept.

    Attributes:
        format: one of `sfic_bench.deploying.formats.FORMATS`.
        max_abs_error: the largest difference between its outputs and torch's, over all ``batches``.
        batches: the batch sizes that it was checked with.
    """

    path: Path
    format: str
    max_abs_error: float
    batches: tuple[int, ...]


def export(
    model: nn.Module,
    path: Path | str,
    *,
    format: str,
    input_size: int = 256,
    calibration: Sequence[Tensor] = (),
) -> Exported:
    """Write ``model`` for inference on any batch of ``[B, 3, input_size, input_size]``.

    The file is written beside ``path``, run on random input, compared with ``model`` and only then renamed to
    ``path``, so that an existing file is replaced only by one that is correct.

    Args:
        model: any network in evaluation mode; its fused form needs the least work.
        path: the file; OpenVINO's has the weights in a second one beside it, ``NAME.bin``.
        format: one of `sfic_bench.deploying.formats.FORMATS`.
        input_size: height and width.
        calibration: batches ``[B, 3, input_size, input_size]`` as the network reads them. If there are any, the file
            has int8, with scales that are found on them, and is compared with torch on the first of them alone.

    Raises:
        UnknownName: for an unknown format.
        InvalidValue: for a network in training mode, a name that the format does not allow, or a folder that does not
            exist.
        MissingDependency: if the format needs a package that is not installed.
        ExportFailed: if the network cannot be written, or the file computes something else.
    """
    path, chosen = Path(path), format_named(format)
    chosen.check_name(path)
    if model.training:
        raise InvalidValue("the network is in training mode: call .eval(), or fuse it, before exporting")
    if not path.parent.is_dir():
        raise InvalidValue(f"cannot write {path}: there is no folder {path.parent}; create it first")
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.", ignore_cleanup_errors=True) as folder:
        unchecked = Path(folder) / path.name
        example = torch.randn(2, 3, input_size, input_size)
        if calibration:
            write_int8(model, example, unchecked, format, calibration)
            inputs, tolerance = [calibration[0]], INT8_TOLERANCE
        else:
            write(model, example, unchecked, format)
            inputs, tolerance = [torch.randn(n, 3, input_size, input_size) for n in BATCHES], TOLERANCE
        session = chosen.load(unchecked)
        largest = max(_error(model, session, x, tolerance) for x in inputs)
        if chosen.beside:
            unchecked.with_suffix(chosen.beside).replace(path.with_suffix(chosen.beside))
        unchecked.replace(path)
    return Exported(path=path, format=format, max_abs_error=largest, batches=tuple(map(len, inputs)))


def _error(model: nn.Module, run: Callable[[Tensor], Tensor], x: Tensor, tolerance: float) -> float:
    """The largest difference between both outputs for ``x``; raises `ExportFailed` if they do not agree."""
    with torch.no_grad():
        expected, output = model(x), run(x)
    if output.shape != expected.shape:
        raise ExportFailed(
            f"for a batch of {len(x)} the file gives {tuple(output.shape)}, torch {tuple(expected.shape)}"
        )
    error = float((output - expected).abs().max())
    limit = tolerance * max(float(expected.abs().max()), 1e-6)
    if not error <= limit:  # in this form NaN fails too
        raise ExportFailed(f"for a batch of {len(x)} the file is wrong by {error:.3g}, more than {limit:.3g}: not kept")
    return error
