import copy
import operator
from collections.abc import Callable

import pytest
import torch
from helpers.networks import Chain, Combine, Residual, randomised, with_identity_mcs
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from sfic_bench.convert import Placement, graph_of, parity, set_beta, to_sfic
from sfic_bench.counting import trace
from sfic_bench.errors import UnsupportedModel
from sfic_bench.networks import registry
from sfic_bench.nn import MCSConv, Stage1, Stage2, Stage3


def unstrided_resnet() -> nn.Module:
    """ResNet-26 without strides in its body, and with the first shortcut where the SFIC network has it."""
    model = registry.build("resnet26")
    for name, m in model.named_modules():
        if isinstance(m, nn.Conv2d) and name.startswith("layer"):
            m.stride = (1, 1)
    graph = graph_of(model)
    nodes = {n.target: n for n in graph.graph.nodes}
    nodes["layer1.0.downsample.0"].args = nodes["layer1.0.conv2"].args
    graph.recompile()
    return graph


@pytest.mark.parametrize("alpha", [0.0, 0.25, 0.3, 0.75, 1.0])
@pytest.mark.parametrize(
    ("make", "size"),
    [
        (Chain, 12),
        (lambda: registry.build("vgg13"), 32),
        (unstrided_resnet, 16),
    ],
    ids=["chain", "vgg13", "resnet26"],
)
def test_blocks_are_slices_so_the_function_is_vanillas(make: Callable[[], nn.Module], size: int, alpha: float) -> None:
    """At β = 1, without MCSConv and strides in the body, SFIC computes the vanilla function, biases included."""
    vanilla = randomised(make())
    sfic = with_identity_mcs(to_sfic(vanilla, alpha=alpha, beta=1.0))
    x = torch.randn(2, 3, size, size, dtype=torch.float64)
    torch.testing.assert_close(sfic(x), vanilla(x), rtol=1e-9, atol=1e-9)


def test_each_block_is_a_slice_of_the_vanilla_weight() -> None:
    vanilla = registry.build("resnet26")
    sfic = to_sfic(vanilla, alpha=0.25, beta=0.5)
    stage, weight = sfic.get_submodule("layer2.0.conv2"), vanilla.get_parameter("layer2.0.conv2.weight")
    assert isinstance(stage, Stage2) and stage.ss and stage.fs and stage.sf and stage.ff
    assert torch.equal(stage.ss.weight, weight[:96, :96])
    assert torch.equal(stage.fs.weight, weight[:96, 96:])
    assert torch.equal(stage.sf.weight, weight[96:, :96])
    assert torch.equal(stage.ff.weight, weight[96:, 96:])
    assert stage.ss.weight.data_ptr() != weight.data_ptr()


@pytest.mark.parametrize(
    ("name", "stage1", "stage3", "vanilla_after"),
    [
        ("resnet50", "layer1.0.conv1", {"layer4.0.conv3", "layer4.0.downsample.0"}, "layer4.1.conv1"),
        ("vgg13", "features.3", {"features.31"}, None),
        ("mobilenet", "features.1.0", {"features.13.3"}, None),
    ],
)
def test_placement(name: str, stage1: str, stage3: set[str], vanilla_after: str | None) -> None:
    sfic = to_sfic(registry.build(name, device="meta"), alpha=0.5, beta=0.5)
    by_type = {kind: {n for n, m in sfic.named_modules() if type(m) is kind} for kind in (Stage1, Stage2, Stage3)}
    assert by_type[Stage1] == {stage1}
    assert by_type[Stage3] == stage3
    first = next(n for n, m in sfic.named_modules() if isinstance(m, nn.Conv2d))
    assert first in ("conv1", "features.0", "features.0.0")
    if vanilla_after:
        assert type(sfic.get_submodule(vanilla_after)) is nn.Conv2d
        assert "layer1.0.downsample.0" in by_type[Stage2]


def test_the_first_shortcut_reads_stage_1() -> None:
    graph = to_sfic(registry.build("resnet26", device="meta"), alpha=0.5, beta=0.5).graph
    reads = {str(n.target): n.args[0] for n in graph.nodes if n.op == "call_module"}
    assert reads["layer1.0.downsample.0"] is reads["layer1.0.conv2"]


