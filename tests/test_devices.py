"""The calls that a CUDA device would get, on stand-ins: clock, cache, graphs, compiler and libraries."""

import contextlib
import importlib
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from sfic_bench.errors import InvalidValue
from sfic_bench.measure.clock import CpuClock, CudaClock, l2_flush
from sfic_bench.measure.conditions import Device, NumberFormat
from sfic_bench.measure.devices import cuda_libraries, device_named
from sfic_bench.measure.execution import Unavailable, tensors_of
from sfic_bench.measure.failures import explained, out_of_memory
from sfic_bench.measure.paths import EXECUTION_PATHS
from sfic_bench.measure.roofline import _sustained_ms
from sfic_bench.training import learner
from sfic_bench.training.recipe import TrainingDevices


def test_the_cuda_clock_gives_the_host_a_head_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """The device waits before the first event, and the monitor reads while the device works."""
    calls: list[str] = []

    class Event:
        def __init__(self, **_: object) -> None:
            pass

        def record(self) -> None:
            calls.append("event")

        def synchronize(self) -> None:
            calls.append("wait")

        def elapsed_time(self, _end: object) -> float:
            return 3.0

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "device", lambda _: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "_sleep", lambda _: calls.append("sleep"))
    clock = CudaClock(torch.device("cuda"))
    ms = clock.time_ms(lambda: calls.append("run"), lambda: calls.append("flush"), lambda: calls.append("read"))
    assert ms == 3.0
    assert calls == ["flush", "sleep", "event", "run", "event", "read", "wait"]


def test_a_flushed_cache_holds_nothing_to_be_written_back(monkeypatch: pytest.MonkeyPatch) -> None:
    properties = types.SimpleNamespace(L2_cache_size=1 << 16)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    flush = l2_flush(torch.device("cpu"))
    operations: list[tuple[str, int, int]] = []

    class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's own class is untyped
        def __torch_dispatch__(
            self,
            func: OpOverload[..., object],
            _types: object,
            args: tuple[Tensor, ...] = (),
            kwargs: dict[str, object] | None = None,
        ) -> object:
            operations.append((func.overloadpacket.__name__, args[0].data_ptr(), args[0].nbytes))
            return func(*args, **(kwargs or {}))

    with Watch():  # type: ignore[no-untyped-call]
        flush()
    (first, written, written_bytes), (second, read, read_bytes) = operations
    assert (first, second) == ("zero_", "sum") and written != read
    assert written_bytes == read_bytes == 2 << 16


class Nothing(nn.Module):
    """A network that computes nothing."""

    def forward(self, *_: object) -> Tensor:
        return torch.zeros(1)


def input_on(device: str) -> Tensor:
    """A stand-in for an input on ``device``."""
    return cast(Tensor, types.SimpleNamespace(device=torch.device(device), requires_grad=False))


def test_what_a_graph_keeps_does_not_depend_on_the_graphs_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in's cuBLAS takes 32 bytes when it is first used in a capture, and keeps them until cleared."""
    taken = {"graphs": 0, "workspace": 0}

    @contextlib.contextmanager
    def capture(_: object) -> Iterator[None]:
        workspace = taken["workspace"]
        yield
        taken["graphs"] += 5 + (0 if workspace else 32)
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
    networks = [EXECUTION_PATHS["cuda-graph"].make(Nothing(), (input_on("cuda"),), False) for _ in range(3)]
    assert [ready.peak_bytes["graph_pool"] for ready in networks if ready.peak_bytes] == [37, 37, 37]


@pytest.mark.parametrize(
    ("path", "device", "expected"),
    [
        ("compiled", "cuda", {}),
        ("compiled-freezing", "cpu", {"freezing": True}),
        ("compiled-reduce-overhead", "cuda", {"triton.cudagraphs": True, "triton.cudagraph_or_error": True}),
    ],
)
def test_the_compiler_must_fail_instead_of_compiling_something_else(
    monkeypatch: pytest.MonkeyPatch, path: str, device: str, expected: dict[str, bool]
) -> None:
    options: dict[str, object] = {}

    def compile(model: object, **given: object) -> object:
        options.update(given)
        return model

    monkeypatch.setattr(torch, "compile", compile)
    ready = EXECUTION_PATHS[path].make(Nothing(), (input_on(device),), False)
    assert options == {"fullgraph": True, "dynamic": False, "options": expected}
    # torch's own graphs share one pool, so that the memory of one of them is not known.
    assert ready.peak_bytes == ({} if expected.get("triton.cudagraphs") else None)


def test_freezing_makes_constants_of_the_weights() -> None:
    """Each of two networks is compiled with its own weights, and later changes of them have no effect."""
    convs = [nn.Conv2d(3, 4, 1) for _ in range(2)]
    networks = [nn.Sequential(conv, nn.ReLU()).eval() for conv in convs]
    x = torch.randn(1, 3, 8, 8)
    torch._dynamo.utils.counters.clear()
    runs = [EXECUTION_PATHS["compiled-freezing"].make(m, (x,), False).run for m in networks]
    expected = [m(x) for m in networks]
    with torch.no_grad():
        for conv in convs:
            conv.weight.zero_()
    for run, result in zip(runs, expected, strict=True):
        torch.testing.assert_close(tensors_of(run())[0], result)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 2


