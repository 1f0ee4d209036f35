"""What is done on a CUDA device, seen without one: clock, cache, graphs, compiler's options and monitor, on fakes."""

import contextlib
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from test_measure import FakeClock, never, takes
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from sfic_bench.conditions import cuda_libraries
from sfic_bench.measure import (
    MAKERS,
    CpuClock,
    CudaClock,
    NoMonitor,
    NvmlMonitor,
    Reading,
    Stop,
    Unavailable,
    l2_flush,
    sample,
)
from sfic_bench.measure.failures import explained, out_of_memory
from sfic_bench.measure.monitor import energy_per_call_j
from sfic_bench.measure.roofline import _sustained_ms


class FakeNvml(types.ModuleType):
    """NVML of a device whose energy counter moves by 20 J every 100 ms of a clock's time."""

    NVML_CLOCK_SM = 1
    nvmlClocksThrottleReasonSwPowerCap = 4  # noqa: N815 (NVML's names)
    nvmlClocksThrottleReasonHwSlowdown = 8  # noqa: N815
    nvmlClocksThrottleReasonSwThermalSlowdown = 32  # noqa: N815
    nvmlClocksThrottleReasonHwThermalSlowdown = 64  # noqa: N815
    nvmlClocksThrottleReasonHwPowerBrakeSlowdown = 128  # noqa: N815

    class NVMLError(Exception):
        pass

    def __init__(self, reasons: int, uuid: str = "GPU-1-2-3", clock: FakeClock | None = None) -> None:
        super().__init__("pynvml")
        self.reasons, self.uuid, self.clock, self.lost = reasons, uuid, clock or FakeClock(), False

    def nvmlInit(self) -> None:  # noqa: N802
        pass

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        if uuid != self.uuid:
            raise self.NVMLError("Not Found")
        return uuid

    def nvmlDeviceGetClockInfo(self, handle: str, which: int) -> int:  # noqa: N802
        return 1980

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: str) -> int:  # noqa: N802
        if self.lost:
            raise self.NVMLError("GPU is lost")
        return self.reasons

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:  # noqa: N802
        if self.lost:
            raise self.NVMLError("GPU is lost")
        return 20_000 * int(self.clock.seconds / 0.1 + 1e-9)

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        return "580.1"


def monitor(monkeypatch: pytest.MonkeyPatch, nvml: FakeNvml | None) -> NvmlMonitor:
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    device = types.SimpleNamespace(uuid="1-2-3")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: device)
    return NvmlMonitor(torch.device("cuda"))


def test_throttling_is_told_from_idling(monkeypatch: pytest.MonkeyPatch) -> None:
    idle_and_capped = monitor(monkeypatch, FakeNvml(0x1 | 0x2 | 0x4 | 0x20))
    assert idle_and_capped.read() == Reading(sm_clock_mhz=1980, throttled=("power cap", "software thermal"))
    assert monitor(monkeypatch, FakeNvml(0x1 | 0x2)).read().throttled == ()
    assert idle_and_capped.driver == "580.1"


def test_a_device_that_cannot_be_watched_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NoMonitor, match=r"pip install 'sfic-bench\[gpu\]'"):
        monitor(monkeypatch, None)
    with pytest.raises(NoMonitor, match="does not serve this device: Not Found"):
        monitor(monkeypatch, FakeNvml(0, uuid="GPU-other"))


@pytest.mark.parametrize("call_s", [0.0003, 0.007, 0.3])
@pytest.mark.parametrize("began", [0.0, 0.031, 0.099])
def test_energy_is_of_one_call(monkeypatch: pytest.MonkeyPatch, call_s: float, began: float) -> None:
    """200 W, counted from one step of the counter to another, whenever the first call came."""
    clock = FakeClock()
    clock.seconds = began

    def run() -> None:
        clock.seconds += call_s

    watched = monitor(monkeypatch, FakeNvml(0, clock=clock))
    joules = energy_per_call_j(run, lambda: None, watched.energy_j, clock.now_s)
    assert clock.seconds - began >= 2
    # Each step is seen at most one batch of calls late, which is 20 ms or one call, of 2 s.
    assert joules == pytest.approx(200 * call_s, rel=max(0.02, min(call_s, 0.1)) / 2 + 0.005)


def test_energy_that_cannot_be_counted_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()

    def run() -> None:
        clock.seconds += 0.02

    assert energy_per_call_j(run, lambda: None, lambda: None, clock.now_s) is None
    assert energy_per_call_j(run, lambda: None, lambda: 7.0, clock.now_s) is None and clock.seconds < 10
    nvml = FakeNvml(0, clock=clock)
    watched = monitor(monkeypatch, nvml)
    nvml.lost = True
    assert energy_per_call_j(run, lambda: None, watched.energy_j, clock.now_s) is None


