"""What a training that was stopped goes on with, as the content of one file."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from msgspec import Struct, json
from safetensors.torch import load as load_tensors
from safetensors.torch import save
from torch import Tensor

ADAM_STATE = ("step", "exp_avg", "exp_avg_sq")
"""The names under which Adam keeps its state of a parameter: a count, and two tensors of the parameter's shape."""

Tensors = dict[str, Tensor]


class _Numbers(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The numbers of a checkpoint, which are text in the file's header."""

    epoch: int
    average_steps: int = 0
    best_epoch: int | None = None
    scaler: dict[str, float] = {}


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """The state of a training after an epoch.

    Attributes:
        epoch: number of finished epochs.
        network: weights and buffers.
        optimiser: Adam's state of each parameter that has one, by the parameter's number.
        average, average_steps: the moving average of the weights, and its number of steps; empty without one.
        best, best_epoch: the weights with the highest AUC so far and their epoch; empty if those are not kept.
        scaler: state of the scaler of gradients in fp16.
    """

    epoch: int
    network: Tensors
    optimiser: Mapping[int, Tensors]
    average: Tensors = field(default_factory=dict)
    average_steps: int = 0
    best: Tensors = field(default_factory=dict)
    best_epoch: int | None = None
    scaler: dict[str, float] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """The content of a safetensors file."""
        tensors = {
            **_prefixed("model", self.network), **_prefixed("average", self.average), **_prefixed("best", self.best)
        }  # fmt: skip
        for number, state in self.optimiser.items():
            tensors |= _prefixed(f"optimiser.{number}", state)
        numbers = _Numbers(
            epoch=self.epoch, average_steps=self.average_steps, best_epoch=self.best_epoch, scaler=self.scaler
        )
        # Older versions read the epoch by its own name.
        return weights_to_bytes(tensors, self.epoch, training=json.encode(numbers).decode())

    @classmethod
    def from_bytes(cls, data: bytes) -> "Checkpoint":
        """The checkpoint in the content of a file, whichever version wrote it.

        Raises:
            ValueError, SafetensorError, msgspec.DecodeError: for anything else.
        """
        tensors, metadata = weights_from_bytes(data)
        epoch = int(metadata.get("epoch", ""))
        text = metadata.get("training")
        numbers = _Numbers(epoch=epoch) if text is None else json.decode(text, type=_Numbers)
        states: dict[int, Tensors] = {}
        for name, tensor in _under("optimiser", tensors).items():
            number, _, key = name.partition(".")
            states.setdefault(int(number), {})[key] = tensor
        return cls(
            epoch=epoch, network=_under("model", tensors), optimiser=states, average=_under("average", tensors),
            average_steps=numbers.average_steps, best=_under("best", tensors), best_epoch=numbers.best_epoch,
            scaler=numbers.scaler,
        )  # fmt: skip


def weights_to_bytes(tensors: Mapping[str, Tensor], epoch: int, **metadata: str) -> bytes:
    """``tensors`` after ``epoch`` epochs as the content of a safetensors file."""
    kept = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    return save(kept, {"epoch": str(epoch), **metadata})


def weights_from_bytes(data: bytes) -> tuple[Tensors, dict[str, str]]:
    """The tensors and the metadata in the content of a safetensors file.

    Raises:
        SafetensorError, msgspec.DecodeError: for anything else.
    """
    length = int.from_bytes(data[:8], "little")
    header = json.decode(data[8 : 8 + length], type=dict[str, object])
    metadata = header.get("__metadata__")
    texts = {str(name): str(text) for name, text in metadata.items()} if isinstance(metadata, dict) else {}
    return load_tensors(data), texts


def adam_state(optimiser: torch.optim.Optimizer) -> dict[int, Tensors]:
    """Adam's state of each parameter, by the parameter's number."""
    states: dict[int, Tensors] = optimiser.state_dict()["state"]
    return states


def restore_adam(optimiser: torch.optim.Optimizer, states: Mapping[int, Tensors]) -> None:
    """Take the state of a checkpoint.

    Raises:
        ValueError: if it lacks something or has another shape.
    """
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    if not states:
        raise ValueError("no state of the optimiser")
    restored: dict[int, Tensors] = {}
    for number, state in states.items():
        if number >= len(parameters):
            raise ValueError(f"the optimiser has a state of parameter {number}, and the network {len(parameters)}")
        if missing := [key for key in ADAM_STATE if key not in state]:
            raise ValueError(f"the optimiser's state of parameter {number} lacks {', '.join(missing)}")
        restored[number] = {"step": state["step"]}
        for key in ADAM_STATE[1:]:
            if state[key].shape != parameters[number].shape:
                raise ValueError(
                    f"the optimiser's {key} of parameter {number} has the shape {list(state[key].shape)}; expected "
                    f"{list(parameters[number].shape)}"
                )
            # Steps are slow unless the state has the memory format of the parameter.
            restored[number][key] = torch.empty_like(parameters[number]).copy_(state[key])
    optimiser.load_state_dict({**optimiser.state_dict(), "state": restored})


def _prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> Tensors:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> Tensors:
    """The tensors whose names begin with ``prefix`` and a point, without both."""
    return {name[len(prefix) + 1 :]: tensor for name, tensor in tensors.items() if name.startswith(f"{prefix}.")}