def test_freezing_is_for_inference() -> None:
    with pytest.raises(Unavailable, match="inference alone"):
        EXECUTION_PATHS["compiled-freezing"].make(nn.Linear(3, 2), (torch.randn(4, 3),), True)


def test_a_graph_that_breaks_is_not_timed() -> None:
    class Breaks(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            torch._dynamo.graph_break()
            return x + 1

    with pytest.raises(Unavailable, match=r"torch\.compile failed"):
        EXECUTION_PATHS["compiled"].make(Breaks(), (torch.randn(4, 3),), False)


@pytest.mark.parametrize("message", ["CUBLAS_STATUS_ALLOC_FAILED when calling", "CUDNN_STATUS_ALLOC_FAILED"])
def test_lack_of_memory_in_a_library_is_recognised(message: str) -> None:
    assert out_of_memory(RuntimeError(f"cuDNN or cuBLAS error: {message}")) is not None


def test_a_capture_that_ran_out_of_memory_ends_in_another_error() -> None:
    def capture() -> None:
        try:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 TiB")
        finally:  # as `torch.cuda.graph` does when it is left
            raise RuntimeError("CUDA error: operation failed due to a previous error during capture")

    with pytest.raises(RuntimeError) as caught:
        capture()
    assert explained(caught.value) == "out of memory: CUDA out of memory. Tried to allocate 1 TiB"
    with pytest.raises(KeyError) as from_memory:
        raise KeyError("no such engine") from MemoryError("none left")
    assert explained(from_memory.value) == "out of memory: none left"
    assert explained(RuntimeError("no engine\nmore words")) == "RuntimeError: no engine"


def test_a_peak_is_sustained() -> None:
    """A device takes 1 ms for each of ten calls and 2 ms for every later one, until it has rested."""
    calls: list[int] = []

    class Boosted(CpuClock):
        def time_ms(
            self,
            run: Callable[[], object],
            _before: Callable[[], object] | None = None,
            _meanwhile: Callable[[], object] | None = None,
        ) -> float:
            first = len(calls)
            run()
            return sum(1.0 if i < 10 else 2.0 for i in range(len(calls) - first))

    assert _sustained_ms(lambda: calls.append(1), Boosted(), 0.0) == 1.0
    assert _sustained_ms(lambda: calls.append(1), Boosted(), 0.1) == pytest.approx(1.9)


def test_the_stopping_rule_does_not_keep_the_device_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """For 40 contenders of 100 rounds a bootstrap takes up to a second, in which a device idles and clocks down."""

    from sfic_bench.statistics import intervals
    from sfic_bench.timing.run import _FamilyRun

    monkeypatch.setattr(intervals, "RESAMPLES", None)  # a bootstrap fails
    times = np.random.default_rng(0).lognormal(0, 0.1, (40, 100)).tolist()
    run = object.__new__(_FamilyRun)
    run.vanilla = {str(i): "0" for i in range(40)}
    assert 0 < run._widest({str(i): times[i] for i in range(40)}) < 1


def test_settings_of_libraries_are_restored() -> None:
    """Products are in full float32, cuDNN is as fast as it can be, and torch's settings return, also after an error."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn

    def settings() -> tuple[bool, bool, bool]:
        return matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark

    before = settings()
    assert before == (False, True, False)  # torch's defaults
    with cuda_libraries(NumberFormat.FP32):
        assert settings() == (False, False, True)
    with contextlib.suppress(KeyError), cuda_libraries(NumberFormat.BF16):
        assert settings() == (True, True, True)
        raise KeyError
    assert settings() == before


def test_the_stage_2_suite_does_not_compare_in_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmark compares results under the settings of its number format."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
    try:
        suite = importlib.import_module("test_stage2")
    finally:
        sys.path.pop(0)
    settings = []

    def call_once(*arguments: object) -> object:
        settings.append(torch.backends.cudnn.allow_tf32)
        return original(*arguments)

    original = suite.call_once
    monkeypatch.setattr(suite, "call_once", call_once)

    class Benchmark:
        def __init__(self) -> None:
            self.extra_info: dict[str, object] = {}

        def __call__(self, _run: object) -> None:
            pass

    suite.test_stage2(Benchmark(), suite.LAYERS[5], "fused", "cpu")
    assert settings == [False]


def test_a_numbered_device_becomes_the_current_one(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    assert [device_named(name) for name in ("cpu", "cuda", "cuda:1", Device.CUDA)] == ["cpu", "cuda", "cuda", "cuda"]
    assert chosen == [1]
    for name in ("cuda:2", "cuda:", "cuda:x", "cuda:-1"):
        with pytest.raises(InvalidValue, match="which has cuda:0 to cuda:1"):
            device_named(name)


def test_a_training_on_one_device_takes_the_current_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    assert learner._chosen(TrainingDevices(device=Device.CUDA)) == [1]
    assert learner._chosen(TrainingDevices(device=Device.CUDA, devices=2)) == 2
    assert learner._chosen(TrainingDevices()) == 1