def test_a_monitor_that_fails_costs_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = FakeNvml(0x4)
    watched = monitor(monkeypatch, nvml)
    nvml.lost = True
    sampled = sample({"a": takes("a", 1.0)}, FakeClock(), Stop(max_rounds=4), never, watched.read)
    assert sampled.samples == {"a": [1.0] * 4}
    assert sampled.readings["a"] == [Reading(sm_clock_mhz=None)] * 4


def test_the_cuda_clock_gives_the_host_a_head_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device waits before the first event, and is read while it works."""
    done: list[str] = []

    class Event:
        def __init__(self, **_: object) -> None:
            pass

        def record(self) -> None:
            done.append("event")

        def synchronize(self) -> None:
            done.append("wait")

        def elapsed_time(self, end: object) -> float:
            return 3.0

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "device", lambda _: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "_sleep", lambda cycles: done.append("sleep"))
    clock = CudaClock(torch.device("cuda"))
    ms = clock.time_ms(lambda: done.append("run"), lambda: done.append("flush"), lambda: done.append("read"))
    assert ms == 3.0
    assert done == ["flush", "sleep", "event", "run", "event", "read", "wait"]


def test_a_flushed_cache_holds_nothing_to_be_written_back(monkeypatch: pytest.MonkeyPatch) -> None:
    properties = types.SimpleNamespace(L2_cache_size=1 << 16)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    flush = l2_flush(torch.device("cpu"))
    seen: list[tuple[str, int, int]] = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.append((func.overloadpacket.__name__, args[0].data_ptr(), args[0].nbytes))
            return func(*args, **(kwargs or {}))

    with Watch():
        flush()
    (written, where, size), (read, elsewhere, as_much) = seen
    assert (written, read) == ("zero_", "sum") and where != elsewhere
    assert size == as_much == 2 << 16


class Nothing:
    """A network that computes nothing."""

    parameters = staticmethod(list)

    def __call__(self, *_: object) -> torch.Tensor:
        return torch.zeros(1)


def on(device: str) -> types.SimpleNamespace:
    """An input that says it lies on ``device``."""
    return types.SimpleNamespace(device=torch.device(device), requires_grad=False)


def test_what_a_graph_keeps_does_not_depend_on_the_graphs_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device whose cuBLAS takes 32 bytes when it is first used in a capture, and keeps them until told otherwise."""
    taken = {"graphs": 0, "workspace": 0}

    @contextlib.contextmanager
    def capture(_: object):
        held = taken["workspace"]
        yield
        taken["graphs"] += 5 + (0 if held else 32)
        taken["workspace"] = 32

    def clear() -> None:
        taken["workspace"] = 0

    stream = types.SimpleNamespace(wait_stream=lambda _: None)
    fakes = {
        "Stream": lambda _: stream, "current_stream": lambda _: stream, "graph": capture,
        "stream": lambda _: contextlib.nullcontext(), "CUDAGraph": object,
        "memory_reserved": lambda _: taken["graphs"], "memory_allocated": lambda _: 0,
        "max_memory_allocated": lambda _: 0, "max_memory_reserved": lambda _: 0,
        "synchronize": lambda _: None, "empty_cache": lambda: None, "reset_peak_memory_stats": lambda _: None,
    }  # fmt: skip
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    monkeypatch.setattr(torch._C, "_cuda_clearCublasWorkspaces", clear, raising=False)
    made = [MAKERS["cuda-graph"](Nothing(), (on("cuda"),), False) for _ in range(3)]  # type: ignore[arg-type]
    assert [m.peak_bytes["graph_pool"] for m in made if m.peak_bytes] == [37, 37, 37]


@pytest.mark.parametrize(
    ("maker", "device", "expected"),
    [
        ("compiled", "cuda", {}),
        ("compiled-freezing", "cpu", {"freezing": True}),
        ("compiled-reduce-overhead", "cuda", {"triton.cudagraphs": True, "triton.cudagraph_or_error": True}),
    ],
)
def test_the_compiler_is_told_to_fail_where_it_would_do_something_else(
    monkeypatch: pytest.MonkeyPatch, maker: str, device: str, expected: dict[str, bool]
) -> None:
    asked: dict[str, object] = {}

    def compile(model: object, **options: object) -> object:
        asked.update(options)
        return model

    monkeypatch.setattr(torch, "compile", compile)
    ready = MAKERS[maker](Nothing(), (on(device),), False)  # type: ignore[arg-type]
    assert asked == {"fullgraph": True, "dynamic": False, "options": expected}
    # torch's own graphs share one pool: what one of them keeps cannot be told.
    assert ready.peak_bytes == ({} if expected.get("triton.cudagraphs") else None)


