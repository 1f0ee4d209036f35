"""Networks that are counted layer by layer from their blueprints cost what tracing the built networks gives."""

import pytest
import torch
import torch.nn.functional as F
from helpers.counts import KEPT, check_counts, everything
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, fx, nn

from sfic_bench.choices import OnUnsupported
from sfic_bench.convert import Blueprint, graph_of, parity, set_beta, to_sfic
from sfic_bench.counting import GraphCounter, InputTooSmall, Records, count
from sfic_bench.errors import InvalidValue, UnsupportedModel
from sfic_bench.networks import registry
from sfic_bench.networks.ratios import PAPER_ALPHAS, PAPER_BETAS
from sfic_bench.networks.sfic_counts import SficForms

QUICK = ("alexnet", "mobilenet", "resnet26")
CONVERTIBLE_DETECTORS = ("xception", "f3net", "amtennet", "m2tr")


@pytest.mark.parametrize("name", QUICK)
def test_the_default_grid(name: str) -> None:
    check_counts(name, PAPER_ALPHAS, PAPER_BETAS, 256)


@pytest.mark.thorough
@pytest.mark.parametrize("name", [name for name in registry.names() if name not in QUICK])
def test_the_rest_of_the_default_grid(name: str) -> None:
    check_counts(name, PAPER_ALPHAS, PAPER_BETAS, 256)


RATIOS = st.sampled_from([0.0, 0.125, 0.3, 0.5, 0.9, 1.0])
SHARES = st.sampled_from([0.1, 0.3, 0.5, 0.6, 0.77, 1.0])


@settings(max_examples=6)
@given(name=st.sampled_from(QUICK), alpha=RATIOS, beta=SHARES, size=st.integers(64, 200))
def test_other_ratios_and_sizes(name: str, alpha: float, beta: float, size: int) -> None:
    check_counts(name, [alpha], [beta], size)


def test_networks_without_one_of_the_branches() -> None:
    check_counts("alexnet", [0.0, 1.0], [0.5, 1.0], 128)


@pytest.mark.thorough
@settings(max_examples=60)
@given(name=st.sampled_from(registry.names()), alpha=RATIOS, beta=SHARES, size=st.integers(64, 300))
def test_other_ratios_and_sizes_of_all_backbones(name: str, alpha: float, beta: float, size: int) -> None:
    check_counts(name, [alpha], [beta], size)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.thorough] if name in ("f3net", "m2tr") else [])
        for name in CONVERTIBLE_DETECTORS
    ],
)
def test_detectors(name: str) -> None:
    size = registry.input_size_of(name)
    check_counts(name, [0.5], [0.5, 1.0], size)


# Networks that no rewrite has made


class Unusual(nn.Module):
    """Attributes, changes in place, numbers, lists and slices of tensors, and parameters that no gradient reaches."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.linear, self.norm = nn.Conv2d(3, 6, 3, padding=1), nn.Linear(6, 6), nn.BatchNorm2d(6)
        self.scale, self.shift = nn.Parameter(torch.ones(6, 1, 1)), nn.Parameter(torch.ones(6, 1, 1))
        self.dead, self.frozen = nn.Linear(6, 6), nn.Conv2d(6, 6, 1).requires_grad_(False)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.frozen(self.conv(x)) * self.scale
        y += self.shift
        height = y.shape[2] // 2
        y = F.interpolate(self.relu(y), size=(height, height))
        first, second = y.chunk(2, 1)
        y = torch.cat([second, first, y[:, :1].expand(-1, 6, -1, -1)], dim=1)[:, :6]
        y = torch.nn.functional.gelu(self.norm(y.transpose(2, 3).contiguous()), approximate="tanh")
        logits: Tensor = self.linear(y.mean((2, 3))) + self.dead(y.mean((2, 3))).detach() + y.max()
        return logits


class TwiceCalled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.other = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        return self.conv(self.conv(x) + y), {"other": self.other(y)}


def counters(model: nn.Module) -> tuple[fx.GraphModule, GraphCounter]:
    graph = graph_of(model)
    blueprint = Blueprint.of(graph)
    return graph, GraphCounter(blueprint.graph, blueprint.modules, Records())


@pytest.mark.parametrize(("model", "sizes"), [(Unusual(), [(2, 3, 12, 12)]), (TwiceCalled(), [(1, 3, 8, 8)] * 2)])
def test_graphs_of_other_networks(model: nn.Module, sizes: list[tuple[int, ...]]) -> None:
    graph, counter = counters(model)
    for _ in range(2):  # first recorded, then looked up
        assert everything(counter.count(*sizes)) == everything(count(graph, *sizes))
    dead = {weight.module for weight in counter.count(*sizes).weights if weight.dead}
    assert dead == ({"dead"} if isinstance(model, Unusual) else set())


def test_the_mode_of_gradients_changes_no_count() -> None:
    _, counter = counters(Unusual())
    with torch.no_grad():
        assert counter.count((1, 3, 8, 8)).parameters.dead == 42  # the linear layer "dead": 6·6 + 6


def test_too_small_an_input_names_the_module() -> None:
    graph, counter = counters(registry.build("vgg13", device="meta").eval())
    with pytest.raises(InputTooSmall) as expected:
        count(graph, (1, 3, 31, 31))
    with pytest.raises(InputTooSmall) as raised:
        counter.count((1, 3, 31, 31))
    assert str(raised.value) == str(expected.value)
    with pytest.raises(InvalidValue, match="input_size must be positive"):
        counter.count((1, 3, 0, 31))


def test_values_that_no_shape_tells_are_refused() -> None:
    class Asks(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * x.mean().item()

    _, counter = counters(Asks())
    with pytest.raises(UnsupportedModel, match="needs the values of a tensor"):
        counter.count((1, 3, 4, 4))


class Tied(nn.Module):
    """Two convolutions with one weight, behind a stem."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.body = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.first, self.second = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)
        self.second.weight = self.first.weight
        self.last, self.head = nn.Conv2d(8, 8, 1), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(x)
        gate = torch.sigmoid(self.second(torch.relu(self.first(y.mean((2, 3), keepdim=True)))))
        logits: Tensor = self.head((self.last(self.body(y)) * gate).mean((2, 3)))
        return logits


def test_shared_parameters_count_once() -> None:
    with torch.device("meta"):
        graph = graph_of(Tied().eval())
    counts = SficForms(graph, KEPT).counts(0.5, OnUnsupported.JOIN)
    network = to_sfic(graph, alpha=0.5, beta=1.0, share=True)
    for beta in (0.5, 1.0):
        set_beta(network, beta)
        assert everything(counts.count((1, 3, 32, 32), beta)) == everything(count(network, (1, 3, 32, 32)))
        assert counts.count_fused((1, 3, 32, 32), beta).parameters.total > 0
    assert counts.parity == parity(graph, network)
