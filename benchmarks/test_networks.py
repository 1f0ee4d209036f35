"""How long does a whole network take, unfused and fused, beside its vanilla form?

The input is one image of 3×256×256, channels last, so that this is latency and not throughput. For ratios with
intervals run ``sfic-bench latency``.
"""

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from sfic_bench.measure.conditions import Conditions, Device, MemoryLayout
from sfic_bench.measure.devices import DTYPES
from sfic_bench.measure.execution import eager
from sfic_bench.measure.paths import EXECUTION_PATHS
from sfic_bench.networks.variant import Variant
from sfic_bench.timing import forms

NETWORKS = [
    Variant(backbone=backbone, alpha=alpha, beta=beta)
    for backbone in ("mobilenet", "resnet26", "resnet50")
    for alpha, beta in ((None, None), (0.5, 0.5), (0.5, 1.0))
]


def name(network: Variant) -> str:
    ratios = "vanilla" if network.is_vanilla else f"a{network.alpha}-b{network.beta}"
    return f"{network.backbone}-{ratios}"


@pytest.mark.parametrize("path", ["reference", "fused"])
@pytest.mark.parametrize("network", NETWORKS, ids=name)
def test_network(benchmark: BenchmarkFixture, network: Variant, path: str, device: str) -> None:
    conditions = Conditions(device=Device(device), batch_size=1, layout=MemoryLayout.CHANNELS_LAST)
    form = forms.drawn(network, conditions)
    if EXECUTION_PATHS[path].fused:
        form = forms.fused(network, form, conditions)
    form = form.placed(torch.device(conditions.device), DTYPES[conditions.dtype], MemoryLayout.CHANNELS_LAST)
    benchmark.group = f"{network.backbone} {device}"
    benchmark.extra_info.update(alpha=network.alpha, beta=network.beta, path=path, device=device)
    run = eager(form.module, form.inputs, False).run
    benchmark.pedantic(run, rounds=10, warmup_rounds=3)  # type: ignore[no-untyped-call]  # pytest-benchmark's is untyped
