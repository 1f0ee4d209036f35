"""`count`: what a network costs, as integers."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from torch import nn

from sfic_bench.counting import conventions
from sfic_bench.counting.conventions import CONVENTIONS, Total
from sfic_bench.counting.formulas import Shape
from sfic_bench.counting.op import CountedCall
from sfic_bench.counting.trace import Trace, trace

BYTES_PER_ELEMENT = 4
"""Bytes of one float32 number, the format in which bytes moved are stated."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameters:
    """Numbers of parameter elements.

    Attributes:
        trainable: those with ``requires_grad``.
        dead: trainable ones that no gradient from the output reaches.
    """

    total: int
    trainable: int
    dead: int


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerCost:
    """The operations of one ``kind`` in the module at ``path``, added up.

    Attributes:
        input, output: shapes of the first call's input and of the last call's output.
        params: parameter elements that the module owns itself; 0 if an earlier row has them.
        macs: MACs under the chosen convention; ``None`` if it has no rule for one of the operations.
    """

    path: str
    kind: str
    calls: int
    input: Shape
    output: Shape
    params: int
    macs: int | None


class Cost(Trace):
    """What one forward pass of a network costs in inference; all figures are for the whole batch."""

    @cached_property
    def parameters(self) -> Parameters:
        """How many parameters there are."""
        return Parameters(
            total=sum([w.elements for w in self.weights]),
            trainable=sum([w.elements for w in self.weights if w.trainable]),
            dead=sum([w.elements for w in self.weights if w.dead]),
        )

    @cached_property
    def totals(self) -> Mapping[str, Total]:
        """Every convention's total, by name."""
        return conventions.totals(self.calls, CONVENTIONS.values())

    @property
    def macs(self) -> int:
        """MACs under the convention ``conv-linear``."""
        rule = CONVENTIONS[conventions.DEFAULT].rule
        return sum([times * (rule(call) or 0) for call, times in self.calls.items()])

    @property
    def activations(self) -> int:
        """Elements that convolutions, linear layers and matrix products write, which is fvcore's definition."""
        return sum(times * call.elements_out for call, times in self.calls.items() if call.macs)

    def least_bytes(
        self, bytes_per_element: int = BYTES_PER_ELEMENT, *, images: int = 1, training: bool = False
    ) -> int:
        """The least memory that a pass over ``images`` times this batch takes, in bytes.

        In inference the parameters and the largest result exist at one time. A training step also keeps the results of
        convolutions, linear layers and matrix products for the backward pass, a gradient of each parameter, and
        Adam's two moments of it.
        """
        parameters = self.parameters.total
        if training:
            return bytes_per_element * (4 * parameters + images * self.activations)
        return bytes_per_element * (parameters + images * max((call.elements_out for call in self.calls), default=0))

    def work(self, bytes_per_element: int = BYTES_PER_ELEMENT) -> list[tuple[int, int]]:
        """``(MACs, bytes)`` of each convolution, linear layer and matrix product, in order.

        The bytes are what an operation must read and write: a strided 1×1 convolution reads no pixel that its stride
        jumps over. All other operations are left out, since a fused kernel can do their work in passing.
        """
        return [
            (call.macs, bytes_per_element * (call.elements_read - call.elements_skipped + call.elements_out))
            for _, call in self.ops
            if call.macs
        ]

    @property
    def bytes_moved(self) -> int:
        """Bytes that all operations read and write in float32, if nothing is fused and nothing stays in a cache."""
        moved = (times * (call.elements_read + call.elements_out) for call, times in self.calls.items())
        return BYTES_PER_ELEMENT * sum(moved)

    def layers(self, convention: str = conventions.DEFAULT) -> list[LayerCost]:
        """The operations grouped by module and kind, in order of the first call.

        Raises:
            UnknownName: if there is no such convention.
        """
        rule = conventions.get(convention).rule
        params: Counter[str] = Counter()
        for weight in self.weights:
            params[weight.module] += weight.elements
        groups: dict[tuple[str, str], list[CountedCall]] = {}
        for path, call in self.ops:
            groups.setdefault((path, call.kind), []).append(call)
        layers = []
        for (path, kind), calls in groups.items():
            macs = [rule(call) for call in calls]
            layer = LayerCost(
                path=path, kind=kind, calls=len(calls), input=calls[0].input, output=calls[-1].output,
                params=params.pop(path, 0), macs=None if None in macs else sum(m for m in macs if m),
            )  # fmt: skip
            layers.append(layer)
        return layers


def count(model: nn.Module, input_size: Shape, *more: Shape) -> Cost:
    """Count parameters, MACs, activations and bytes of ``model`` in inference.

    Nothing is computed and the model is left as it was; it may lie on any device, ``meta`` included.

    Args:
        model: any module with tensor inputs.
        input_size: ``(B, C, H, W)``.
        more: sizes of further inputs.

    Raises:
        InputTooSmall: if the input shrinks below a window; the message names the module.
        InvalidValue: if ``input_size`` does not fit the network.
        UnsupportedModel: if the forward pass needs values, not only shapes.
    """
    return Cost(**vars(trace(model, input_size, *more)))
