"""How state dicts of networks are read from files, and loaded without a leftover."""

import argparse
import codecs
import io
import pickle
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sfic_bench.errors import InvalidValue, MissingDependency, first_line
from sfic_bench.extras import install_command
from sfic_bench.files import read_file

WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "params")
"""Keys under which checkpoints hold the state dict, beside epochs and optimisers."""

PREFIXES = ("module.", "model.", "_orig_mod.")
"""What `torch.nn.DataParallel`, wrappers and `torch.compile` put in front of all names."""

NO_WEIGHTS = {b"version https://git-lfs": "a pointer of Git LFS", b"<": "a web page"}
"""What a download often gives instead of the file, by how it begins."""

_MAKE_SCALAR = np.float64(0).__reduce__()[0]
HARMLESS = (
    argparse.Namespace, codecs.encode, np.dtype, *(getattr(np.dtypes, name) for name in np.dtypes.__all__),
    (_MAKE_SCALAR, "numpy.core.multiarray.scalar"), (_MAKE_SCALAR, "numpy._core.multiarray.scalar"),
)  # fmt: skip
"""What may lie in a checkpoint beside tensors: options, and NumPy's numbers. Making them runs no code of the file's."""


def read_state(path: Path | str) -> dict[str, Tensor]:
    """The state dict in a file of torch or of safetensors; only tensors are read, never code (``weights_only``).

    Raises:
        InvalidValue: for a file that does not exist or holds something else.
        MissingDependency: for a file in the format of safetensors, without that package.
    """
    try:
        data = read_file(Path(path))
        if instead := next((kind for beginning, kind in NO_WEIGHTS.items() if data.startswith(beginning)), ""):
            raise ValueError(f"it is {instead}; download the file itself")
        if data[8:9] == b"{":  # the header's length, then the header; what torch writes begins otherwise
            return _from_safetensors(data)
        with torch.serialization.safe_globals([*HARMLESS]):
            read: object = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InvalidValue(f"cannot read {path}: there is no such file") from None
    except MissingDependency:
        raise
    except Exception as error:  # a damaged file makes torch and pickle raise almost anything
        if match := re.search(r"Unsupported (?:global|class): (?:GLOBAL )?([\w.]+)", str(error)):
            raise InvalidValue(
                f"cannot read {path} as a checkpoint of tensors alone: it holds a {match[1]}, which only running the "
                "file's code would make. Load it where you trust it, and save the state_dict() of its network alone"
            ) from error
        # There torch gives no more than a number, or advises to run whatever code the file holds.
        is_other = isinstance(error, LookupError | pickle.UnpicklingError)
        reason = "neither torch nor safetensors wrote it" if is_other else first_line(error)
        raise InvalidValue(f"cannot read {path} as a checkpoint of tensors alone: {reason}") from error
    for key in WRAPPERS:
        if isinstance(read, Mapping) and isinstance(read.get(key), Mapping):
            read = read[key]
    if not isinstance(read, Mapping) or not all(isinstance(t, Tensor) for t in read.values()):
        raise InvalidValue(f"{path} holds no state dict: expected names and tensors, got {type(read).__name__}")
    for name, tensor in read.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta or tensor.nbytes > len(data):
            raise InvalidValue(f"{path} holds no plain values of {name}: expected a dense tensor with all its values")
    return dict(read)


def _from_safetensors(data: bytes) -> dict[str, Tensor]:
    try:
        from safetensors.torch import load
    except ImportError:
        raise MissingDependency(f"reading .safetensors needs safetensors: {install_command('train')}") from None
    return load(data)


def without_prefixes(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``state`` without the `PREFIXES` that all its names have."""
    while prefix := next((p for p in PREFIXES if state and all(name.startswith(p) for name in state)), ""):
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return dict(state)


def load(model: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Load ``state``, which must have the tensors of ``model`` and no others; only counts of batches may be missing.

    Raises:
        InvalidValue: with the names that the state, which comes from ``source``, lacks, has besides, or has in other
            shapes or as other than real numbers.
    """
    needed = model.state_dict()
    missing = [n for n in needed if n not in state and not n.endswith("num_batches_tracked")]
    unknown = [n for n in state if n not in needed]
    shapes = [n for n, t in state.items() if n in needed and t.shape != needed[n].shape]
    formats = [n for n, t in state.items() if n in needed and needed[n].is_floating_point() > t.is_floating_point()]
    problems = {
        "lacks": missing,
        "has besides": unknown,
        "has in other shapes": shapes,
        "has as other than real numbers": formats,
    }
    for problem, names in problems.items():
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise InvalidValue(f"{source} {problem} {', '.join(names[:3])}{more}")
    model.load_state_dict({**needed, **state})
