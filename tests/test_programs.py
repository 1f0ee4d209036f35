"""Layers of one form share a recording, and what a program says of other numbers of channels is what they do."""

import gc

import pytest
import torch
from torch import Tensor, fx, nn

from sfic_bench.collector import objects_called_old
from sfic_bench.convert.following import DiffersError, FollowingGraph, made_along
from sfic_bench.counting import GraphCounter, Records, count
from sfic_bench.counting.forms import form_of
from sfic_bench.initialisation import meta_tensor
from sfic_bench.modules import buffers_by_name, evaluate, meta_conv, modules_by_name, parameters_by_name, recast
from sfic_bench.nn import MCSConv, PerBranch, Split, Stage1, Stage2, Stage3
from sfic_bench.nn.fused import Dense, ReducedStage1, ReducedStage2


class Recordings(Records):
    """Records that number the modules that were called."""

    def __init__(self) -> None:
        super().__init__()
        self.called = 0

    def record(self, *args: object, **kwargs: object) -> object:  # type: ignore[override]  # passes all on
        self.called += 1
        return super().record(*args, **kwargs)  # type: ignore[arg-type]


def stages(width: int, alpha: float, groups: bool) -> nn.Sequential:
    """A network of stages whose depthwise ones have as many groups as channels."""
    split = Split.of(width, alpha)
    middle = (
        Stage2(split, split, 3, padding=1, groups=width) if groups else Stage2(split, split, 3, padding=1, stride=2)
    )
    return nn.Sequential(
        Stage1(width // 2, split, 3, beta=0.5, padding=1), PerBranch(nn.ReLU()), middle, Stage3(split, 5, 1)
    )


class Leaves(fx.Tracer):
    """Stages are one node each."""

    def is_leaf_module(self, m: nn.Module, _: str) -> bool:
        return not isinstance(m, nn.Sequential)


@pytest.mark.parametrize("groups", [False, True])
def test_other_numbers_of_channels_call_no_module(groups: bool) -> None:
    records = Recordings()
    for width, alpha in ((8, 0.5), (12, 0.5), (20, 0.25), (64, 0.75)):
        network = stages(width, alpha, groups).eval()
        graph = Leaves().trace(network)
        counter = GraphCounter(graph, dict(network.named_modules()), records)
        size = (1, width // 2, 16, 16)
        assert [repr(op) for op in counter.count(size).ops] == [repr(op) for op in count(network, size).ops]
        assert counter.count(size).weights == count(network, size).weights
    assert records.called == len(stages(8, 0.5, groups))


@pytest.mark.parametrize("groups", [False, True])
def test_a_branch_with_one_channel_or_none_has_a_recording_of_its_own(groups: bool) -> None:
    records = Recordings()
    for alpha in (0.5, 0.0, 0.125, 0.875, 1.0):
        network = stages(8, alpha, groups).eval()
        counter = GraphCounter(Leaves().trace(network), dict(network.named_modules()), records)
        size = (1, 4, 16, 16)
        assert [repr(op) for op in counter.count(size).ops] == [repr(op) for op in count(network, size).ops]


def test_another_size_has_a_recording_of_its_own() -> None:
    records = Recordings()
    network = stages(8, 0.5, groups=False).eval()
    counter = GraphCounter(Leaves().trace(network), dict(network.named_modules()), records)
    for height in (16, 17, 5):
        size = (1, 4, height, 16)
        assert [repr(op) for op in counter.count(size).ops] == [repr(op) for op in count(network, size).ops]


class BranchesOnChannels(nn.ReLU):
    """A layer whose class has no known form, since it does something else for many channels."""

    def forward(self, x: Tensor) -> Tensor:
        return x if x.shape[1] > 4 else x.relu() + 1


def test_a_class_that_is_not_listed_has_no_form() -> None:
    assert form_of(BranchesOnChannels()) is None
    assert form_of(PerBranch(BranchesOnChannels())) is None
    hooked = nn.ReLU()
    hooked.register_forward_hook(lambda *_: None)
    assert form_of(hooked) is None


def test_forms_tell_settings_apart() -> None:
    s = Split(4, 4)
    layers = [
        Stage2(s, s, 3, padding=1), Stage2(s, s, 3), Stage2(s, s, 1), Stage2(s, s, 3, padding=1, bias=True),
        Stage2(s, s, 3, padding=1, groups=8), Stage2(s, Split(8, 0), 3, padding=1), Stage3(s, 8, 3, padding=1),
        Stage1(4, s, 3, beta=0.5), Stage1(4, s, 3, beta=1), Stage1(1, s, 3, beta=1),
        Stage1(4, s, 3, beta=1, mcs="frozen"), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3, groups=2),
        nn.Conv2d(4, 4, 3, groups=4),
        PerBranch(nn.ReLU()), PerBranch(nn.ReLU(), nn.ReLU()), PerBranch(torch.add), PerBranch(torch.mul),
        ReducedStage2(Stage2(s, s, 3, padding=1)), ReducedStage1(Stage1(4, s, 3, beta=0.5), joined=False),
        Dense(Stage2(s, s, 3, padding=1)), nn.MaxPool2d(2), nn.MaxPool2d(3), MCSConv(3),
    ]  # fmt: skip
    forms = [form_of(layer) for layer in layers]
    assert None not in forms and len(set(forms)) == len(layers)
    assert form_of(Stage2(Split(6, 2), Split(9, 1), 3, padding=1)) == form_of(layers[0])


# What is quicker than torch


def test_a_copy_has_its_own_state() -> None:
    norm = nn.BatchNorm2d(4)
    copied = recast(norm, {"weight": torch.zeros(2), "running_mean": torch.ones(2)}, num_features=2)
    assert copied.num_features == 2 and copied.weight.tolist() == [0, 0] and isinstance(copied.weight, nn.Parameter)
    assert copied.running_mean is not None and copied.running_mean.tolist() == [1, 1]
    copied.register_forward_hook(lambda *_: None)
    assert copied.bias is not norm.bias and torch.equal(copied.bias, norm.bias)
    assert copied.num_batches_tracked is not None and copied.num_batches_tracked is not norm.num_batches_tracked
    assert not norm._forward_hooks and norm.num_features == 4 and norm.weight.tolist() == [1] * 4


def test_a_convolution_on_meta_is_torchs() -> None:
    ours = meta_conv(6, 9, (3, 1), padding=(1, 0), dilation=(2, 1), groups=3, bias=True, dtype=torch.float32)
    torchs = nn.Conv2d(6, 9, (3, 1), padding=(1, 0), dilation=(2, 1), groups=3, device="meta")
    assert repr(ours) == repr(torchs)
    shapes = [{n: (p.shape, p.dtype, p.device) for n, p in m.named_parameters()} for m in (ours, torchs)]
    assert shapes[0] == shapes[1] and vars(ours).keys() == vars(torchs).keys()


def test_what_was_made_in_inference_mode_can_be_trained_outside() -> None:
    shape = (3, 1, 1, 17)
    with torch.inference_mode():
        meta_tensor(shape, torch.float64)
        meta_conv(1, 3, (1, 17), padding=(0, 0), dilation=(1, 1), groups=1, bias=False, dtype=torch.float64)
    assert not meta_tensor(shape, torch.float64).is_inference()
    conv = meta_conv(1, 3, (1, 17), padding=(0, 0), dilation=(1, 1), groups=1, bias=False, dtype=torch.float64)
    assert conv.weight.requires_grad and not conv.weight.is_inference()


def test_modules_are_named_and_evaluated_as_torch_does() -> None:
    shared = nn.ReLU()
    network = nn.Sequential(shared, nn.Sequential(nn.BatchNorm2d(3), shared))
    assert list(modules_by_name(network).items()) == list(network.named_modules())
    assert list(parameters_by_name(network).items()) == list(network.named_parameters())
    assert list(buffers_by_name(network).items()) == list(network.named_buffers())
    evaluate(network)
    assert not any(module.training for module in network.modules())


def test_a_graph_follows_another_as_long_as_calls_are_equal() -> None:
    def two_calls(like: fx.Graph | None, second: str) -> fx.Graph:
        graph = fx.Graph() if like is None else FollowingGraph(like)
        x = graph.placeholder("x")
        graph.output(graph.call_method(second, (graph.call_method("relu", (x,)),)))
        return graph.finished() if isinstance(graph, FollowingGraph) else graph

    first = two_calls(None, "exp")
    assert two_calls(first, "exp") is first
    with pytest.raises(DiffersError):
        two_calls(first, "log")
    other = made_along(first, lambda like: two_calls(like, "log"))
    assert other is not first and "log" in str(other) and "log" not in str(first)
    shorter = FollowingGraph(first)
    shorter.placeholder("x")
    with pytest.raises(DiffersError):
        shorter.finished()


def test_objects_called_old_are_collected_in_the_end() -> None:
    class Cyclic:
        alive = 0

        def __init__(self) -> None:
            self.me = self
            Cyclic.alive += 1

        def __del__(self) -> None:
            Cyclic.alive -= 1

    gc.collect()
    frozen = gc.get_freeze_count()  # by another test, or by a library
    with objects_called_old():
        assert not gc.isenabled()
        for _ in range(1000):
            Cyclic()
        assert Cyclic.alive == 1000
    assert gc.isenabled() and gc.get_freeze_count() == frozen
    gc.collect()
    assert Cyclic.alive == 0
