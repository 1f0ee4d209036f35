"""One forward pass as shapes: which operations a network makes, and which parameters its result depends on.

Nothing is computed and only the shapes of the network's weights are read, so it may lie on any device; see
`sfic_bench.counting.recorder`. The network itself is left as it was, even if its forward pass fails.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import nn

from sfic_bench.counting.formulas import Shape
from sfic_bench.counting.op import CountedCall, InputTooSmall, Op, Part, Recorded
from sfic_bench.counting.recorder import ModuleNames, Recorder, tensors_in
from sfic_bench.errors import InvalidValue, UnsupportedModel
from sfic_bench.modules import modules_by_name


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
        parts: its operations, in order, in parts that were recorded by themselves.
        output: shape of the first tensor in the result.
        find_weights: finds `weights`.
    """

    input_size: Shape
    parts: tuple[Part, ...]
    output: Shape
    find_weights: Callable[[], tuple[Weight, ...]]

    @cached_property
    def weights(self) -> tuple[Weight, ...]:
        """Every parameter of the network, once."""
        return self.find_weights()

    @cached_property
    def ops(self) -> tuple[Op, ...]:
        """All operations, in order."""
        ops: list[Op] = []
        for path, recorded in self.parts:
            prefix = f"{path}." if path else ""
            ops += [Op(prefix + inner if inner else path, call) for inner, call in recorded.ops]
        return tuple(ops)

    @cached_property
    def calls(self) -> Mapping[CountedCall, int]:
        """How often each call is made, in order of the first."""
        calls: dict[CountedCall, int] = {}
        for recorded, times in Counter([part.recorded for part in self.parts]).items():
            for _, call in recorded.ops:
                calls[call] = calls.get(call, 0) + times
        return calls


def trace(model: nn.Module, *input_sizes: Shape) -> Trace:
    """Trace ``model.eval()`` for one float input of each of ``input_sizes``; raises the errors of `count`."""
    check_input_sizes(input_sizes)
    modules = modules_by_name(model)
    recorder = Recorder()
    recorder.begin(ModuleNames(modules))
    inputs = [torch.empty(size, device="meta") for size in input_sizes]
    # A GraphModule's __call__ prints a traceback of its own before it raises.
    forward = model.forward if isinstance(model, torch.fx.GraphModule) else model
    with evaluating(modules), recorder.watching(), recorder, errors_named(recorder, type(model).__name__):
        result = forward(*inputs)
    outputs = tensors_in([result])
    if not outputs:
        raise UnsupportedModel(f"{type(model).__name__} returns no tensor")
    weights = _weights(modules, recorder.flow.reached_from(outputs))
    return Trace(
        input_size=tuple(input_sizes[0]), parts=(Part("", Recorded(tuple(recorder.ops))),),
        output=tuple(outputs[0].shape), find_weights=lambda: weights,
    )  # fmt: skip


def check_input_sizes(input_sizes: Iterable[Shape]) -> None:
    """Raise `InvalidValue` for a size that no network takes."""
    for size in input_sizes:
        if len(size) < 2 or min((size[0], *size[2:])) < 1:  # a branch may have no channels
            raise InvalidValue(f"input_size must be positive, such as (1, 3, 256, 256), got {size}")


@contextmanager
def errors_named(recorder: Recorder, network: str, path: str = "") -> Iterator[None]:
    """Let errors of a forward pass say in which module of ``network`` they occur, within the one at ``path``."""
    try:
        yield
    except (InputTooSmall, InvalidValue) as error:
        raise type(error)(f"{error} (at {_joined(path, recorder.path) or 'the network itself'})") from None
    except (RuntimeError, NotImplementedError) as error:
        if "meta" not in str(error).lower():
            raise
        raise UnsupportedModel(
            f"{_joined(path, recorder.path) or network} needs the values of a tensor, and a count has only shapes: "
            f"{str(error).splitlines()[0]}"
        ) from error


def _joined(*paths: str) -> str:
    return ".".join(filter(None, paths))


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
def evaluating(modules: Mapping[str, nn.Module]) -> Iterator[None]:
    """Put a network of ``modules`` into evaluation mode, and afterwards each of them back into its own mode."""
    training = [m for m in modules.values() if m.training]
    try:
        if training:
            modules[""].eval()
        yield
    finally:
        for m in training:
            m.training = True
