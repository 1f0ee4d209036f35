"""Execution, clock, memory and peak rates on the CPU."""

import sys

import pytest
import torch
from helpers.command import run_python
from torch import Tensor, nn

from sfic_bench.measure.clock import CpuClock
from sfic_bench.measure.execution import Unavailable, eager, tensors_of
from sfic_bench.measure.failures import out_of_memory
from sfic_bench.measure.memory import DEFINITIONS, held, peak_of
from sfic_bench.measure.paths import EXECUTION_PATHS
from sfic_bench.measure.peak import Peak
from sfic_bench.measure.roofline import measure_peak


def test_lack_of_memory_is_recognised() -> None:
    on_cpu = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried …")
    assert "out of memory" in (out_of_memory(on_cpu) or "")
    assert out_of_memory(MemoryError()) == "out of memory: MemoryError"
    assert out_of_memory(RuntimeError("expected scalar type Half")) is None


def test_the_floor_is_the_larger_of_two_times_for_each_operation() -> None:
    peak = Peak(macs_per_s=1e9, bytes_per_s=1e8)
    # 2 ms of arithmetic against 1 ms of memory, then 1 ms against 3 ms.
    assert peak.floor_ms([(2_000_000, 100_000), (1_000_000, 300_000)]) == pytest.approx(5.0)


def test_the_peak_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sfic_bench.measure.roofline.MATRIX", {"cpu": 256})
    monkeypatch.setattr("sfic_bench.measure.roofline.COPIED_BYTES", {"cpu": 2**22})
    peak = measure_peak(torch.device("cpu"), torch.float32, CpuClock())
    assert 1e8 < peak.macs_per_s < 1e14 and 1e7 < peak.bytes_per_s < 1e14


def test_cpu_clock_measures_time() -> None:
    clock = CpuClock()
    assert 0 <= clock.time_ms(lambda: None) < 1e3
    assert clock.now_s() <= clock.now_s()


def test_eager_runs_and_trains() -> None:
    model, x = nn.Linear(3, 2), torch.randn(4, 3)
    ready = eager(model, (x,), False)
    (result,) = tensors_of(ready.run())
    assert torch.equal(result, model(x)) and not result.requires_grad
    eager(model, (x,), True).run()
    assert model.weight.grad is not None


def test_compiled_runs_and_times_its_set_up() -> None:
    model, x = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval(), torch.randn(1, 3, 8, 8)
    ready = EXECUTION_PATHS["compiled"].make(model, (x,), False)
    torch.testing.assert_close(tensors_of(ready.run())[0], model(x))
    assert ready.setup_s > 0


@pytest.mark.parametrize("path", ["cuda-graph", "compiled-reduce-overhead"])
def test_paths_that_a_cpu_lacks_are_unavailable(path: str) -> None:
    with pytest.raises(Unavailable, match="CUDA"):
        EXECUTION_PATHS[path].make(nn.Linear(3, 2), (torch.randn(4, 3),), False)


def test_a_compiler_that_fails_makes_the_path_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> object:
        raise NotImplementedError("no code for this")

    model = nn.Linear(3, 2)
    monkeypatch.setattr(torch, "compile", lambda _, **__: fail)
    with pytest.raises(Unavailable, match=r"torch\.compile failed: NotImplementedError: no code for this"):
        EXECUTION_PATHS["compiled"].make(model, (torch.randn(4, 3),), False)


def test_several_inputs_and_results() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.tensor(2.0))

        def forward(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
            return self.weight * a, b[:, :0]

    a, b = torch.ones(1, 3, requires_grad=True), torch.ones(1, 3)
    results = eager(Two(), (a, b), True).run()
    assert [t.tolist() for t in tensors_of(results)] == [[[2.0, 2.0, 2.0]]]  # the empty one is left out
    assert a.grad is not None and a.grad[0, 0] == pytest.approx(2 * 2 * 2 / 3)  # of the mean of (2a)²


def test_memory_is_what_tensors_take() -> None:
    model = nn.Linear(100, 50)
    assert held(model) == 4 * (100 * 50 + 50)
    peaks = peak_of(lambda: torch.empty(1000, 1000).add_(1).mul(2), torch.device("cpu"))
    assert 8_000_000 <= peaks["peak_allocated"] < 8_100_000  # two float32 tensors of a million elements at once
    assert set(peaks) <= set(DEFINITIONS)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a process's peak")
def test_the_peak_of_the_process_is_that_of_one_call() -> None:
    code = """
import torch
from sfic_bench.measure.memory import peak_of
cpu = torch.device("cpu")
for run in (lambda: None, lambda: torch.ones(50_000_000), lambda: None):
    print(peak_of(run, cpu)["process_rss"])
"""
    small, large, again = map(int, run_python("-c", code).stdout.split())
    assert large - small > 150_000_000 and large - again > 150_000_000  # 200 MB
