"""What flows from one layer to others, without numbers: shapes, and the constants beside them."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from sfic_bench.counting.formulas import Shape
from sfic_bench.initialisation import meta_tensor
from sfic_bench.nested import replaced


@dataclass(frozen=True, slots=True)
class Shaped:
    """What is known of a tensor; ``strides`` are ``None`` where they are those of a contiguous one."""

    shape: Shape
    dtype: torch.dtype
    strides: Shape | None = None

    @property
    def form(self) -> Hashable:
        """What it has in common with maps of other numbers of channels, if it is a map ``[B, C, H, W]``."""
        if len(self.shape) != 4 or self.strides is not None:
            return self
        batch, channels, height, width = self.shape
        return Map(batch, channels > 0, height, width, self.dtype)

    def tensor(self) -> Tensor:
        """A new tensor of this kind on the meta device."""
        if self.strides is None:
            return meta_tensor(self.shape, self.dtype)
        return torch.empty_strided(self.shape, self.strides, dtype=self.dtype, device="meta")


class Map(NamedTuple):
    """A map ``[B, C, H, W]`` with any number of channels, or with none."""

    batch: int
    has_channels: bool
    height: int
    width: int
    dtype: torch.dtype


def shaped(x: Tensor) -> Shaped:
    """What is known of ``x``."""
    return Shaped(tuple(x.shape), x.dtype, None if x.is_contiguous() else x.stride())


@dataclass(frozen=True, slots=True)
class Slot:
    """A place in the arguments of a call, for what the node number ``source`` among its inputs gives."""

    source: int


class KnownValue:
    """What flows from one layer to others. Equal ones are one object, so that they are compared by identity.

    Attributes:
        value: the value itself, with `Shaped` in place of tensors.
        tensors: all tensors in it.
        form: what it has in common with values whose maps have other numbers of channels; ``None`` if it has no key.
    """

    __slots__ = ("form", "tensors", "value")

    def __init__(self, value: object, tensors: tuple[Shaped, ...]) -> None:
        self.value, self.tensors = value, tensors
        self.form = key_of(replaced(value, lambda v: v.form if type(v) is Shaped else v))


def key_of(value: object) -> Hashable | None:
    """A key that only equal values of equal types have; ``None`` for a value that is not known by such a key."""
    try:
        key = _key(value)
        hash(key)
    except TypeError:
        return None
    return key


def _key(value: object) -> object:
    kind = type(value)
    if kind is Shaped or kind is Slot:
        return value
    if isinstance(value, (tuple, list)):
        return (kind, *map(_key, value))
    if isinstance(value, dict):
        return (dict, *((name, _key(v)) for name, v in value.items()))
    if isinstance(value, slice):
        return (slice, _key(value.start), _key(value.stop), _key(value.step))
    return kind, value
