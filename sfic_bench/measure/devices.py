"""Conditions in torch's terms, and whether this machine can meet them."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from sfic_bench.errors import InvalidValue, member
from sfic_bench.measure.conditions import Conditions, Device, MemoryLayout, NumberFormat

DTYPES = {
    NumberFormat.FP32: torch.float32,
    NumberFormat.TF32: torch.float32,
    NumberFormat.FP16: torch.float16,
    NumberFormat.BF16: torch.bfloat16,
}
"""torch's data type of each number format."""

MEMORY_FORMATS = {MemoryLayout.CONTIGUOUS: torch.contiguous_format, MemoryLayout.CHANNELS_LAST: torch.channels_last}


def device_named(name: Device | str) -> Device:
    """The kind of device that a name means; a number after ``cuda:`` makes that device the current one of this process.

    Args:
        name: ``cpu``, ``cuda``, or ``cuda:N`` for the device number N as torch counts them.

    Raises:
        InvalidValue: for a CUDA device that this machine lacks.
        UnknownName: for any other name.
    """
    kind, colon, number = str(name).partition(":")
    if not colon or kind != Device.CUDA:
        return member(Device, name, "device")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not number.isdecimal() or int(number) >= count:
        there = f"cuda:0 to cuda:{count - 1}" if count else "no CUDA device"
        raise InvalidValue(f"{name} is no device of this machine, which has {there}")
    torch.cuda.set_device(int(number))
    return Device.CUDA


def missing(conditions: Conditions) -> str:
    """Why this machine cannot meet ``conditions``; ``""`` if it can."""
    if conditions.device is Device.CUDA and not torch.cuda.is_available():
        return "this machine has no CUDA device"
    if conditions.dtype is NumberFormat.TF32 and conditions.device is not Device.CUDA:
        return "tf32 is a mode of CUDA devices"
    return ""


@contextmanager
def cuda_libraries(dtype: NumberFormat) -> Iterator[None]:
    """Set cuBLAS and cuDNN in the same way for all measurements; torch's own defaults differ between the two.

    TF32 is off for ``fp32`` and on otherwise. cuDNN tries its algorithms and takes the fastest. The earlier settings
    are restored at the end.
    """
    tf32 = dtype is not NumberFormat.FP32
    settings: list[tuple[object, str, bool]] = [
        (torch.backends.cuda.matmul, "allow_tf32", tf32),
        (torch.backends.cudnn, "allow_tf32", tf32),
        (torch.backends.cudnn, "benchmark", True),
    ]
    before = [getattr(library, name) for library, name, _ in settings]
    for library, name, value in settings:
        setattr(library, name, value)
    try:
        yield
    finally:
        for (library, name, _), value in zip(settings, before, strict=True):
            setattr(library, name, value)
