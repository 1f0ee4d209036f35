"""State dicts under other names: a fused layer reads and writes the tensors of the layers that it stands for."""

from collections.abc import Mapping
from functools import partial

from torch import Tensor, nn

Piece = tuple[str, tuple[slice, ...]]
"""The name of a fused layer's tensor, and the part of it that is one tensor of an unfused layer."""


def name_as_unfused(module: nn.Module, pieces: Mapping[str, Piece]) -> None:
    """Let ``module`` write and read state dicts with the names and shapes of the layers that it stands for.

    Args:
        module: a fused layer.
        pieces: for each name of the unfused layers, where its tensor lies in ``module``.
    """
    module.register_state_dict_post_hook(partial(_take_apart, dict(pieces)))  # type: ignore[no-untyped-call]
    module.register_load_state_dict_pre_hook(partial(_put_together, dict(pieces)))  # type: ignore[no-untyped-call]


def _take_apart(
    pieces: Mapping[str, Piece], _module: nn.Module, state: dict[str, Tensor], prefix: str, _: object
) -> None:
    own = {name: state.pop(prefix + name) for name in {name for name, _ in pieces.values()}}
    for name, (source, part) in pieces.items():
        # A copy: saving a view would save all of its base.
        state[prefix + name] = own[source][part].clone() if part else own[source].clone()


def _put_together(
    pieces: Mapping[str, Piece], module: nn.Module, state: dict[str, Tensor], prefix: str, *_: object
) -> None:
    if not all(prefix + name in state for name in pieces):
        return  # the loader names what is missing
    for source in {source for source, _ in pieces.values()}:
        whole = getattr(module, source).detach().clone()
        for name, (tensor_name, part) in pieces.items():
            if tensor_name == source:
                whole[part or ...] = state.pop(prefix + name)
        state[prefix + source] = whole
