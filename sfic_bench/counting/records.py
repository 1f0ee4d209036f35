"""What layers do to values of certain shapes, recorded once each.

Networks have few different layers, and the forms of one network have most of theirs in common. So what a layer does is
recorded when it first meets inputs of certain shapes, by the same `Recorder` that traces whole networks, and looked up
from then on.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from sfic_bench.counting.forms import form_of
from sfic_bench.counting.formulas import Shape
from sfic_bench.counting.op import Op, Recorded
from sfic_bench.counting.programs import Program, program_of
from sfic_bench.counting.recorder import ModuleNames, Recorder, tensors_in
from sfic_bench.counting.trace import errors_named, evaluating
from sfic_bench.counting.values import KnownValue, Shaped, Slot, key_of, shaped
from sfic_bench.errors import InvalidValue
from sfic_bench.modules import modules_by_name
from sfic_bench.nested import replaced


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

Inputs = KnownValue | tuple[KnownValue, ...]
"""The input of a layer that has one, and all inputs of any other."""

Table = dict[Inputs, LayerRecord]
"""What one layer does, by its inputs."""


class Layer:
    """What is called, a module or a function, and what is known of it before it is called."""

    def __init__(self, call: Callable[..., object]) -> None:
        self.call = call
        self.modules = modules_by_name(call) if isinstance(call, nn.Module) else {}

    @cached_property
    def names(self) -> ModuleNames:
        """The names of its modules."""
        return ModuleNames(self.modules)

    @cached_property
    def weights(self) -> tuple[OwnWeight, ...]:
        """Every parameter once."""
        own: dict[int, OwnWeight] = {}
        for path, module in self.modules.items():
            for name, p in module._parameters.items():
                if p is not None and id(p) not in own:
                    own[id(p)] = OwnWeight(
                        module=path, name=name, elements=p.numel(), trainable=p.requires_grad, parameter=p
                    )
        return tuple(own.values())

    @cached_property
    def tensors(self) -> tuple[Tensor, ...]:
        """Its parameters and its buffers."""
        buffers = [b for module in self.modules.values() for b in module._buffers.values() if b is not None]
        return (*(weight.parameter for weight in self.weights), *buffers)

    @cached_property
    def kind(self) -> Hashable | None:
        """What it has in common with layers of other numbers of channels; ``None`` if that is not known."""
        form = form_of(self.call) if self.modules else None
        return None if form is None else (form, tuple([t.dtype for t in self.tensors]))

    @cached_property
    def shapes(self) -> list[Shape]:
        """The shapes of ``tensors``."""
        return [tuple(t.shape) for t in self.tensors]


class Replay(NamedTuple):
    """What stands for a recording: a program, how its results depend on what it reads, and its results by shapes."""

    program: Program
    flow: LayerFlow
    results: dict[tuple[Shape, ...], KnownValue]


class Records:
    """What all layers do that have been met so far; a layer is known by its identity."""

    def __init__(self) -> None:
        self._recorder = Recorder()
        self._values: dict[object, KnownValue] = {}
        self._flows: dict[object, LayerFlow] = {}
        self._tables: dict[object, Table] = {}
        self._layers: dict[object, Layer] = {}
        self._replays: dict[Hashable, Replay] = {}
        self._results: dict[Hashable, dict[tuple[Shape, ...], KnownValue]] = {}

    @contextmanager
    def recording(self) -> Iterator[None]:
        """A context in which `record` can be called."""
        with torch.enable_grad(), self._recorder.watching():
            yield

    def table(self, layer: object, arguments: Hashable) -> Table:
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

    def replayed(
        self, call: Callable[..., object], arguments: Hashable | None, inputs: tuple[KnownValue, ...]
    ) -> LayerRecord | None:
        """What ``call`` does, if a recording of a layer of its form says it; ``arguments`` are as in `table`."""
        layer = self.layer(call)
        replay = self._replays.get(_replay_key(layer, arguments, inputs))
        if replay is None:
            return None
        given = [tensor.shape for known in inputs for tensor in known.tensors]
        try:
            ops, shapes = replay.program.run(given + layer.shapes)
        except InvalidValue:
            return None  # a recording says where in the layer it happens
        output = replay.results.get(shapes)
        if output is None:
            output = replay.results[shapes] = self.value(replay.program.result(shapes))
        return LayerRecord(ops, output, replay.flow)

    def record(
        self,
        call: Callable[..., object],
        args: tuple[object, ...],
        kwargs: Mapping[str, object],
        inputs: tuple[KnownValue, ...],
        path: str,
        arguments: Hashable | None = None,
    ) -> LayerRecord:
        """What ``call`` does, a module or a function, where the `Slot`s of its arguments stand for ``inputs``.

        ``path`` is the qualified name of the module, empty for a function; ``arguments`` are as in `table`.

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
        flow = self._flow(made, layer, result)
        key = _replay_key(layer, arguments, inputs)
        if key is not None:
            program = program_of(recorder, [*made, *layer.tensors], result)
            if program is not None:
                results = {} if program.kind is None else self._results.setdefault(program.kind, {})
                self._replays[key] = Replay(program, flow, results)
        return LayerRecord(tuple(recorder.ops), self.value(result), flow)

    def _flow(self, made: Sequence[Tensor], layer: Layer, result: object) -> LayerFlow:
        """How ``result`` depends on the inputs that were ``made`` and on the parameters of ``layer``."""
        reached, depends = self._recorder.flow.reached, self._recorder.flow.depends
        numbers = {id(t): i for i, t in enumerate([*made, *(weight.parameter for weight in layer.weights)])}
        outputs = []
        for tensor in tensors_in([result]):
            number = numbers.get(id(tensor), len(made))
            outputs.append((number if number < len(made) else None, reached(tensor, numbers)))
        changed = [(i, reached(t, numbers)) for i, t in enumerate(made) if depends(t)]
        flow = tuple(outputs), tuple((i, sources) for i, sources in changed if sources != {i}), len(layer.weights)
        return self._flows.setdefault(flow, LayerFlow(*flow))


def _replay_key(layer: Layer, arguments: Hashable | None, inputs: Sequence[KnownValue]) -> Hashable | None:
    """What a recording must have in common with a call of ``layer`` to stand for it; ``None`` if none can."""
    if layer.kind is None or arguments is None:
        return None
    forms = tuple([known.form for known in inputs])
    return None if None in forms else (layer.kind, arguments, forms)


def _made(value: object, tensors: list[Tensor]) -> object:
    return _noted(value.tensor(), tensors) if type(value) is Shaped else value


def _as_shaped(value: object) -> object:
    return shaped(value) if isinstance(value, Tensor) else value


def _noted(value: Noted, values: list[Noted]) -> Noted:
    values.append(value)
    return value