@pytest.mark.parametrize(
    "name",  # the two deepest repeat the blocks of resnet50
    [
        pytest.param(n, marks=[pytest.mark.thorough] if n in ("resnet101", "resnet152") else [])
        for n in registry.names()
    ],
)
@settings(max_examples=12)
@given(
    alpha=st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1)),
    beta=st.floats(0.01, 1),
    size=st.integers(63, 512),  # AlexNet takes no less
    width=st.integers(63, 512),
)
def test_shapes_are_vanillas_for_any_ratio_and_size(
    name: str, alpha: float, beta: float, size: int, width: int
) -> None:
    vanilla = registry.build(name, device="meta")
    sfic = to_sfic(vanilla, alpha=alpha, beta=beta)
    shape = (1, 3, size, width)
    assert trace(sfic, shape).output == trace(vanilla, shape).output == (1, 2)
    compared = parity(vanilla, sfic)
    assert compared.unexplained == 0
    if name.startswith("resnet"):
        assert compared.terms == ({"MCSConv": 1600} if int(alpha * 64) else {})


@pytest.mark.parametrize("name", ["mobilenet", "resnet26", "vgg13"])
@settings(max_examples=6)
@given(
    alpha=st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1)),
    beta=st.floats(0.05, 1),
    size=st.integers(32, 97),
)
def test_runs_forward_and_backward(name: str, alpha: float, beta: float, size: int) -> None:
    sfic = to_sfic(registry.build(name), alpha=alpha, beta=beta)
    out = sfic(torch.randn(2, 3, size, size))
    assert out.shape == (2, 2) and out.isfinite().all()
    out.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in sfic.parameters())


@pytest.mark.parametrize("name", ["resnet50", "resnet101", "resnet152", "vgg16", "vgg19"])
def test_large_networks_train(name: str) -> None:
    sfic = to_sfic(registry.build(name), alpha=0.75, beta=0.3)
    sfic(torch.randn(2, 3, 65, 65)).sum().backward()
    assert all(p.grad is not None for p in sfic.parameters())


def test_the_largest_size_runs() -> None:
    sfic = to_sfic(registry.build("resnet26"), alpha=0.5, beta=0.25).eval()
    with torch.no_grad():
        assert sfic(torch.randn(1, 3, 512, 511)).isfinite().all()


def test_the_vanilla_model_is_left_as_it_was() -> None:
    vanilla = registry.build("vgg13").train()
    before = copy.deepcopy(vanilla.state_dict())
    sfic = to_sfic(vanilla, alpha=0.5, beta=0.5)
    sfic(torch.randn(2, 3, 32, 32)).sum().backward()
    for name, value in vanilla.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert vanilla.training and all(p.grad is None for p in vanilla.parameters())
    assert vanilla.get_parameter("features.0.bias") is not None
    shared = {p.data_ptr() for p in vanilla.parameters()} & {p.data_ptr() for p in sfic.parameters()}
    assert not shared


def test_one_graph_serves_many_conversions() -> None:
    graph = graph_of(registry.build("resnet26", device="meta"))
    nodes = len(graph.graph.nodes)
    for alpha in (0.25, 0.5):
        assert len(to_sfic(graph, alpha=alpha, beta=0.5).graph.nodes) == nodes
    assert len(graph.graph.nodes) == nodes


def test_beta_can_change_without_changing_weights() -> None:
    sfic = to_sfic(registry.build("resnet26"), alpha=0.5, beta=1.0).eval()
    other = to_sfic(registry.build("resnet26"), alpha=0.5, beta=0.5).eval()
    other.load_state_dict(sfic.state_dict())
    set_beta(sfic, 0.5)
    x = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(sfic(x), other(x))
    with pytest.raises(ValueError, match="beta"):
        set_beta(sfic, 0)


def test_frozen_mcs_is_carried_through() -> None:
    sfic = to_sfic(registry.build("resnet26", device="meta"), alpha=0.5, beta=1.0, mcs="frozen")
    (mcs,) = (m for m in sfic.modules() if isinstance(m, MCSConv))
    assert not mcs.weight.requires_grad


def test_mcs_kernels_are_initialised() -> None:
    stage = to_sfic(Chain(), alpha=0.5, beta=1.0).get_submodule("body.3")
    assert isinstance(stage, Stage1) and isinstance(stage.mcs, MCSConv)
    assert 0 < stage.mcs.weight.abs().max() <= 0.2


def test_requires_grad_and_dtype_carry_over() -> None:
    vanilla = Chain().to(torch.bfloat16).requires_grad_(False)
    sfic = to_sfic(vanilla, alpha=0.5, beta=0.5)
    trained = {name for name, p in sfic.named_parameters() if p.requires_grad}
    assert trained == {"body.3.mcs.weight"}
    assert {p.dtype for p in sfic.parameters()} == {torch.bfloat16}


