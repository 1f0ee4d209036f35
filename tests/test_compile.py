"""Networks as the compiler sees them: one graph each, and every one of many really compiled."""

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
    """How many graphs dynamo makes of ``model``; on the meta device, so that nothing is computed."""
    graphs = 0

    def counted(graph: fx.GraphModule, _: object) -> Callable[..., object]:
        nonlocal graphs
        graphs += 1
        return graph.forward

    torch._dynamo.reset()
    with torch.no_grad():
        torch.compile(model, backend=counted, dynamic=False)(torch.empty(1, 3, size, size, device="meta"))
    return graphs


DEEPER = ("resnet101", "resnet152")
"""More of ResNet-50's blocks, whose tracing takes up to 40 s a network: one β of theirs is enough for each run."""


@pytest.mark.parametrize(
    ("name", "beta"),
    [(n, b) for n in registry.names() for b in PAPER_BETAS if n not in DEEPER or b == 0.5],
)
def test_every_network_is_one_graph(name: str, beta: float) -> None:
    reference = to_sfic(registry.build(name, device="meta"), alpha=0.5, beta=beta).eval()
    assert graphs_of(reference) == 1
    assert graphs_of(fuse(reference)) == 1


def test_every_layer_of_a_grid_is_compiled() -> None:
    """39 rows: 13 layers that share one ``forward``, of two sizes, on three compiled paths."""
    asked = [Stage2Layer(channels=8, kernel_size=1, alpha=v.alpha, beta=v.beta) for v in Grid(backbones=("stage2",))]
    assert len(asked) == 1 + len(PAPER_ALPHAS) * len(PAPER_BETAS) == 13
    torch._dynamo.utils.counters.clear()
    (family,) = timing.measure(
        asked,
        ["compiled", "compiled-freezing", "compiled-max-autotune"],
        Conditions(batch_size=1, input_size=8),
        timing.Machine(clock=CpuClock()),
        Stop(max_seconds=1, min_rounds=2, max_rounds=2),
    )
    assert [r.status for r in family.rows] == ["ok"] * 39, [r.reason for r in family.rows]
    # At β = 1 the three α are one convolution, which is compiled once but with each weights frozen.
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 39 - 2 * 2
    assert all(r.setup_s > 0 and r.latency_ms is not None for r in family.rows)


def test_what_a_family_compiled_is_forgotten_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    forgotten = []
    monkeypatch.setattr(torch.compiler, "reset", lambda: forgotten.append(1))
    conditions = Conditions(batch_size=1, input_size=8)
    asked = [Stage2Layer(channels=8, kernel_size=1), Stage2Layer(channels=4, kernel_size=1)]
    stop = Stop(max_seconds=1, min_rounds=2, max_rounds=2)
    machine = timing.Machine(clock=CpuClock())
    assert len(list(timing.measure(asked, ["fused", "compiled"], conditions, machine, stop))) == 2
    assert len(forgotten) == 2
    list(timing.measure(asked, ["fused"], conditions, machine, stop))
    assert len(forgotten) == 2
