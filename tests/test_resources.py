"""Memory and start-up time, as ratios to a bare ``import torch`` on the same machine."""

import time

from helpers.command import cpu_seconds, run_python

GRID = (
    "from sfic_bench import api; from sfic_bench.networks.grid import Grid;"
    "names = ('mobilenet', 'resnet26', 'resnet50', 'resnet101', 'vgg13', 'vgg16', 'vgg19');"
    "costs = list(api.costs(Grid(backbones=names)));"
    "assert len(costs) == 91 and all(c.cost.totals for c in costs)"
)


def peak_kib(code: str) -> int:
    report = ";import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    return int(run_python("-c", code + report).stdout)


def test_the_whole_grid_takes_little_more_memory_than_torch() -> None:
    assert peak_kib(GRID) <= 1.3 * peak_kib("import torch")


def test_help_takes_half_of_importing_torch_at_most() -> None:
    # The least of three CPU times counts, so that other processes do not decide this.
    started = time.monotonic()
    shown = min(cpu_seconds("-m", "sfic_bench", "--help") for _ in range(3))
    imported = min(cpu_seconds("-c", "import torch") for _ in range(3))
    assert time.monotonic() > started
    assert shown <= 0.5 * imported
