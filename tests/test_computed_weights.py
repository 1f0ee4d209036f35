"""Convolutions that compute their weight: by a subclass, a parametrisation or a hook."""

import copy
from pathlib import Path

import pytest
import torch
from helpers.computed import KINDS, Network, Standardised, hooked_spectral_norm, weight_norm
from helpers.networks import Body, randomised, with_identity_mcs
from test_export import needs_onnx
from torch import Tensor, nn

from sfic_bench.convert import fuse, parity, to_sfic
from sfic_bench.counting import count
from sfic_bench.deploying.export import export
from sfic_bench.nn.computed import ComputedWeights
from sfic_bench.nn.fused import Dense

pytestmark = pytest.mark.filterwarnings("ignore:`torch.nn.utils:FutureWarning")
SIZE = (2, 3, 9, 8)
every_kind = pytest.mark.parametrize("kind", KINDS)


def made(kind: str, norm: type[nn.Module] = nn.BatchNorm2d, bias: bool = True) -> nn.Module:
    torch.manual_seed(0)
    return randomised(Network(KINDS[kind], norm, bias))


def images() -> Tensor:
    torch.manual_seed(1)
    return torch.randn(SIZE, dtype=torch.float64)


def same(got: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(got, expected, rtol=1e-7, atol=1e-9)


@every_kind
@pytest.mark.parametrize("norm", [nn.BatchNorm2d, nn.Identity])
def test_the_weight_is_computed_before_it_is_cut(kind: str, norm: type[nn.Module]) -> None:
    """So that at β = 1 and without the filter, the function is the vanilla one."""
    vanilla, x = made(kind, norm), images()
    expected = vanilla(x)
    assert expected.std() > 1e-3
    sfic = to_sfic(vanilla, alpha=0.3, beta=1.0)
    assert parity(vanilla, sfic).unexplained == 0
    same(with_identity_mcs(sfic)(x), expected)
    same(fuse(vanilla)(x), expected)


@pytest.mark.parametrize(
    ("kind", "alpha", "beta"),
    [*((kind, 0.3, 0.5) for kind in KINDS), *((kind, 0.5, 1.0) for kind in KINDS), ("scaled", 1.0, 0.5)],
)
def test_fused_is_unfused(kind: str, alpha: float, beta: float) -> None:
    x = images()
    sfic = to_sfic(made(kind), alpha=alpha, beta=beta)
    fused = fuse(sfic)
    assert not any(isinstance(m, ComputedWeights) for m in fused.modules())
    same(fused(x), sfic(x))
    trained = fuse(sfic, for_training=True)
    assert any(isinstance(m, ComputedWeights) for m in trained.modules())
    assert any(isinstance(m, Dense) for m in trained.modules()) == (beta == 1)
    state = copy.deepcopy(sfic.state_dict())
    for one, other in zip(outcome(trained, x), outcome(sfic, x), strict=True):
        same(one, other)
    drawn = {name: torch.randn_like(t) if "weight" in name else t for name, t in state.items()}
    for model in (sfic, trained):
        model.load_state_dict(drawn)
    same(trained.eval()(x), sfic.eval()(x))
    for name, tensor in trained.state_dict().items():
        same(tensor, drawn[name])


def outcome(model: nn.Module, x: Tensor) -> list[Tensor]:
    """The result in training, and the gradients of what weights are computed from."""
    result = model.train()(x)
    result.square().sum().backward()
    gradients = [p.grad for name, p in sorted(model.named_parameters()) if ".source." in name]
    assert gradients and all(g is not None for g in gradients)
    return [result.detach(), *(g for g in gradients if g is not None)]


def test_parameters_keep_their_names_and_values() -> None:
    vanilla = made("scaled")
    sfic = to_sfic(vanilla, alpha=0.5, beta=0.5)
    for name, value in vanilla.dense.named_parameters(prefix="dense"):  # type: ignore[union-attr]  # a module
        path, _, own = name.rpartition(".")
        kept = sfic.get_parameter(f"{path}.source.{own}" if path == "dense.0" else f"{path}.spatial.{own}")
        assert kept is not value
        if path == "dense.0":
            assert torch.equal(kept, value)
    assert not any("stage" in name and "mcs" not in name for name, _ in sfic.named_parameters())
    parametrised = to_sfic(made("weight norm"), alpha=0.5, beta=0.5)
    assert "grouped.0.source.parametrizations.weight.original0" in parametrised.state_dict()


def test_a_bias_that_batchnorm_makes_redundant_is_dropped_if_it_is_a_parameter() -> None:
    for kind, dropped in (("standardised", True), ("hooked weight norm", True), ("scaled", False)):
        vanilla = made(kind)
        terms = parity(vanilla, to_sfic(vanilla, alpha=0.5, beta=0.5)).terms
        assert ("convolution biases" in terms) == dropped


@every_kind
def test_the_vanilla_network_is_left_as_it_was(kind: str) -> None:
    vanilla = made(kind).train()
    vanilla(images())
    before = {name: value.clone() for name, value in vanilla.state_dict().items()}
    attributes = [dict(vars(m)) for m in vanilla.modules()]
    sfic = to_sfic(vanilla, alpha=0.5, beta=0.5)
    state = copy.deepcopy(sfic.state_dict())
    fuse(sfic), fuse(sfic, for_training=True), fuse(vanilla)
    assert [dict(vars(m)) for m in vanilla.modules()] == attributes
    assert all(torch.equal(value, before[name]) for name, value in vanilla.state_dict().items())
    assert all(torch.equal(value, state[name]) for name, value in sfic.state_dict().items())


def test_power_iterations_go_on_once_for_each_step() -> None:
    vanilla, x = made("spectral norm"), images()
    sfic = to_sfic(vanilla, alpha=0.0, beta=1.0)
    for model in (vanilla, sfic):
        model.train()
        for _ in range(3):
            model(x)
    buffer = "dense.0.parametrizations.weight.0._u"
    same(sfic.get_buffer(buffer.replace("dense.0.", "dense.0.source.")), vanilla.get_buffer(buffer))


def small(beta: float) -> nn.Module:
    torch.manual_seed(0)
    layers = (Standardised(12, 12, 3, padding=1), weight_norm(12, 12, 1), hooked_spectral_norm(12, 12, 1))
    return to_sfic(Body(nn.Sequential(*layers)), alpha=0.5, beta=beta)


def test_a_network_compiles_as_one_graph() -> None:
    model, x = fuse(small(0.5), for_training=True), images().float()
    torch._dynamo.reset()
    result = torch.compile(model, backend="eager", fullgraph=True)(x)
    model.load_state_dict(fuse(small(0.5), for_training=True).state_dict())  # spectral norm has gone on a step
    torch.testing.assert_close(result, model(x))


@needs_onnx
@pytest.mark.filterwarnings("ignore")
def test_computed_weights_are_exported(tmp_path: Path) -> None:
    for format in ("onnx", "torchscript"):
        export(small(0.5).eval(), tmp_path / "network", format=format, input_size=12)  # it compares the results


@every_kind
def test_computed_weights_are_counted(kind: str) -> None:
    network = Network(KINDS[kind])
    plain, computed = (count(to_sfic(m, alpha=0.5, beta=0.5), (1, 3, 16, 16)) for m in (Network(nn.Conv2d), network))
    total = computed.totals["conv-linear"]
    assert not total.unsupported and computed.parameters.dead == 0
    products = sum(total.terms.get(f"{name} (functional)", 0) for name in ("matmul", "mv", "dot", "vdot"))
    # Eight weights [o, i]: o · i for W·v, and o for u · (W·v); by hand o · i again for v.
    elements = sum(m.weight.numel() for m in Network(nn.Conv2d).modules() if isinstance(m, nn.Conv2d))
    outputs = 8 + 10 + 12 + 12 + 24 + 12 + 12 + 6
    expected = {"spectral": 2 * elements + outputs, "spectral norm": elements + outputs}
    if kind == "hooked spectral norm":  # in the stem a module of torch calls the function
        assert total.macs - plain.macs == elements + outputs
    else:
        assert total.macs - plain.macs == products == expected.get(kind, 0)
