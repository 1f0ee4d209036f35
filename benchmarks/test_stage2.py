"""How long does one Stage 2 take over the paper's α/β grid, unfused and fused, beside the vanilla convolution?

The layer is one of the middle of a ResNet at 256×256: 128 channels, 3×3, 32×32, channels last. For ratios with
intervals run ``sfic-bench stage2``: in this benchmark each case runs alone, so that a drift of the machine distorts
ratios.
"""

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from sfic_bench.measure.conditions import Conditions, Device, MemoryLayout
from sfic_bench.measure.devices import DTYPES, cuda_libraries
from sfic_bench.measure.paths import EXECUTION_PATHS
from sfic_bench.networks.grid import Grid
from sfic_bench.networks.variant import Stage2Layer
from sfic_bench.timing import forms
from sfic_bench.timing.correctness import Truth, call_once

LAYERS = [Stage2Layer(channels=128, alpha=v.alpha, beta=v.beta) for v in Grid(backbones=("stage2",))]


def name(layer: Stage2Layer) -> str:
    return "vanilla" if layer.is_vanilla else f"a{layer.alpha}-b{layer.beta}"


@pytest.mark.parametrize("path", ["reference", "fused"])
@pytest.mark.parametrize("layer", LAYERS, ids=name)
def test_stage2(benchmark: BenchmarkFixture, layer: Stage2Layer, path: str, device: str) -> None:
    conditions = Conditions(
        device=Device(device),
        batch_size=4 if device == "cpu" else 64,
        input_size=32,
        layout=MemoryLayout.CHANNELS_LAST,
    )
    form = forms.drawn(layer, conditions)
    truth = Truth.of(form, conditions)
    if EXECUTION_PATHS[path].fused:
        form = forms.fused(layer, form, conditions)
    form = form.placed(torch.device(conditions.device), DTYPES[conditions.dtype], MemoryLayout.CHANNELS_LAST)
    # cuDNN's default is TF32, in which a correct layer is wrong by more than 1e-3.
    with cuda_libraries(conditions.dtype):
        run = EXECUTION_PATHS[path].make(form.module, form.inputs, False).run
        errors = truth.errors(call_once(run, form, False))
        assert truth.complaint(errors) == ""
        benchmark(run)
    benchmark.group = f"stage2 {device}"
    benchmark.extra_info.update(alpha=layer.alpha, beta=layer.beta, path=path, device=device, error=errors.output)
