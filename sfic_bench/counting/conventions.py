"""What counts as a multiply-add (MAC): named conventions, applied to one trace.

A convention turns an operation into an integer, or into ``None`` if it has no rule for it; such operations are tallied
beside the total and never counted as a silent zero. The conventions of third-party counters were measured on their
releases, quirks included, and tests hold them to the real tools (see `sfic_bench.counting.peers`).

All totals are for the whole batch. One multiply-add is one MAC; some counters also add terms for norms, activations and
pools.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from math import prod
from operator import attrgetter, mul

from sfic_bench.counting.op import CountedCall, MacsUnder
from sfic_bench.errors import UnknownName
from sfic_bench.plugins import WithPlugins

Rule = Callable[[CountedCall], int | None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Convention:
    """A named way to count: ``rule`` gives the MACs of one operation, or ``None`` if the convention has none for it."""

    name: str
    summary: str
    rule: Rule


@dataclass(frozen=True, kw_only=True, eq=False)
class Total:
    """A convention's total over a list of operations.

    Attributes:
        find_parts: finds the calls, how often each is made, and its MACs, ``None`` without a rule.
    """

    macs: int
    find_parts: Callable[[], Iterable[tuple[CountedCall, int, int | None]]] = field(repr=False)

    @cached_property
    def terms(self) -> Mapping[str, int]:
        """The MACs that add up to ``macs``, by `CountedCall.label`."""
        terms: dict[str, int] = {}
        for call, times, macs in self.find_parts():
            if macs:
                terms[call.label] = terms.get(call.label, 0) + macs * times
        return terms

    @cached_property
    def unsupported(self) -> Mapping[str, int]:
        """How many calls have no rule, by `CountedCall.label`."""
        unsupported: dict[str, int] = {}
        for call, times, macs in self.find_parts():
            if macs is None:
                unsupported[call.label] = unsupported.get(call.label, 0) + times
        return unsupported


def totals(calls: Mapping[CountedCall, int], conventions: Iterable[Convention]) -> dict[str, Total]:
    """Add up ``calls``, each as many times as it says, under each of ``conventions``, by name."""
    asked = tuple(conventions)
    rows = [call.macs_by_conventions.get(asked) or _under(asked, call) for call in calls]
    columns = zip(*[row.numbers for row in rows], strict=True) if rows else [()] * len(asked)
    return {
        convention.name: Total(
            macs=sum(map(mul, column, calls.values())), find_parts=partial(_parts, calls, rows, number)
        )
        for number, (convention, column) in enumerate(zip(asked, columns, strict=True))
    }


def _under(asked: tuple[Convention, ...], call: CountedCall) -> MacsUnder:
    macs = tuple([convention.rule(call) for convention in asked])
    known = call.macs_by_conventions[asked] = MacsUnder(tuple([m or 0 for m in macs]), macs)
    return known


def _parts(
    calls: Mapping[CountedCall, int], rows: Iterable[MacsUnder], number: int
) -> Iterator[tuple[CountedCall, int, int | None]]:
    for (call, times), row in zip(calls.items(), rows, strict=True):
        yield call, times, row.macs[number]


def total(calls: Mapping[CountedCall, int], convention: Convention) -> Total:
    """Add up ``calls``, each as many times as it says, under ``convention``."""
    return totals(calls, [convention])[convention.name]


def get(name: str) -> Convention:
    """The convention ``name``; raises `UnknownName`, with the nearest name, if there is none."""
    if name not in CONVENTIONS:
        raise UnknownName("convention", name, CONVENTIONS)
    return CONVENTIONS[name]


Term = Callable[[CountedCall], int]
"""Gives what one operation adds to a total. The terms that follow are shared by several counters."""

_elements_in: Term = attrgetter("elements_in")
_elements_out: Term = attrgetter("elements_out")


def _zero(_: CountedCall) -> int:
    return 0


def _macs_or_zero(call: CountedCall) -> int:
    return call.macs or 0


def _with_bias(call: CountedCall) -> int:
    return (call.macs or 0) + (call.elements_out if call.bias else 0)


def _norm(call: CountedCall) -> int:
    """Counts each element of a norm's input once, and twice if the norm has a weight."""
    return call.elements_in * (2 if call.bias else 1)


def _transposed_at_output(call: CountedCall) -> int:
    """Counts a transposed convolution as if each weight met each *output* position."""
    weights = prod(call.weight)
    return call.output[0] * prod(call.output[2:]) * weights + (call.elements_out if call.bias else 0)


def _without_broadcasting(call: CountedCall) -> int:
    """Counts a matrix product as if the first matrix were never repeated for several of the second."""
    return prod(call.input) * call.weight[-1]


def _for_names(names: str, term: Term) -> dict[str, Term]:
    return dict.fromkeys(names.split(), term)


# ptflops hooks modules by class and sums over each module's children, so that a module held by two parents counts
# twice.
_PTFLOPS_MODULES = {
    **_for_names("Conv1d Conv2d Conv3d Linear", _with_bias),
    **_for_names("ConvTranspose1d ConvTranspose2d ConvTranspose3d", _transposed_at_output),
    **_for_names("ReLU PReLU ELU LeakyReLU ReLU6 GELU Upsample", _elements_out),
    **_for_names("MaxPool2d AvgPool2d AdaptiveAvgPool2d AdaptiveMaxPool2d", _elements_in),
    **_for_names("BatchNorm1d BatchNorm2d BatchNorm3d InstanceNorm1d InstanceNorm2d InstanceNorm3d GroupNorm", _norm),
    **_for_names("LayerNorm", _elements_in),
    **_for_names("Identity Dropout Dropout2d Flatten", _zero),
}

