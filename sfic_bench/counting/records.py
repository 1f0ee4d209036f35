"""What layers do to values of certain shapes, recorded once each.

Networks have few different layers, and the forms of one network have most of theirs in common. So what a layer does is
recorded when it first meets inputs of certain shapes, by the same `Recorder` that traces whole networks, and looked up
from then on.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from sfic_bench.counting.formulas import Shape
from sfic_bench.counting.op import Op, Recorded
from sfic_bench.counting.recorder import ModuleNames, Recorder, meta_tensor, tensors_in
from sfic_bench.counting.trace import errors_named, evaluating
from sfic_bench.nested import replaced


@dataclass(frozen=True, slots=True)
class Shaped:
    """What is known of a tensor; ``strides`` are ``None`` where they are those of a contiguous one."""

    shape: Shape
    dtype: torch.dtype
    strides: Shape | None = None

    def tensor(self) -> Tensor:
        """A new tensor of this kind on the meta device."""
        if self.strides is None:
            return meta_tensor(self.shape, self.dtype).detach()
        return torch.empty_strided(self.shape, self.strides, dtype=self.dtype, device="meta")


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
    """

    __slots__ = ("tensors", "value")

    def __init__(self, value: object, tensors: tuple[Shaped, ...]) -> None:
        self.value, self.tensors = value, tensors


class LayerFlow:
    """Which tensors and parameters each result of a layer depends on. Equal ones are one object.

    Its inputs are numbered, tensor by tensor, and its parameters behind them.

    Attributes:
        outputs: for each tensor that the layer gives, the number of the input that it is, where it is one, and the
            numbers of all that it depends on.
        changed: the same for each input that the layer changes in place.
        parameters: how many it has.
    """

    __slots__ = ("changed", "outputs", "parameters")

    def __init__(
        self,
        outputs: tuple[tuple[int | None, frozenset[int]], ...],
        changed: tuple[tuple[int, frozenset[int]], ...],
        parameters: int,
    ) -> None:
        self.outputs, self.changed, self.parameters = outputs, changed, parameters


class LayerRecord(Recorded):
    """What a layer does to inputs of certain shapes."""

    def __init__(self, ops: tuple[Op, ...], output: KnownValue, flow: LayerFlow) -> None:
        super().__init__(ops)
        self.output, self.flow = output, flow


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnWeight:
    """A parameter of a layer: the qualified name of the module that owns it, within the layer, and its name there."""

    module: str
    name: str
    elements: int
    trainable: bool
    parameter: nn.Parameter


Noted = TypeVar("Noted")

Table = dict[tuple[KnownValue, ...], LayerRecord]
"""What one layer does, by its inputs."""


class Layer:
    """What is called, a module or a function, and what is known of it before it is called."""

    def __init__(self, call: Callable[..., object]) -> None:
        self.call = call
        self.modules = dict(call.named_modules()) if isinstance(call, nn.Module) else {}
        self.names = ModuleNames(self.modules)
        own: dict[int, OwnWeight] = {}
        for path, module in self.modules.items():
            for name, p in module._parameters.items():
                if p is not None and id(p) not in own:
                    own[id(p)] = OwnWeight(
                        module=path, name=name, elements=p.numel(), trainable=p.requires_grad, parameter=p
                    )
        self.weights = tuple(own.values())
        """Every parameter once."""


class Records:
    """What all layers do that have been met so far; a layer is known by its identity."""

    def __init__(self) -> None:
        self._recorder = Recorder()
        self._values: dict[object, KnownValue] = {}
        self._flows: dict[object, LayerFlow] = {}
        self._tables: dict[object, Table] = {}
        self._layers: dict[object, Layer] = {}

    @contextmanager
    def recording(self) -> Iterator[None]:
        """A context in which `record` can be called."""
        with torch.enable_grad(), self._recorder.watching():
            yield

    def table(self, layer: object, arguments: object) -> Table:
        """What is known of ``layer``, called with ``arguments``, which are hashable and have `Slot`s."""
        return self._tables.setdefault((layer, arguments), {})

    def layer(self, call: Callable[..., object]) -> Layer:
        """What is known of a module or a function."""
        if call not in self._layers:
            self._layers[call] = Layer(call)
        return self._layers[call]

    def value(self, result: object) -> KnownValue:
        """A result as the one `KnownValue` that it equals; its tensors may be `Shaped` already."""
        value = shaped(result) if type(result) is Tensor else replaced(result, _as_shaped)
        key = key_of(value)
        known = self._values.get(key)
        if known is None:
            tensors: list[Shaped] = []
            replaced(value, lambda v: _noted(v, tensors) if isinstance(v, Shaped) else v)
            known = KnownValue(value, tuple(tensors))
            if key is not None:
                self._values[key] = known
        return known

    def record(
        self,
        call: Callable[..., object],
        args: tuple[object, ...],
        kwargs: Mapping[str, object],
        inputs: tuple[KnownValue, ...],
        path: str,
    ) -> LayerRecord:
        """What ``call`` does, a module or a function, where the `Slot`s of its arguments stand for ``inputs``.

        ``path`` is the qualified name of the module, empty for a function.

        Raises:
            InputTooSmall, InvalidValue, UnsupportedModel: as `count` does.
        """
        layer, recorder = self.layer(call), self._recorder
        made: list[Tensor] = []
        given = [replaced(known.value, lambda v: _made(v, made)) for known in inputs]
        args, kwargs = replaced((args, kwargs), lambda v: given[v.source] if type(v) is Slot else v)
        recorder.begin(layer.names)
        with evaluating(layer.modules), recorder, errors_named(recorder, "the network itself", path):
            result = call(*args, **kwargs)
        numbers = {id(t): i for i, t in enumerate([*made, *(weight.parameter for weight in layer.weights)])}
        outputs = []
        for tensor in tensors_in([result]):
            number = numbers.get(id(tensor), len(made))
            outputs.append((number if number < len(made) else None, recorder.flow.reached(tensor, numbers)))
        changed = [(i, recorder.flow.reached(t, numbers)) for i, t in enumerate(made) if recorder.flow.depends(t)]
        flow = tuple(outputs), tuple((i, sources) for i, sources in changed if sources != {i}), len(layer.weights)
        return LayerRecord(tuple(recorder.ops), self.value(result), self._flows.setdefault(flow, LayerFlow(*flow)))


def key_of(value: object) -> object:
    """A key that only equal values of equal types have; ``None`` for a value that is not known by such a key."""
    try:
        key = _key(value)
        hash(key)
    except TypeError:
        return None
    return key


def _key(value: object) -> object:
    if isinstance(value, tuple | list):
        return (type(value), *map(_key, value))
    if isinstance(value, dict):
        return (dict, *((name, _key(v)) for name, v in value.items()))
    if isinstance(value, slice):
        return (slice, _key(value.start), _key(value.stop), _key(value.step))
    return value if isinstance(value, Shaped | Slot) else (type(value), value)


def _made(value: object, tensors: list[Tensor]) -> object:
    return _noted(value.tensor(), tensors) if type(value) is Shaped else value


def _as_shaped(value: object) -> object:
    return shaped(value) if isinstance(value, Tensor) else value


def _noted(value: Noted, values: list[Noted]) -> Noted:
    values.append(value)
    return value
