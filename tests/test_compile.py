"""Each network is one graph for the compiler, and every network of a grid is really compiled."""

from collections.abc import Callable

import pytest
import torch
from torch import fx, nn

from sfic_bench import timing
from sfic_bench.convert import fuse, to_sfic
from sfic_bench.measure.clock import CpuClock
from sfic_bench.measure.conditions import Conditions
from sfic_bench.measure.sampler import Stop
from sfic_bench.networks import registry
from sfic_bench.networks.grid import Grid
from sfic_bench.networks.ratios import PAPER_ALPHAS, PAPER_BETAS
from sfic_bench.networks.variant import Stage2Layer


def graphs_of(model: nn.Module, size: int = 64) -> int:
    """The number of graphs that dynamo makes of ``model``, on the meta device, where nothing is computed."""
    graphs = 0

    def counted(graph: fx.GraphModule, _: object) -> Callable[..., object]:
        nonlocal graphs
        graphs += 1
        return graph.forward

    torch._dynamo.reset()
    with torch.no_grad():
        torch.compile(model, backend=counted, dynamic=False)(torch.empty(1, 3, size, size, device="meta"))
    return graphs


QUICK: dict[str, tuple[float, ...]] = {
    "resnet50": (), "resnet101": (), "resnet152": (), "vgg16": (), "vgg19": (),
    "densenet121": (), "efficientnet_b0": (0.5,), "resnet26": (0.5,),
}  # fmt: skip
"""The β with which a network is traced in every run, if it repeats blocks of others, has many, or takes long.

Tracing takes up to 40 s for each β. ``nox -s thorough`` traces all networks with all β.
"""


@pytest.mark.parametrize(
    ("name", "beta"),
    [
        pytest.param(n, b, marks=[pytest.mark.thorough] if b not in QUICK.get(n, PAPER_BETAS) else [])
        for n in registry.names()
        for b in PAPER_BETAS
    ],
)
def test_every_network_is_one_graph(name: str, beta: float) -> None:
    reference = to_sfic(registry.build(name, device="meta"), alpha=0.5, beta=beta).eval()
    assert graphs_of(reference) == 1
    assert graphs_of(fuse(reference)) == 1


@pytest.mark.parametrize(
    "paths",
    [
        ("compiled",),
        pytest.param(("compiled", "compiled-freezing", "compiled-max-autotune"), marks=pytest.mark.thorough),
    ],
)
def test_every_layer_of_a_grid_is_compiled(paths: tuple[str, ...]) -> None:
    """The rows are 13 layers on each path, which share one ``forward``; torch by itself compiles 8 versions of it."""
    layers = [Stage2Layer(channels=8, kernel_size=1, alpha=v.alpha, beta=v.beta) for v in Grid(backbones=("stage2",))]
    assert len(layers) == 1 + len(PAPER_ALPHAS) * len(PAPER_BETAS) == 13
    torch._dynamo.utils.counters.clear()
    (family,) = timing.measure(
        layers,
        paths,
        Conditions(batch_size=1, input_size=8),
        timing.Machine(clock=CpuClock()),
        Stop(max_seconds=1, min_rounds=2, max_rounds=2),
    )
    count = 13 * len(paths)
    assert [r.status for r in family.rows] == ["ok"] * count, [r.reason for r in family.rows]
    # At β = 1 the layers of the three α are the same convolution, which freezing alone compiles once for each.
    shared = 2 * len(set(paths) - {"compiled-freezing"})
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == count - shared
    assert all(r.setup_s > 0 and r.latency_ms is not None for r in family.rows)


def test_compiled_code_is_dropped_after_each_family(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(torch.compiler, "reset", lambda: calls.append(1))
    conditions = Conditions(batch_size=1, input_size=8)
    layers = [Stage2Layer(channels=8, kernel_size=1), Stage2Layer(channels=4, kernel_size=1)]
    stop = Stop(max_seconds=1, min_rounds=2, max_rounds=2)
    machine = timing.Machine(clock=CpuClock())
    assert len(list(timing.measure(layers, ["fused", "compiled"], conditions, machine, stop))) == 2
    assert len(calls) == 2
    list(timing.measure(layers, ["fused"], conditions, machine, stop))
    assert len(calls) == 2
