"""Memory and start-up, as ratios to a bare ``import torch`` on the same machine."""

import resource
import subprocess
import sys
import time

GRID = (
    "from sfic_bench import api; from sfic_bench.networks.grid import Grid;"
    "names = ('mobilenet', 'resnet26', 'resnet50', 'resnet101', 'vgg13', 'vgg16', 'vgg19');"
    "costs = list(api.costs(Grid(backbones=names)));"
    "assert len(costs) == 91 and all(c.cost.totals for c in costs)"
)


def peak_kib(code: str) -> int:
    report = ";import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    done = subprocess.run([sys.executable, "-c", code + report], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_the_whole_grid_takes_little_more_memory_than_torch() -> None:
    assert peak_kib(GRID) <= 1.3 * peak_kib("import torch")


def cpu_seconds(*command: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *command], capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_help_takes_half_of_importing_torch_at_most() -> None:
    # CPU time, the least of three: another process on the machine must not decide this.
    started = time.monotonic()
    shown = min(cpu_seconds("-m", "sfic_bench", "--help") for _ in range(3))
    imported = min(cpu_seconds("-c", "import torch") for _ in range(3))
    assert time.monotonic() > started
    assert shown <= 0.5 * imported
