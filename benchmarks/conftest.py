"""What the benchmarks share: devices, and a timer that waits for them."""

import time

import pytest
import torch


def synchronised() -> float:
    """`time.perf_counter` once the CUDA device has finished all of its work."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.synchronize()
    return time.perf_counter()


def pytest_benchmark_update_machine_info(machine_info: dict[str, object]) -> None:
    """Add what `sfic-bench compare` must find equal before it compares two files."""
    machine_info |= {"torch": torch.__version__, "threads": torch.get_num_threads()}
    if torch.cuda.is_available():
        machine_info |= {"cuda": torch.version.cuda, "device": torch.cuda.get_device_name()}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.benchmark(timer=synchronised, disable_gc=True))


needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, needs_cuda])])
def device(request: pytest.FixtureRequest) -> str:
    return str(request.param)
