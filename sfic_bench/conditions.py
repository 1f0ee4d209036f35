"""Under what something is timed. Imports torch only once something is, so that the command line can name conditions."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sfic_bench.errors import InvalidValue, UnknownName

if TYPE_CHECKING:
    import torch

DTYPES = {"fp32": "float32", "tf32": "float32", "fp16": "float16", "bf16": "bfloat16"}
"""By our name, torch's."""

DEVICES = ("cpu", "cuda")

LAYOUTS: Mapping[str, tuple[bool, ...]] = {
    "contiguous": (False,),
    "channels-last": (True,),
    "both": (False, True),
}
"""How tensors are stored, by the name of what is asked for: whether channels last, each of which is timed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Conditions:
    """Device, number format, input and mode of a run.

    Attributes:
        device: ``"cpu"`` or ``"cuda"``.
        dtype: one of `DTYPES`; ``"tf32"`` is float32 with products in TF32, on CUDA alone.
        batch_size: images a call.
        input_size: height and width of the input, in pixels.
        layout: one of `LAYOUTS`; with ``"both"`` every path is timed in each, in the same rounds.
        training: a forward and a backward pass instead of inference.
        flush_l2: overwrite a CUDA device's L2 cache before each call. CUDA graphs, whose calls cost
            the least, are always timed both ways.
        energy: count the energy of an image on a CUDA device, which takes some 2 seconds a path.

    Raises:
        InvalidValue: for a size below 1.
        UnknownName: for a device, dtype or layout that does not exist.
    """

    device: str = "cpu"
    dtype: str = "fp32"
    batch_size: int = 4
    input_size: int = 256
    layout: str = "contiguous"
    training: bool = False
    flush_l2: bool = True
    energy: bool = True

    def __post_init__(self) -> None:
        if self.device not in DEVICES:
            raise UnknownName("device", self.device, DEVICES)
        if self.dtype not in DTYPES:
            raise UnknownName("dtype", self.dtype, DTYPES)
        if self.layout not in LAYOUTS:
            raise UnknownName("layout", self.layout, LAYOUTS)
        for name in ("batch_size", "input_size"):
            if getattr(self, name) < 1:
                raise InvalidValue(f"{name.replace('_', ' ')} must be at least 1, got {getattr(self, name)}")

    @property
    def torch_device(self) -> "torch.device":
        import torch

        return torch.device(self.device)

    @property
    def torch_dtype(self) -> "torch.dtype":
        return self.in_torch(self.dtype)

    @staticmethod
    def in_torch(name: str) -> "torch.dtype":
        """The number format of torch that one of `DTYPES` names."""
        import torch

        dtype: torch.dtype = getattr(torch, DTYPES[name])
        return dtype

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
def cuda_libraries(dtype: str) -> Iterator[None]:
    """Set cuBLAS and cuDNN as everything here is run, whatever torch's defaults, which differ between the two.

    TF32 is off for ``"fp32"`` and on otherwise, and cuDNN tries its algorithms and takes the fastest.
    """
    import torch

    settings: list[tuple[Any, str, bool]] = [
        (torch.backends.cuda.matmul, "allow_tf32", dtype != "fp32"),
        (torch.backends.cudnn, "allow_tf32", dtype != "fp32"),
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
