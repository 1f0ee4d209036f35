"""Under what something is timed. Imports torch only once something is, so that the command line can name conditions."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sfic_bench.errors import InvalidValue, UnknownName

if TYPE_CHECKING:
    import torch

DTYPES = {"fp32": "float32", "tf32": "float32", "fp16": "float16", "bf16": "bfloat16"}
"""By our name, torch's."""

DEVICES = ("cpu", "cuda")


@dataclass(frozen=True, kw_only=True, slots=True)
class Conditions:
    """Device, number format, input and mode of a run.

    Attributes:
        device: ``"cpu"`` or ``"cuda"``.
        dtype: one of `DTYPES`; ``"tf32"`` is float32 with products in TF32, on CUDA alone.
        batch_size: images a call.
        input_size: height and width of the input, in pixels.
        channels_last: how tensors are stored.
        training: a forward and a backward pass instead of inference.
        flush_l2: overwrite a CUDA device's L2 cache before each call. CUDA graphs, whose calls cost
            the least, are always timed both ways.

    Raises:
        InvalidValue: for a size below 1.
        UnknownName: for a device or dtype that does not exist.
    """

    device: str = "cpu"
    dtype: str = "fp32"
    batch_size: int = 4
    input_size: int = 256
    channels_last: bool = False
    training: bool = False
    flush_l2: bool = True

    def __post_init__(self) -> None:
        if self.device not in DEVICES:
            raise UnknownName("device", self.device, DEVICES)
        if self.dtype not in DTYPES:
            raise UnknownName("dtype", self.dtype, DTYPES)
        for name in ("batch_size", "input_size"):
            if getattr(self, name) < 1:
                raise InvalidValue(f"{name.replace('_', ' ')} must be at least 1, got {getattr(self, name)}")

    @property
    def torch_device(self) -> "torch.device":
        import torch

        return torch.device(self.device)

    @property
    def torch_dtype(self) -> "torch.dtype":
        import torch

        dtype: torch.dtype = getattr(torch, DTYPES[self.dtype])
        return dtype

    @property
    def memory_format(self) -> "torch.memory_format":
        import torch

        return torch.channels_last if self.channels_last else torch.contiguous_format

    @property
    def missing(self) -> str:
        """What this machine lacks for these conditions; ``""`` if nothing."""
        import torch

        if self.device == "cuda" and not torch.cuda.is_available():
            return "this machine has no CUDA device"
        if self.dtype == "tf32" and self.device != "cuda":
            return "tf32 is a mode of CUDA devices"
        return ""


@contextmanager
def exact_float32(exact: bool) -> Iterator[None]:
    """Turn TF32 off for fp32, and on otherwise; torch's defaults differ between its libraries."""
    import torch

    backends: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [b.allow_tf32 for b in backends]
    for b in backends:
        b.allow_tf32 = not exact
    try:
        yield
    finally:
        for b, allowed in zip(backends, before, strict=True):
            b.allow_tf32 = allowed
