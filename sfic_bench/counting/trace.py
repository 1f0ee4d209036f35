"""One forward pass as shapes: which operations a network makes, and which parameters its result depends on.

Nothing is computed and only the shapes of the network's weights are read, so it may lie on any device; see
`sfic_bench.counting.recorder`. The network itself is left as it was, even if its forward pass fails.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from sfic_bench.counting.formulas import Shape
from sfic_bench.counting.op import InputTooSmall, Op
from sfic_bench.counting.recorder import Recorder, tensors_in
from sfic_bench.errors import InvalidValue, UnsupportedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """One parameter tensor.

    Attributes:
        module, name: qualified name of the module that owns it, and its name there.
        dead: whether it is trainable and no gradient from the result reaches it.
    """

    module: str
    name: str
    elements: int
    trainable: bool
    dead: bool


@dataclass(frozen=True, kw_only=True)
class Trace:
    """What a forward pass does.

    Attributes:
        input_size: shape of the first input, such as ``(B, C, H, W)``.
        ops: its operations, in order.
        output: shape of the first tensor in the result.
        weights: every parameter of the network, once.
    """

    input_size: Shape
    ops: tuple[Op, ...]
    output: Shape
    weights: tuple[Weight, ...]


def trace(model: nn.Module, *input_sizes: Shape) -> Trace:
    """Trace ``model.eval()`` for one float input of each of ``input_sizes``; raises the errors of `count`."""
    for size in input_sizes:
        if len(size) < 2 or min((size[0], *size[2:])) < 1:  # a branch may have no channels
            raise InvalidValue(f"input_size must be positive, such as (1, 3, 256, 256), got {size}")
    modules = dict(model.named_modules())
    with _evaluating(model, modules.values()), Recorder(modules) as recorder:
        inputs = [torch.empty(size, device="meta") for size in input_sizes]
        try:
            # A GraphModule's __call__ prints a traceback of its own before it raises.
            forward = model.forward if isinstance(model, torch.fx.GraphModule) else model
            result = forward(*inputs)
        except (InputTooSmall, InvalidValue) as error:
            raise type(error)(f"{error} (at {recorder.path or 'the network itself'})") from None
        except (RuntimeError, NotImplementedError) as error:
            if "meta" not in str(error).lower():
                raise
            raise UnsupportedModel(
                f"{recorder.path or type(model).__name__} needs the values of a tensor, and a count "
                f"has only shapes: {str(error).splitlines()[0]}"
            ) from error
    outputs = tensors_in([result])
    if not outputs:
        raise UnsupportedModel(f"{type(model).__name__} returns no tensor")
    return Trace(
        input_size=tuple(input_sizes[0]), output=tuple(outputs[0].shape),
        ops=tuple(recorder.ops), weights=_weights(modules, recorder.flow.reached_from(outputs)),
    )  # fmt: skip


def _weights(modules: Mapping[str, nn.Module], reached: set[int]) -> tuple[Weight, ...]:
    """Every parameter of ``modules`` once, dead if it is trainable and not among ``reached``."""
    weights: dict[int, Weight] = {}
    for path, module in modules.items():
        for name, p in module._parameters.items():
            if p is not None and id(p) not in weights:
                trainable, dead = p.requires_grad, p.requires_grad and id(p) not in reached
                weights[id(p)] = Weight(module=path, name=name, elements=p.numel(), trainable=trainable, dead=dead)
    return tuple(weights.values())


def smallest_input(model: nn.Module, channels: int = 3, limit: int = 4096) -> int | None:
    """The least n for which ``model`` takes ``[1, channels, n, n]``; ``None`` if no n up to ``limit`` fits."""

    def fits(n: int) -> bool:
        try:
            trace(model, (1, channels, n, n))
        except InvalidValue:
            return False
        return True

    high = 1
    while not fits(high):
        high *= 2
        if high > limit:
            return None
    return bisect_left(range(high + 1), True, lo=high // 2 + 1, key=fits)


@contextmanager
def _evaluating(model: nn.Module, modules: Iterable[nn.Module]) -> Iterator[None]:
    """Put ``model`` into evaluation mode, and afterwards each of its modules back into its own mode."""
    training = [m for m in modules if m.training]
    try:
        if training:
            model.eval()
        yield
    finally:
        for m in training:
            m.training = True