def test_freezing_makes_constants_of_the_weights() -> None:
    """Each of two networks is compiled with its own, and what either computes no longer follows its weights."""
    first, second = (nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()).eval() for _ in range(2))
    x = torch.randn(1, 3, 8, 8)
    torch._dynamo.utils.counters.clear()
    runs = [MAKERS["compiled-freezing"](m, (x,), False).run for m in (first, second)]
    expected = [m(x) for m in (first, second)]
    with torch.no_grad():
        for m in (first, second):
            m[0].weight.zero_()
    for run, result in zip(runs, expected, strict=True):
        torch.testing.assert_close(run(), result)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 2


def test_freezing_is_for_inference() -> None:
    with pytest.raises(Unavailable, match="inference alone"):
        MAKERS["compiled-freezing"](nn.Linear(3, 2), (torch.randn(4, 3),), True)


def test_a_graph_that_breaks_is_not_timed() -> None:
    class Breaks(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            torch._dynamo.graph_break()
            return x + 1

    with pytest.raises(Unavailable, match=r"torch\.compile failed"):
        MAKERS["compiled"](Breaks(), (torch.randn(4, 3),), False)


@pytest.mark.parametrize("said", ["CUBLAS_STATUS_ALLOC_FAILED when calling", "CUDNN_STATUS_ALLOC_FAILED"])
def test_a_librarys_lack_of_memory_is_one_too(said: str) -> None:
    assert out_of_memory(RuntimeError(f"cuDNN or cuBLAS error: {said}")) is not None


def test_a_capture_that_ran_out_of_memory_ends_in_another_error() -> None:
    def capture() -> None:
        try:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 TiB")
        finally:  # as `torch.cuda.graph` does on its way out
            raise RuntimeError("CUDA error: operation failed due to a previous error during capture")

    with pytest.raises(RuntimeError) as caught:
        capture()
    assert explained(caught.value) == "out of memory: CUDA out of memory. Tried to allocate 1 TiB"
    try:
        raise KeyError("no such engine") from MemoryError("none left")
    except KeyError as error:
        assert explained(error) == "out of memory: none left"
    assert explained(RuntimeError("no engine\nmore words")) == "RuntimeError: no engine"


def test_a_peak_is_sustained() -> None:
    """A device that does ten calls in 1 ms each and every later one in 2 ms, until it has rested."""
    calls: list[int] = []

    class Boosted(CpuClock):
        def time_ms(self, run, before=None, meanwhile=None) -> float:
            first = len(calls)
            run()
            return sum(1.0 if i < 10 else 2.0 for i in range(len(calls) - first))

    assert _sustained_ms(lambda: calls.append(1), Boosted(), 0.0) == 1.0
    assert _sustained_ms(lambda: calls.append(1), Boosted(), 0.1) == pytest.approx(1.9)


def test_the_stopping_rule_does_not_keep_the_device_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """40 contenders of 100 rounds: the bootstrap took up to a second, in which a device idles and clocks down."""
    from sfic_bench.latency.rows import Row
    from sfic_bench.latency.run import _Run
    from sfic_bench.report import statistics
    from sfic_bench.spec import Layer

    monkeypatch.setattr(statistics, "RESAMPLES", None)  # a bootstrap fails
    times = np.random.default_rng(0).lognormal(0, 0.1, (40, 100)).tolist()
    run = object.__new__(_Run)
    run.rows = [Row(what=Layer(channels=8), path="fused")] + [
        Row(what=Layer(channels=8 + i, alpha=0.5, beta=0.5), path="fused") for i in range(39)
    ]
    assert 0 < run._widest({str(i): times[i] for i in range(40)}) < 1


def test_libraries_are_set_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products in float32 proper, cuDNN's fastest algorithm, and torch's own settings afterwards, also after an error."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn

    def settings() -> tuple[bool, bool, bool]:
        return matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark

    before = settings()
    assert before == (False, True, False)  # torch's defaults
    with cuda_libraries("fp32"):
        assert settings() == (False, False, True)
    with pytest.raises(KeyError), cuda_libraries("bf16"):
        assert settings() == (True, True, True)
        raise KeyError
    assert settings() == before


def test_the_stage_2_suite_does_not_compare_in_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the suite's test runs is compared under the settings of its number format."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
    try:
        import test_stage2 as suite
    finally:
        sys.path.pop(0)
    seen = []

    def outcome(*arguments: object) -> object:
        seen.append(torch.backends.cudnn.allow_tf32)
        return original(*arguments)

    original = suite.outcome
    monkeypatch.setattr(suite, "outcome", outcome)

    class Benchmark:
        def __init__(self) -> None:
            self.extra_info: dict[str, object] = {}

        def __call__(self, run: object) -> None:
            pass

    suite.test_stage2(Benchmark(), suite.CELLS[5], "fused", "cpu")
    assert seen == [False]
