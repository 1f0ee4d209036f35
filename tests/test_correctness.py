"""Verdicts on paths in few bits: right ones pass, wrong ones do not."""

from collections.abc import Iterator

import pytest
import torch
from test_latency import MACHINE, QUICK, instead
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from sfic_bench import timing
from sfic_bench.measure.conditions import Conditions, NumberFormat
from sfic_bench.measure.execution import Ready, eager
from sfic_bench.networks.variant import Variant
from sfic_bench.nn.fused import ReducedStage2
from sfic_bench.results.timing import TimingRow
from sfic_bench.timing import forms
from sfic_bench.timing.correctness import CallResult, Errors, Truth, run_eagerly

SEVEN = ("mobilenet", "resnet26", "resnet50", "resnet101", "vgg13", "vgg16", "vgg19")
LOW = (torch.bfloat16, torch.float16)
aten = torch.ops.aten


class Emulated(TorchDispatchMode):
    """Products of 16-bit tensors as a GPU makes them: added up in float32, and rounded once.

    CPUs differ in whether they have such products at all, and how fast they are.
    """

    PRODUCTS = (
        aten.convolution.default,
        aten.convolution_backward.default,
        aten.mm.default,
        aten.addmm.default,
    )

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        low = next((a.dtype for a in args if isinstance(a, Tensor) and a.dtype in LOW), None)
        if func not in self.PRODUCTS or low is None:
            return func(*args, **(kwargs or {}))
        found = func(*(a.float() if isinstance(a, Tensor) else a for a in args), **(kwargs or {}))
        if isinstance(found, Tensor):
            return found.to(low)
        return type(found)(t if t is None else t.to(low) for t in found)


@pytest.fixture(autouse=True)
def _emulated() -> Iterator[None]:
    with Emulated():
        yield


def rows(asked: list[Variant], conditions: Conditions, paths: tuple[str, ...]) -> list[TimingRow]:
    (result,) = timing.measure(asked, paths, conditions, MACHINE, QUICK)
    return result.rows


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
@pytest.mark.parametrize("name", SEVEN)
def test_a_right_network_is_right_in_few_bits(name: str, dtype: str) -> None:
    conditions = Conditions(batch_size=4, input_size=96, dtype=dtype, layout="channels-last")
    for row in rows([Variant(backbone=name)], conditions, ("reference", "fused")):
        assert row.status == "ok", f"{row.path}: {row.reason}"


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_a_network_that_lost_a_term_is_wrong_in_few_bits(monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    """The enlarged F is missing from one sum of Stage 2, in each of the 22 stages in turn."""
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

    def forgetful(*arguments: object) -> forms.Form:
        form = original(*arguments)
        for module in form.module.modules():
            if isinstance(module, ReducedStage2):
                module.fs = None
                break
        return form

    original = forms.fused
    monkeypatch.setattr(forms, "fused", forgetful)
    reference, wrong = rows([what], conditions, ("reference", "fused"))
    assert (reference.status, wrong.status) == ("ok", "wrong")


@pytest.mark.parametrize("name", ["resnet26", "resnet50", "vgg13"])
def test_training_steps_in_few_bits(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A right step passes, however little rounding leaves of its gradients; one without gradients does not."""

    def without(model: nn.Module, inputs: tuple[Tensor, ...], training: bool) -> Ready:
        ready = eager(model, inputs, training)

        def run() -> object:
            result = ready.run()
            for p in model.parameters():
                p.grad = None
            return result

        return Ready(run=run)

    instead(monkeypatch, "compiled", without)
    conditions = Conditions(batch_size=4, input_size=64, dtype="bf16", training=True)
    found = rows([Variant(backbone=name)], conditions, ("reference", "fused", "compiled"))
    assert [r.status for r in found] == ["ok", "ok", "wrong"], [r.reason for r in found]
    assert "has no gradient of" in found[2].reason


def test_no_rounding_excuses_everything() -> None:
    """Nothing but zeros, gradients of another size, and no number at all are wrong, whatever the network's rounding."""
    expected = CallResult(outputs=(torch.tensor([2.0]),), gradients={"w": torch.tensor([1.0])})
    conditions = Conditions(dtype="bf16", training=True)
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


def test_rounding_is_that_of_the_format() -> None:
    conditions = Conditions(batch_size=2, input_size=64, dtype="bf16")
    drawn = forms.drawn(Variant(backbone="resnet26"), conditions)
    truth = Truth.of(drawn, conditions)
    assert truth.rounding == truth.errors(run_eagerly(drawn, conditions, NumberFormat.BF16))
    assert truth.exact.output < 1e-4 < truth.rounding.output
