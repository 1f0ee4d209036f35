"""How long does counting the default grid take, and how much longer does the fastest third-party counter take?

Eleven backbones × (vanilla + 12 pairs of α and β) = 143 networks, building included, imports excluded, all in one
process. This package counts every convention and the fused forms too, as ``sfic-bench flops`` does, a tool its own
figure. These times are CPU time; that of the whole command is wall time. This package counts the whole grid before each
backbone that a tool counts, so that a machine whose speed drifts slows both.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from sfic_bench import api
from sfic_bench.counting.peer_worker import COUNT
from sfic_bench.networks import registry
from sfic_bench.networks.grid import Grid
from sfic_bench.processes import cores

BACKBONES = registry.names()
TOOLS = ("thop", "ptflops", "fvcore")
TARGET = 50.0
MOST_S = 2.0
"""The most seconds that ``sfic-bench flops`` may take beyond the import of torch."""


def count_grid() -> None:
    for costed in api.costs(Grid(backbones=BACKBONES), fused=True):
        assert costed.cost.totals["paper"].macs and costed.fused is not None and costed.fused.macs


def count_with(tool: str, backbone: str) -> None:
    with torch.no_grad():
        for v in Grid(backbones=(backbone,)):
            model = api.build(v.backbone, alpha=v.alpha, beta=v.beta)
            assert COUNT[tool](model, (1, 3, 256, 256))


def seconds(run: Callable[..., None], *arguments: str) -> float:
    start = time.process_time()
    run(*arguments)
    return time.process_time() - start


@pytest.mark.filterwarnings("ignore")
def test_grid_against_the_fastest_counter(benchmark: BenchmarkFixture) -> None:
    count_grid()  # first calls import and cache
    ours: list[float] = []
    tools = dict.fromkeys(TOOLS, 0.0)
    for tool in TOOLS:
        count_with(tool, "mobilenet")
        for backbone in BACKBONES:
            ours.append(seconds(count_grid))
            tools[tool] += seconds(count_with, tool, backbone)
    total = statistics.median(ours)
    fastest = min(tools, key=tools.__getitem__)
    benchmark.extra_info.update(
        networks=len(Grid(backbones=BACKBONES)),
        ours_s=total,
        tools_s=tools,
        fastest=fastest,
        times_faster=tools[fastest] / total,
        target=TARGET,
    )
    print(f"\nours {total:.2f} s of CPU time; " + ", ".join(f"{t} {s:.1f} s" for t, s in tools.items()))
    print(f"{tools[fastest] / total:.1f} times faster than {fastest} (target {TARGET:g})")
    benchmark.pedantic(count_grid, rounds=3)  # type: ignore[no-untyped-call]  # pytest-benchmark's is untyped
    assert tools[fastest] >= TARGET * total


def wall_seconds(*arguments: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - start


def test_command_beyond_the_import_of_torch(benchmark: BenchmarkFixture) -> None:
    """The whole command, which counts in as many processes as there are cores."""
    command, imports = ("-m", "sfic_bench", "flops"), ("-c", "import torch")
    rounds = [(wall_seconds(*command), wall_seconds(*imports)) for _ in range(7)]
    beyond = statistics.median(whole - imported for whole, imported in rounds)
    benchmark.extra_info.update(beyond_s=beyond, cores=cores(), target_s=MOST_S)
    print(f"\n{beyond:.2f} s beyond the import of torch, on {cores()} cores (target {MOST_S:g})")
    benchmark.pedantic(wall_seconds, command, rounds=1)  # type: ignore[no-untyped-call]
    assert beyond <= MOST_S
