"""A layer as a program: which torch functions it calls with which tensors, for any numbers of channels.

A program is made of one recording. Run for other shapes, it gives the operations that a recording would have given,
and calls no module.
"""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from sfic_bench.counting.formulas import Shape
from sfic_bench.counting.op import CountedCall, Op
from sfic_bench.counting.recorder import Recorder, tensors_in
from sfic_bench.counting.requests import PLAIN, Request, Sized
from sfic_bench.counting.rules import RULES
from sfic_bench.counting.values import Shaped, Slot, key_of
from sfic_bench.nested import Nested, replaced


class Instruction(NamedTuple):
    """One call.

    Attributes:
        path: qualified name of the innermost module that makes the call, within the layer.
        request: the call, with a `Slot` for each tensor; its number is the place of its shape among ``sources``.
        varying: the places of its arguments that have a `Slot` or `DEPTHWISE` in them.
        sources: the tensors that it reads, by number.
        gives: whether its result is a new tensor, which gets the next number.
        ops: the operation for tensors of the shapes that it has met.
        calls: the same without the path.
    """

    path: str
    request: Request
    varying: tuple[int, ...]
    sources: tuple[int, ...]
    gives: bool
    ops: dict[tuple[Shape, ...], Op]
    calls: dict[tuple[Shape, ...], CountedCall]

    def op(self, shapes: tuple[Shape, ...]) -> Op:
        """The operation for tensors of ``shapes``, found out anew.

        Raises:
            InvalidValue: as the shape rule does.
        """
        call = self.calls.get(shapes)
        if call is None:
            call = self.calls[shapes] = self._counted(shapes)
        op = self.ops[shapes] = Op(self.path, call)
        return op

    def _counted(self, shapes: tuple[Shape, ...]) -> CountedCall:
        sized = [Sized(shape) for shape in shapes]

        def given(value: object) -> object:
            if type(value) is Slot:
                return sized[value.source]
            return shapes[0][1] if value is DEPTHWISE else value

        request = self.request
        args, kwargs = list(request.args), replaced(request.kwargs, given) if request.kwargs else {}
        for place in self.varying:
            args[place] = replaced(args[place], given)
        assert request.rule is not None
        return request.counted(request.rule(*args, **kwargs))


class Program:
    """The calls of a layer. Its tensors are numbered: its inputs, its own ones, and the new results of its calls.

    Args:
        steps: the calls.
        returned: the numbers of the tensors in its result.
        result: its result, with a `Slot` for each of these.
        dtypes: the number format of each.
    """

    def __init__(
        self, steps: Sequence[Instruction], returned: Sequence[int], result: object, dtypes: Sequence[torch.dtype]
    ) -> None:
        self._steps, self._returned, self._result, self._dtypes = tuple(steps), tuple(returned), result, tuple(dtypes)
        self.kind = key_of((result, self._dtypes))
        """What tells its result from others, besides shapes; ``None`` if nothing does."""

    def run(self, shapes: Sequence[Shape]) -> tuple[tuple[Op, ...], tuple[Shape, ...]]:
        """The operations for inputs and own tensors of ``shapes``, and the shapes of the tensors that it returns.

        Raises:
            InvalidValue: as a shape rule does.
        """
        all_shapes, ops = list(shapes), []
        for step in self._steps:
            given = tuple([all_shapes[i] for i in step.sources])
            op = step.ops.get(given) or step.op(given)
            ops.append(op)
            if step.gives:
                all_shapes.append(op.call.output)
        return tuple(ops), tuple([all_shapes[i] for i in self._returned])

    def result(self, shapes: Sequence[Shape]) -> object:
        """The result, whose tensors have ``shapes``."""
        tensors = [Shaped(*known) for known in zip(shapes, self._dtypes, strict=True)]
        return replaced(self._result, lambda v: tensors[v.source] if type(v) is Slot else v)


class _Unnumbered(Exception):
    """A tensor that is neither an input, nor the layer's own, nor the result of a call that a shape rule answers."""


