"""How long does a whole network take, as drawn and fused, beside its vanilla form?

One image of 3×256×256, channels last: latency, not throughput. For ratios with intervals run
``sfic-bench latency``.
"""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from sfic_bench.latency import Conditions, forms
from sfic_bench.measure import MAKERS
from sfic_bench.spec import EXECUTION_PATHS, Variant

NETWORKS = [
    Variant(backbone=backbone, **ratios)
    for backbone in ("mobilenet", "resnet26", "resnet50")
    for ratios in ({}, {"alpha": 0.5, "beta": 0.5}, {"alpha": 0.5, "beta": 1.0})
]


def name(network: Variant) -> str:
    ratios = "vanilla" if network.is_vanilla else f"a{network.alpha}-b{network.beta}"
    return f"{network.backbone}-{ratios}"


@pytest.mark.parametrize("path", ["reference", "fused"])
@pytest.mark.parametrize("network", NETWORKS, ids=name)
def test_network(benchmark: BenchmarkFixture, network: Variant, path: str, device: str) -> None:
    conditions = Conditions(device=device, batch_size=1, layout="channels-last")
    form = forms.drawn(network, conditions)
    if EXECUTION_PATHS[path].fused:
        form = forms.fused(network, form, conditions)
    form = form.placed(conditions.torch_device, conditions.torch_dtype, channels_last=True)
    benchmark.group = f"{network.backbone} {device}"
    benchmark.extra_info.update(alpha=network.alpha, beta=network.beta, path=path, device=device)
    benchmark.pedantic(MAKERS["eager"](form.module, form.inputs, False).run, rounds=10, warmup_rounds=3)