def test_depthwise_weights_of_stage_1_go_where_they_can() -> None:
    vanilla = registry.build("mobilenet")
    stage = to_sfic(vanilla, alpha=0.5, beta=1.0).get_submodule("features.1.0")
    old = vanilla.get_parameter("features.1.0.weight")
    assert isinstance(stage, Stage1) and stage.spatial and stage.frequency
    # Group 0 of S reads channels 0 and 1 and makes output 0: vanilla's filter 0 stays on channel 0.
    assert torch.equal(stage.spatial.weight[0], torch.stack([old[0, 0], torch.zeros(3, 3)]))
    # Group 1 reads channels 2 and 3, but vanilla's filter 1 is for channel 1: spread over both.
    torch.testing.assert_close(stage.spatial.weight[1], torch.stack([old[1, 0] / 2] * 2))
    # Group 15 of F reads channels 30 and 31 and makes vanilla's output 31.
    assert torch.equal(stage.frequency.weight[15], torch.stack([torch.zeros(3, 3), old[31, 0]]))


STAGES = Placement(stage1=("b",), stage3=("d",))


@pytest.mark.parametrize("combine", [lambda a, b, _: a + b, lambda a, b, _: operator.mul(a, b)])
def test_combining_two_pairs(combine: Combine) -> None:
    vanilla = Residual(combine).double()
    sfic = with_identity_mcs(to_sfic(vanilla, alpha=0.3, beta=1.0, placement=STAGES))
    x = torch.randn(1, 3, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(sfic(x), vanilla(x))


@pytest.mark.parametrize(
    ("combine", "words"),
    [
        (lambda a, b, first: a.amax(2, keepdim=True), r"node 'amax' .*amax\(\) has no meaning on a pair"),
        (lambda a, b, first: torch.cat([a, b], 2), "concatenated along channels"),
    ],
)
def test_what_cannot_be_converted_is_named(combine: Combine, words: str) -> None:
    with pytest.raises(UnsupportedModel, match=words):
        to_sfic(Residual(combine), alpha=0.5, beta=0.5, placement=STAGES, on_unsupported="error")


def test_a_module_that_cannot_be_converted_is_named() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Softmax(dim=1), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3)
    )
    with pytest.raises(UnsupportedModel, match=r"node '_2' \(2\).*Softmax has no meaning on a pair"):
        to_sfic(net, alpha=0.5, beta=0.5, on_unsupported="error")


@pytest.mark.parametrize(
    ("placement", "words"),
    [
        (Placement(stage1=("nowhere",), stage3=("d",)), "names 'nowhere'"),
        (Placement(stage1=("b",), stage3=()), "the result is a pair"),
        (Placement(stage1=("b", "c"), stage3=("d",)), "Stage 1 needs a single tensor, got a pair"),
        (Placement(stage1=("d",), stage3=("c",)), "Stage 3 needs a pair, got a single tensor"),
    ],
)
def test_impossible_placements_are_named(placement: Placement, words: str) -> None:
    net = Residual(lambda a, b, first: a + b)
    with pytest.raises(UnsupportedModel, match=words):
        to_sfic(net, alpha=0.5, beta=0.5, placement=placement)


def test_a_network_without_a_place_for_stage_1_says_so() -> None:
    depthwise = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, groups=4))
    with pytest.raises(UnsupportedModel, match="2 convolutions, and none to become Stage 1"):
        to_sfic(depthwise, alpha=0.5, beta=0.5)


def test_untraceable_models_are_named() -> None:
    class Dynamic(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(UnsupportedModel, match=r"torch.fx cannot trace Dynamic"):
        to_sfic(Dynamic(), alpha=0.5, beta=0.5)


@pytest.mark.parametrize(("alpha", "beta"), [(1.5, 0.5), (float("nan"), 0.5), (0.5, 0), (0.5, 1.1)])
def test_ratios_out_of_range(alpha: float, beta: float) -> None:
    with pytest.raises(ValueError, match="must lie in"):
        to_sfic(Chain(), alpha=alpha, beta=beta)


def test_modes_carry_over() -> None:
    vanilla = registry.build("resnet26").train()
    vanilla.get_submodule("layer1.0.bn1").eval()
    sfic = to_sfic(vanilla, alpha=0.5, beta=0.5)
    evaluating = {name for name, m in sfic.named_modules() if not m.training}
    bn1 = "layer1.0.bn1"
    assert evaluating == {bn1, f"{bn1}.spatial", f"{bn1}.frequency"}
    assert not any(m.training for m in to_sfic(vanilla.eval(), alpha=0.5, beta=0.5).modules())
