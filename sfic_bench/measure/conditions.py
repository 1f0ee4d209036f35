"""The conditions under which a network is timed. This module imports no torch, which ``--help`` need not load."""

import re
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import force_setattr

from sfic_bench.errors import InvalidValue, check_count, member


class Device(StrEnum):
    """The kind of device that a network runs on."""

    CPU = "cpu"
    CUDA = "cuda"


class NumberFormat(StrEnum):
    """The format of a network's weights and inputs; ``tf32`` is float32 with products in TF32, on CUDA alone."""

    FP32 = "fp32"
    TF32 = "tf32"
    FP16 = "fp16"
    BF16 = "bf16"


class MemoryLayout(StrEnum):
    """How tensors are stored; ``both`` times every path in each layout, in the same rounds."""

    CONTIGUOUS = "contiguous"
    CHANNELS_LAST = "channels-last"
    BOTH = "both"

    @property
    def timed_layouts(self) -> "tuple[MemoryLayout, ...]":
        """The layouts that are timed."""
        return (MemoryLayout.CONTIGUOUS, MemoryLayout.CHANNELS_LAST) if self is MemoryLayout.BOTH else (self,)

    @property
    def words(self) -> str:
        """The layout as a table names it."""
        return "both layouts" if self is MemoryLayout.BOTH else self.value.replace("-", " ")


class Conditions(Struct, frozen=True, kw_only=True):
    """Device, number format, input and mode of a measurement.

    Attributes:
        batch_size: images in one call.
        input_size: height and width of the input, pixels; of a single layer, those of S.
        training: time a forward and a backward pass instead of inference.
        flush_l2: overwrite a CUDA device's L2 cache before each call. CUDA graphs are always timed with and without it.
        energy: count the energy of an image on a CUDA device, which takes some 2 seconds for each path.

    Raises:
        InvalidValue: for a size that is not positive, or beyond `sfic_bench.errors.LARGEST`.
        UnknownName: for a device, number format or layout that does not exist. Plain strings are accepted too.
    """

    device: Device = Device.CPU
    dtype: NumberFormat = NumberFormat.FP32
    batch_size: int = 4
    input_size: int = 256
    layout: MemoryLayout = MemoryLayout.CONTIGUOUS
    training: bool = False
    flush_l2: bool = True
    energy: bool = True

    def __post_init__(self) -> None:
        force_setattr(self, "device", member(Device, self.device, "device"))
        force_setattr(self, "dtype", member(NumberFormat, self.dtype, "dtype"))
        force_setattr(self, "layout", member(MemoryLayout, self.layout, "layout"))
        check_count("batch size", self.batch_size)
        check_count("input size", self.input_size)


_BYTES = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def parse_bytes(text: str) -> int:
    """Bytes written with a unit, such as ``8GiB`` (2³⁰) or ``80GB`` (10⁹).

    Raises:
        InvalidValue: for anything else, and for less than a byte.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]i?|)B", text.strip())
    size = int(Decimal(match[1]) * _BYTES[match[2]]) if match else 0
    if not 1 <= size <= 2**62:
        raise InvalidValue(f"expected a memory such as 8GiB or 80GB, got {text!r}")
    return size