# Since 0.7.1 ptflops also patches names in torch.nn.functional and a few tensor functions, and so counts a module that
# calls one of them a second time.
_PTFLOPS_FUNCTIONS = {
    **_for_names("relu prelu elu relu6 gelu silu softmax", _elements_in),
    **_for_names("max_pool avg_pool adaptive_avg_pool adaptive_max_pool", _elements_in),
    "matmul": _without_broadcasting,
}


def _ptflops_modules(call: CountedCall) -> int | None:
    term = _PTFLOPS_MODULES.get(call.module)
    return None if term is None else term(call) * call.parents


def _ptflops_modules_corrected(call: CountedCall) -> int | None:
    if call.kind != "conv_transpose":
        return _ptflops_modules(call)
    return _with_bias(call) * call.parents if call.module else None


def _ptflops_with_functions(modules: Rule, interpolate: Term) -> Rule:
    functions = {**_PTFLOPS_FUNCTIONS, "interpolate": interpolate}

    def rule(call: CountedCall) -> int | None:
        by_module, by_function = modules(call), functions.get(call.kind)
        if by_function is None or not (call.in_functional or call.kind == "matmul"):
            return by_module
        return (by_module or 0) + by_function(call)

    return rule


# thop hooks modules by class, without biases, and visits a module once per parent both when it hooks and when it sums.
_THOP_MODULES: dict[str, Term] = {
    **_for_names("Conv1d Conv2d Conv3d Linear", _macs_or_zero),
    **_for_names(
        "ConvTranspose1d ConvTranspose2d ConvTranspose3d",
        lambda call: call.elements_out * call.input[1] * prod(call.weight[2:]),
    ),
    **_for_names("BatchNorm1d BatchNorm2d BatchNorm3d LayerNorm", lambda call: 2 * _norm(call)),
    **_for_names("InstanceNorm1d InstanceNorm2d InstanceNorm3d", lambda call: 2 * _norm(call)),
    **_for_names("ReLU ReLU6 LeakyReLU MaxPool2d AdaptiveMaxPool2d Dropout", _zero),
    **_for_names("AvgPool2d Upsample", _elements_out),
    "AdaptiveAvgPool2d": lambda call: int((prod(call.input[2:]) / prod(call.output[2:]) + 1) * call.elements_out),
}


def _thop(call: CountedCall) -> int | None:
    term = _THOP_MODULES.get(call.module)
    return None if term is None else term(call) * call.parents**2


_FVCORE = {
    **_for_names("conv conv_transpose linear", _macs_or_zero),
    "matmul": _without_broadcasting,
    "batch_norm": _norm,
    **_for_names(
        "batch_norm_of_input group_norm instance_norm layer_norm",
        lambda call: call.elements_in * (5 if call.bias else 4),
    ),
    "interpolate": _elements_out,
    "interpolate_bilinear": lambda call: 4 * call.elements_out,
    "adaptive_avg_pool": _elements_in,
    **_for_names("relu cat", _zero),
}


def _fvcore(call: CountedCall) -> int | None:
    term = _FVCORE.get(call.kind)
    return None if term is None else term(call)


def _aten(call: CountedCall) -> int | None:
    return _with_bias(call) if call.macs else call.macs


_OWN: Mapping[str, Convention] = {
    convention.name: convention
    for convention in (
        Convention(
            name="paper", rule=_ptflops_modules,
            summary="ptflops up to 0.7.0, which the paper used: modules only, functional calls are missed",
        ),
        Convention(
            name="conv-linear", rule=lambda call: call.macs,
            summary="every convolution, linear and matrix product, functional ones too, without biases "
            "(= torch FlopCounterMode / 2)",
        ),
        Convention(
            name="ptflops-0.7.1", rule=_ptflops_with_functions(_ptflops_modules, lambda call: prod(call.output[2:])),
            summary="ptflops 0.7.1 to 0.7.3: counts activations and pools by module and by function",
        ),
        Convention(
            name="ptflops-0.7.5", rule=_ptflops_with_functions(_ptflops_modules_corrected, _elements_out),
            summary="ptflops 0.7.5: as 0.7.1, with interpolation and transposed convolutions corrected",
        ),
        Convention(
            name="ptflops-0.7.5-modules", rule=_ptflops_modules_corrected,
            summary="ptflops 0.7.5 with count_functional=False: as paper, with transposed convolutions corrected",
        ),
        Convention(name="ptflops-aten", rule=_aten, summary="ptflops' aten backend: conv-linear plus biases"),
        Convention(
            name="fvcore", rule=_fvcore,
            summary="fvcore 0.1.5: convolutions, linear, matrix products, norms, some pools and resizes",
        ),
        Convention(
            name="thop", rule=_thop,
            summary="thop 0.1.1: modules only, BatchNorm counted twice, functional calls are missed",
        ),
    )
}  # fmt: skip

CONVENTIONS: Mapping[str, Convention] = WithPlugins(_OWN, "conventions", Convention)
"""All conventions by name, with those of plug-ins."""

DEFAULT = "conv-linear"
"""The convention of every figure that is called ``macs`` and names no other one."""
