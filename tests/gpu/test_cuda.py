"""Tests on a CUDA device, which need only torch and pytest: ``pytest --confcutdir tests/gpu tests/gpu``."""

import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from sfic_bench.measure.clock import CudaClock, l2_flush
from sfic_bench.measure.execution import eager, tensors_of
from sfic_bench.measure.memory import total_of
from sfic_bench.measure.paths import EXECUTION_PATHS
from sfic_bench.measure.sampler import Contender
from sfic_bench.measure.training_step import stepping_adam
from sfic_bench.results.timing import TimingRow
from sfic_bench.timing.recording import SnapshotFolder

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

# Paths of other runtimes need packages of their own, and most of them a CPU.
ON_CUDA = [
    name for name, path in EXECUTION_PATHS.items() if "measure.execution" in str(path.maker) and not path.is_eager
]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("maker", ON_CUDA)
def test_every_maker_computes_what_eager_does(maker: str, training: bool) -> None:
    if training and maker == "compiled-freezing":
        pytest.skip("freezing is for inference")
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 8, 3)
    model = nn.Sequential(conv, nn.BatchNorm2d(8), nn.ReLU()).cuda().train(training)
    x = torch.randn(2, 3, 16, 16, device="cuda")
    expected = tensors_of(eager(model, (x,), training).run())[0].clone()
    gradient = None if conv.weight.grad is None else conv.weight.grad.clone()
    ready = EXECUTION_PATHS[maker].make(model, (x,), training)
    for _ in range(3):
        torch.testing.assert_close(tensors_of(ready.run())[0], expected, rtol=1e-3, atol=1e-3)
    if gradient is not None:
        torch.testing.assert_close(conv.weight.grad, gradient, rtol=1e-3, atol=1e-3)


def test_the_cuda_clock_times_the_device() -> None:
    device = torch.device("cuda")
    a = torch.randn(4096, 4096, device=device)
    clock, flush = CudaClock(device), l2_flush(device)
    small = min(clock.time_ms(lambda: a[:64] @ a, flush) for _ in range(5))
    assert 0 < small < min(clock.time_ms(lambda: a @ a, flush) for _ in range(5))


def test_parts_of_a_step_are_timed_and_its_memory_is_recorded(tmp_path: Path) -> None:
    device = torch.device("cuda")
    model, x = (
        nn.Sequential(nn.Conv2d(3, 64, 3), nn.BatchNorm2d(64), nn.ReLU()).cuda(),
        torch.randn(64, 3, 64, 64).cuda(),
    )
    ready = eager(model, (x,), True)
    ready.run()
    optimiser = stepping_adam(model)
    assert optimiser is not None
    laps = CudaClock(device).laps_ms([*ready.parts.values(), optimiser.step])
    assert len(laps) == 3 and min(laps) > 0
    assert total_of(ready.run, model, (x,), optimiser) > 4 * 64 * 64 * 62 * 62  # the convolution's result alone
    row = TimingRow(backbone="net", alpha=None, beta=None, path="fused", status="unavailable")
    recorder = SnapshotFolder(tmp_path)
    recorder.record(row, Contender(run=ready.run), None)
    snapshot = pickle.loads((tmp_path / "net-fused.pickle").read_bytes())
    assert recorder.missed == {} and snapshot["segments"] and any(snapshot["device_traces"])


def test_a_graph_keeps_the_same_whatever_was_captured_before() -> None:
    torch.manual_seed(0)
    pools = []
    for _ in range(3):
        model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 512), nn.ReLU(), nn.Linear(512, 2)).cuda()
        x = torch.randn(8, 3, 64, 64, device="cuda")
        ready = EXECUTION_PATHS["cuda-graph"].make(model, (x,), False)
        assert ready.peak_bytes is not None
        pools.append(ready.peak_bytes["graph_pool"])
    assert len(set(pools)) == 1
