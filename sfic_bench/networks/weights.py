"""How state dicts of networks are read from files, and loaded without a leftover."""

import io
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from sfic_bench.errors import InvalidValue, first_line
from sfic_bench.files import read_file

WRAPPERS = ("state_dict", "model")
"""Keys under which checkpoints hold the state dict, beside epochs and optimisers."""


def read_state(path: Path | str) -> dict[str, Tensor]:
    """The state dict in a file, of which only tensors are read, never code (``weights_only``).

    Raises:
        InvalidValue: for a file that does not exist or holds something else.
    """
    try:
        read: object = torch.load(io.BytesIO(read_file(Path(path))), map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InvalidValue(f"cannot read {path}: there is no such file") from None
    except Exception as error:  # a damaged file makes torch and pickle raise almost anything
        raise InvalidValue(f"cannot read {path} as a checkpoint of tensors alone: {first_line(error)}") from error
    for key in WRAPPERS:
        if isinstance(read, Mapping) and isinstance(read.get(key), Mapping):
            read = read[key]
    if not isinstance(read, Mapping) or not all(isinstance(t, Tensor) for t in read.values()):
        raise InvalidValue(f"{path} holds no state dict: expected names and tensors, got {type(read).__name__}")
    return dict(read)


def load(model: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Load ``state``, which must have the tensors of ``model`` and no others; only counts of batches may be missing.

    Raises:
        InvalidValue: with the names that the state, which comes from ``source``, lacks, has besides, or has in other
            shapes.
    """
    needed = model.state_dict()
    missing = [n for n in needed if n not in state and not n.endswith("num_batches_tracked")]
    unknown = [n for n in state if n not in needed]
    shapes = [n for n, t in state.items() if n in needed and t.shape != needed[n].shape]
    for problem, names in (("lacks", missing), ("has besides", unknown), ("has in other shapes", shapes)):
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise InvalidValue(f"{source} {problem} {', '.join(names[:3])}{more}")
    model.load_state_dict({**needed, **state})
