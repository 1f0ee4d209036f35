"""State dicts under other names: a fused layer reads and writes those of the layers it stands for."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import nn

Piece = tuple[str, tuple[slice, ...]]
"""A tensor's name here and the part of it that an unfused stage holds."""


def name_as_unfused(module: nn.Module, pieces: Mapping[str, Piece]) -> None:
    """Let ``module`` write and read state dicts with the names and shapes of what it stands for."""
    module.register_state_dict_post_hook(partial(_take_apart, dict(pieces)))  # type: ignore[no-untyped-call]
    module.register_load_state_dict_pre_hook(partial(_put_together, dict(pieces)))  # type: ignore[no-untyped-call]


def _take_apart(
    pieces: Mapping[str, Piece], module: nn.Module, state: dict[str, Any], prefix: str, _: Any
) -> None:
    own = {name: state.pop(prefix + name) for name in {name for name, _ in pieces.values()}}
    for name, (source, part) in pieces.items():
        # A copy: saving a view would save all of its base.
        state[prefix + name] = own[source][part].clone() if part else own[source].clone()


def _put_together(
    pieces: Mapping[str, Piece],
    module: nn.Module,
    state: dict[str, Any],
    prefix: str,
    *_: Any,
) -> None:
    if not all(prefix + name in state for name in pieces):
        return  # the loader names what is missing
    for source in {source for source, _ in pieces.values()}:
        whole = getattr(module, source).detach().clone()
        for name, (of, part) in pieces.items():
            if of == source:
                whole[part or ...] = state.pop(prefix + name)
        state[prefix + source] = whole
