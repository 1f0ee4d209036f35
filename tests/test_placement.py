"""Where stages go, in the paper's networks and in others."""

import pytest
import torch
from helpers.networks import randomised, same_size, with_identity_mcs
from torch import Tensor, nn

from sfic_bench.api import explain_placement
from sfic_bench.convert import Placement, automatic, fuse, graph_of, placement_of, to_sfic
from sfic_bench.networks import registry
from sfic_bench.nn.adapters import Divide, Join


def test_the_plan_is_a_table() -> None:
    plan = explain_placement(registry.build("vgg13", device="meta"))
    lines = str(plan).splitlines()
    assert lines[0].split() == ["vanilla", "features.0", "Conv2d"]
    assert lines[1].split() == ["Stage", "1", "features.3", "Conv2d", "32+32"]
    assert "Stage 3: 1" in lines[-1] and repr(plan) == str(plan)


def test_a_classifier_that_is_tied_to_most_of_the_network_reads_joined_pairs() -> None:
    """Else a pool beside a strided convolution, which are concatenated, would make single tensors of all before it."""

    class Reduced(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.first = same_size(3, 8), same_size(8, 8)
            self.blocks = nn.ModuleList(nn.Sequential(same_size(8, 8), same_size(8, 8)) for _ in range(3))
            self.reduce, self.last, self.head = nn.Conv2d(8, 8, 2, 2), same_size(16, 16), nn.Linear(16, 2)

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(self.stem(x))
            for block in self.blocks:
                x = x + block(x)
            x = torch.cat([self.reduce(x), nn.functional.max_pool2d(x, 2)], 1)
            x = x + self.last(x)
            logits: Tensor = self.head(x.mean((2, 3)))
            return logits

    explanation = explain_placement(Reduced())
    assert explanation.placement.joins and explanation.placement.stage1 == ("first",)
    assert (explanation.share or 0) > 0.9


def test_a_residual_stream_that_begins_in_the_head() -> None:
    """Where a pair and the head's tensor are added, the tensor is divided."""

    class Basic(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.a, self.b = same_size(3, 8), same_size(8, 64), same_size(64, 8)
            self.down, self.c, self.d = same_size(8, 12), same_size(12, 12), same_size(12, 12)
            self.norm, self.head = nn.BatchNorm2d(8), nn.Linear(12, 2)

        def forward(self, x: Tensor) -> Tensor:
            x = self.norm(self.stem(x)).relu()
            x = x + self.b(self.a(x))
            x = self.down(x)
            x = x + self.d(self.c(x)).relu()
            logits: Tensor = self.head(x.mean((2, 3)))
            return logits

    vanilla = randomised(Basic())
    assert automatic(graph_of(vanilla)) == Placement(stage1=("a",), stage3=("down",))
    sfic = with_identity_mcs(to_sfic(vanilla, alpha=0.25, beta=1.0))
    assert sum(isinstance(m, Divide) for m in sfic.modules()) == 1
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(sfic(x), vanilla(x))
    assert to_sfic(vanilla, alpha=0.25, beta=0.5)(x).shape == (2, 2)


def test_one_stream_from_head_to_classifier_is_joined() -> None:
    class Isotropic(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.a, self.b = same_size(3, 8), same_size(8, 8), same_size(8, 8)
            self.head = nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            x = self.stem(x)
            x = x + self.a(x)
            x = x + self.b(x)
            logits: Tensor = self.head(x.mean((2, 3)))
            return logits

    vanilla = Isotropic().double()
    assert placement_of(graph_of(vanilla)) == Placement(stage1=("a",), stage3=(), joins=True)
    sfic = with_identity_mcs(to_sfic(vanilla, alpha=0.25, beta=1.0))
    assert sum(isinstance(m, Join) for m in sfic.modules()) == 1
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(sfic(x), vanilla(x))
    torch.testing.assert_close(fuse(sfic)(x), sfic(x))


@pytest.mark.parametrize("name", ["resnet26", "resnet50", "resnet101", "resnet152"])
def test_the_papers_resnets_depart_by_one_shortcut(name: str) -> None:
    graph = graph_of(registry.build(name, device="meta"))
    ours, papers = automatic(graph), placement_of(graph)
    assert ours.stage3 == papers.stage3
    assert ours.stage1 == ("layer1.0.conv1", "layer1.0.downsample.0")
    assert (papers.stage1, papers.reads) == (
        ("layer1.0.conv1",),
        {"layer1.0.downsample.0": "layer1.0.conv2"},
    )


@pytest.mark.parametrize("name", ["vgg13", "vgg16", "vgg19"])
def test_the_papers_vggs_are_what_the_graph_says(name: str) -> None:
    graph = graph_of(registry.build(name, device="meta"))
    assert automatic(graph) == placement_of(graph)


def test_mobilenet_departs_where_its_second_convolution_is_depthwise() -> None:
    graph = graph_of(registry.build("mobilenet", device="meta"))
    ours, papers = automatic(graph), placement_of(graph)
    assert ours.stage3 == papers.stage3 == ("features.13.3",)
    assert (ours.stage1, papers.stage1) == (("features.1.3",), ("features.1.0",))


def test_convert_does_not_touch_the_graph() -> None:
    graph = graph_of(registry.build("resnet26", device="meta"))
    before = str(graph.graph)
    to_sfic(graph, alpha=0.5, beta=0.5)
    assert str(graph.graph) == before