class _Numbering:
    """Numbers the tensors of a recording."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._numbers = {id(tensor): i for i, tensor in enumerate(tensors)}
        self.shapes: list[Shape] = [tuple(tensor.shape) for tensor in tensors]

    def add(self, tensor: Tensor) -> bool:
        """Give ``tensor`` the next number, unless it has one; whether it is new."""
        is_new = id(tensor) not in self._numbers
        if is_new:
            self._numbers[id(tensor)] = len(self.shapes)
            self.shapes.append(tuple(tensor.shape))
        return is_new

    def slotted(self, value: Nested, used: list[int]) -> Nested:
        """``value`` with a `Slot` for each tensor, for its place among the numbers that are added to ``used``."""

        def slot(v: object) -> object:
            if not isinstance(v, Tensor):
                return v
            if id(v) not in self._numbers:
                raise _Unnumbered
            used.append(self._numbers[id(v)])
            return Slot(len(used) - 1)

        return replaced(value, slot)

    def arguments(self, args: tuple[object, ...], used: list[int]) -> tuple[object, ...]:
        """``slotted(args, used)``, in a third of the time where ``args`` are tensors, numbers and tuples of numbers."""
        return tuple([v if type(v) in PLAIN or _is_plain(v) else self.slotted(v, used) for v in args])


def _is_plain(value: object) -> bool:
    return type(value) is tuple and PLAIN.issuperset(map(type, value))


_OPS: dict[Hashable, dict[tuple[Shape, ...], Op]] = {}
"""What is known of all calls of all programs, by what they are besides the shapes of their tensors, and by path."""

_CALLS: dict[Hashable, dict[tuple[Shape, ...], CountedCall]] = {}
"""The same by what they are alone."""


def program_of(recorder: Recorder, tensors: Sequence[Tensor], result: object) -> Program | None:
    """The program of what ``recorder`` has recorded; ``None`` if it depends on more than the shapes of its tensors.

    ``tensors`` are the inputs and the layer's own, and ``result`` is what came of it.
    """
    numbering, steps, returned = _Numbering(tensors), [], list[int]()
    try:
        for op, (request, given) in zip(recorder.ops, recorder.requests, strict=True):
            if request.rule is None:
                return None
            used: list[int] = []
            args = numbering.arguments(request.args, used)
            kwargs = numbering.slotted(request.kwargs, used) if request.kwargs else request.kwargs
            slotted = _for_any_width(request, request._replace(args=args, kwargs=kwargs))
            key, shapes = slotted.key([]), tuple([numbering.shapes[number] for number in used])
            ops, calls = _OPS.setdefault((op.path, key), {}), _CALLS.setdefault(key, {})
            ops[shapes], calls[shapes] = op, op.call
            varying = tuple([i for i, v in enumerate(slotted.args) if not (type(v) in PLAIN or _is_plain(v))])
            steps.append(Instruction(op.path, slotted, varying, tuple(used), numbering.add(given), ops, calls))
        slotted_result = numbering.slotted(result, returned)
    except (_Unnumbered, TypeError):  # a TypeError for an argument that cannot be a key
        return None
    returned_tensors = tensors_in([result])
    if not all(tensor.is_contiguous() for tensor in returned_tensors):
        return None
    return Program(steps, returned, slotted_result, [tensor.dtype for tensor in returned_tensors])


_PLACE_OF_GROUPS = 6
"""The place of ``groups`` among the arguments of torch's convolutions."""


class _Depthwise:
    """Stands for as many groups as the convolution's input has channels; the input is the first tensor."""


DEPTHWISE = _Depthwise()


def _for_any_width(request: Request, slotted: Request) -> Request:
    """``slotted`` with `DEPTHWISE` for the number of groups if ``request`` is a depthwise convolution."""
    if request.rule is not RULES["conv2d"]:
        return slotted
    args, kwargs = slotted.args, slotted.kwargs
    groups = args[_PLACE_OF_GROUPS] if len(args) > _PLACE_OF_GROUPS else kwargs.get("groups", 1)
    x = request.args[0] if request.args else request.kwargs["input"]
    if groups == 1 or not isinstance(x, Tensor) or groups != x.shape[1]:
        return slotted
    if "groups" in kwargs:
        return slotted._replace(kwargs={**kwargs, "groups": DEPTHWISE})
    return slotted._replace(args=(*args[:_PLACE_OF_GROUPS], DEPTHWISE))
