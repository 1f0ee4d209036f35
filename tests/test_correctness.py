"""In 16-bit formats, correct paths pass the check against the reference and wrong ones fail."""

from collections.abc import Iterator

import pytest
import torch
from helpers.timings import MACHINE, QUICK, replace_maker
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from sfic_bench import timing
from sfic_bench.choices import Kernels
from sfic_bench.measure.conditions import Conditions, MemoryLayout, NumberFormat
from sfic_bench.measure.execution import Output, Ready, eager
from sfic_bench.networks.variant import Stage2Layer, Variant
from sfic_bench.nn.fused import ReducedStage2
from sfic_bench.results.timing import TimingRow
from sfic_bench.timing import forms
from sfic_bench.timing.correctness import CallResult, Errors, Truth, run_eagerly

SEVEN = ("mobilenet", "resnet26", "resnet50", "resnet101", "vgg13", "vgg16", "vgg19")
IN_EVERY_RUN = {
    *((name, dtype) for name in ("mobilenet", "resnet26") for dtype in (NumberFormat.BF16, NumberFormat.FP16)),
    ("resnet50", NumberFormat.BF16),
    ("vgg13", NumberFormat.FP16),
}
"""The networks that every run checks, and their number formats; ``nox -s thorough`` checks all seven in both."""

LOW = (torch.bfloat16, torch.float16)
aten = torch.ops.aten


class Emulated(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's own class is untyped
    """Computes products of 16-bit tensors as a GPU does, adding up in float32 and rounding once.

    Some CPUs lack such products, and others are slow at them.
    """

    PRODUCTS = (
        aten.convolution.default,
        aten.convolution_backward.default,
        aten.mm.default,
        aten.addmm.default,
    )

    def __torch_dispatch__(
        self,
        func: OpOverload[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        low = next((a.dtype for a in args if isinstance(a, Tensor) and a.dtype in LOW), None)
        if func not in self.PRODUCTS or low is None:
            return func(*args, **(kwargs or {}))
        product = func(*(a.float() if isinstance(a, Tensor) else a for a in args), **(kwargs or {}))
        if isinstance(product, Tensor):
            return product.to(low)
        assert isinstance(product, tuple)  # of the gradients, of which some may not be needed
        return tuple(t if t is None else t.to(low) for t in product)


@pytest.fixture(autouse=True)
def _emulated() -> Iterator[None]:
    with Emulated():  # type: ignore[no-untyped-call]  # torch's own class is untyped
        yield


def rows(variants: list[Variant], conditions: Conditions, paths: tuple[str, ...]) -> list[TimingRow]:
    (result,) = timing.measure(variants, paths, conditions, MACHINE, QUICK)
    return result.rows


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        pytest.param(n, dtype, marks=[] if (n, dtype) in IN_EVERY_RUN else [pytest.mark.thorough])
        for n in SEVEN
        for dtype in (NumberFormat.BF16, NumberFormat.FP16)
    ],
)
def test_a_correct_network_passes_in_16_bits(name: str, dtype: NumberFormat) -> None:
    conditions = Conditions(batch_size=4, input_size=96, dtype=dtype, layout=MemoryLayout.CHANNELS_LAST)
    for row in rows([Variant(backbone=name)], conditions, ("reference", "fused")):
        assert row.status == "ok", f"{row.path}: {row.reason}"


@pytest.mark.parametrize("dtype", [NumberFormat.BF16, NumberFormat.FP16])
def test_a_network_without_a_term_fails_in_16_bits(monkeypatch: pytest.MonkeyPatch, dtype: NumberFormat) -> None:
    """In each of the 22 stages in turn, the enlarged F is left out of one sum of Stage 2."""
    conditions = Conditions(batch_size=2, input_size=64, dtype=dtype)
    what = Variant(backbone="resnet26", alpha=0.5, beta=0.5)
    drawn = forms.drawn(what, conditions)
    truth = Truth.of(drawn, conditions)
    fused = forms.fused(what, drawn, conditions)
    assert truth.complaint_of_form(fused) == ""
    stages = [m for m in fused.module.modules() if isinstance(m, ReducedStage2)]
    assert len(stages) == 22
    for stage in stages:
        kept, stage.fs = stage.fs, None
        assert "in float32 it differs from the float64 reference" in truth.complaint_of_form(fused)
        stage.fs = kept

    def forgetful(
        what: Variant | Stage2Layer, drawn: forms.Form, conditions: Conditions, kernels: Kernels
    ) -> forms.Form:
        form = original(what, drawn, conditions, kernels)
        for module in form.module.modules():
            if isinstance(module, ReducedStage2):
                module.fs = None
                break
        return form

    original = forms.fused
    monkeypatch.setattr(forms, "fused", forgetful)
    reference, wrong = rows([what], conditions, ("reference", "fused"))
    assert (reference.status, wrong.status) == ("ok", "wrong")


@pytest.mark.parametrize("name", ["resnet26", pytest.param("resnet50", marks=pytest.mark.thorough), "vgg13"])
def test_training_steps_in_16_bits(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A correct step passes, however little rounding leaves of its gradients; one without gradients fails."""

    def without(model: nn.Module, inputs: tuple[Tensor, ...], training: bool) -> Ready:
        ready = eager(model, inputs, training)

        def run() -> Output:
            result = ready.run()
            for p in model.parameters():
                p.grad = None
            return result

        return Ready(run=run)

    replace_maker(monkeypatch, "compiled", without)
    conditions = Conditions(batch_size=4, input_size=64, dtype=NumberFormat.BF16, training=True)
    measured = rows([Variant(backbone=name)], conditions, ("reference", "fused", "compiled"))
    assert [r.status for r in measured] == ["ok", "ok", "wrong"], [r.reason for r in measured]
    assert "has no gradient of" in measured[2].reason


def test_large_rounding_errors_do_not_excuse_wrong_results() -> None:
    """Zeros alone, gradients of another norm and NaN are wrong, however large the network's rounding error is."""
    expected = CallResult(outputs=(torch.tensor([2.0]),), gradients={"w": torch.tensor([1.0])})
    conditions = Conditions(dtype=NumberFormat.BF16, training=True)
    lossy = Errors(output=1.5, gradient=1.3, norm=0.97)
    truth = Truth(conditions=conditions, expected=expected, rounding=lossy, exact=Errors(output=1e-6))
    nan = float("nan")
    assert truth.complaint(lossy) == "" and "differs" in truth.complaint(Errors(output=2.0))
    assert "norm" in truth.complaint(Errors(output=0.1, gradient=1.0, norm=0.0))
    assert "norm" in truth.complaint(Errors(output=0.1, gradient=nan, norm=nan))
    assert "differs" in truth.complaint(Errors(output=nan))
    assert truth.complaint(Errors(output=0.1, gradient=1.4, norm=1.9)) == ""
    sharp = Truth(conditions=conditions, expected=expected, rounding=Errors(output=0.0), exact=lossy)
    assert "gradients that differ" in sharp.complaint(Errors(output=0.0, gradient=0.11))


def test_rounding_errors_are_those_of_the_number_format() -> None:
    conditions = Conditions(batch_size=2, input_size=64, dtype=NumberFormat.BF16)
    drawn = forms.drawn(Variant(backbone="resnet26"), conditions)
    truth = Truth.of(drawn, conditions)
    assert truth.rounding == truth.errors(run_eagerly(drawn, conditions, NumberFormat.BF16))
    assert truth.exact.output < 1e-4 < truth.rounding.output
