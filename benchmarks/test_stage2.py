"""How long does one Stage 2 take over the paper's α/β grid, as drawn and fused, beside the vanilla convolution?

128 channels, 3×3, 32×32, the middle of a ResNet at 256×256; channels last. For ratios with intervals
run ``sfic-bench stage2``: here each case has its turn alone, so that a drifting machine moves them apart.
"""

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from sfic_bench.conditions import cuda_libraries
from sfic_bench.latency import Conditions, forms
from sfic_bench.latency.correctness import Truth, outcome
from sfic_bench.measure import MAKERS
from sfic_bench.spec import EXECUTION_PATHS, Grid, Layer

CELLS = [Layer(channels=128, alpha=v.alpha, beta=v.beta) for v in Grid(backbones=("stage2",))]


def name(layer: Layer) -> str:
    return "vanilla" if layer.is_vanilla else f"a{layer.alpha}-b{layer.beta}"


@pytest.mark.parametrize("path", ["reference", "fused"])
@pytest.mark.parametrize("layer", CELLS, ids=name)
def test_stage2(benchmark: BenchmarkFixture, layer: Layer, path: str, device: str) -> None:
    conditions = Conditions(
        device=device, batch_size=4 if device == "cpu" else 64, input_size=32, layout="channels-last"
    )
    form = forms.drawn(layer, conditions)
    truth = Truth.of(form, conditions)
    if EXECUTION_PATHS[path].fused:
        form = forms.fused(layer, form, conditions)
    form = form.placed(conditions.torch_device, conditions.torch_dtype, channels_last=True)
    with cuda_libraries(
        conditions.dtype
    ):  # in TF32, cuDNN's own choice, a right layer is off by more than 1e-3
        run = MAKERS[EXECUTION_PATHS[path].maker](form.module, form.inputs, False).run
        found = truth.errors(outcome(run, form, False))
        assert truth.complaint(found) == ""
        benchmark(run)
    benchmark.group = f"stage2 {device}"
    benchmark.extra_info.update(
        alpha=layer.alpha, beta=layer.beta, path=path, device=device, error=found.output
    )
