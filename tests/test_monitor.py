"""Clock, throttling and energy of a CUDA device, read from a stand-in for NVML."""

import re
import sys
import types

import pytest
import torch
from helpers.clocks import FakeClock, never, takes

from sfic_bench.extras import install_command
from sfic_bench.measure.monitor import NoMonitor, NvmlMonitor, Reading, energy_per_call_j
from sfic_bench.measure.sampler import Stop, sample


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
        self.reasons, self.uuid, self.clock = reasons, uuid, clock or FakeClock()
        self.is_lost = False

    def nvmlInit(self) -> None:  # noqa: N802
        pass

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        if uuid != self.uuid:
            raise self.NVMLError("Not Found")
        return uuid

    def nvmlDeviceGetClockInfo(self, _handle: str, _clock: int) -> int:  # noqa: N802
        return 1980

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, _handle: str) -> int:  # noqa: N802
        if self.is_lost:
            raise self.NVMLError("GPU is lost")
        return self.reasons

    def nvmlDeviceGetTotalEnergyConsumption(self, _handle: str) -> int:  # noqa: N802
        if self.is_lost:
            raise self.NVMLError("GPU is lost")
        return 20_000 * int(self.clock.seconds / 0.1 + 1e-9)

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        return "580.1"


def monitor(monkeypatch: pytest.MonkeyPatch, nvml: FakeNvml | None) -> NvmlMonitor:
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    device = types.SimpleNamespace(uuid="1-2-3")
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: device)
    return NvmlMonitor(torch.device("cuda"))


def test_an_idle_device_is_not_throttled(monkeypatch: pytest.MonkeyPatch) -> None:
    idle_and_capped = monitor(monkeypatch, FakeNvml(0x1 | 0x2 | 0x4 | 0x20))
    assert idle_and_capped.read() == Reading(sm_clock_mhz=1980, throttled=("power cap", "software thermal"))
    assert monitor(monkeypatch, FakeNvml(0x1 | 0x2)).read().throttled == ()
    assert idle_and_capped.driver == "580.1"


def test_a_missing_library_or_device_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NoMonitor, match=re.escape(install_command("gpu"))):
        monitor(monkeypatch, None)
    with pytest.raises(NoMonitor, match="does not serve this device: Not Found"):
        monitor(monkeypatch, FakeNvml(0, uuid="GPU-other"))


@pytest.mark.parametrize("call_s", [0.0003, 0.007, 0.3])
@pytest.mark.parametrize("start_s", [0.0, 0.031, 0.099])
def test_energy_is_that_of_one_call(monkeypatch: pytest.MonkeyPatch, call_s: float, start_s: float) -> None:
    """200 W, counted from one step of the counter to another, whenever the first call came."""
    clock = FakeClock()
    clock.seconds = start_s

    def run() -> None:
        clock.seconds += call_s

    device_monitor = monitor(monkeypatch, FakeNvml(0, clock=clock))
    joules = energy_per_call_j(run, lambda: None, device_monitor.energy_j, clock.now_s)
    assert clock.seconds - start_s >= 2
    # Each step is seen at most one batch of calls late, which is 20 ms or one call, of 2 s.
    assert joules == pytest.approx(200 * call_s, rel=max(0.02, min(call_s, 0.1)) / 2 + 0.005)


def test_energy_that_cannot_be_counted_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()

    def run() -> None:
        clock.seconds += 0.02

    assert energy_per_call_j(run, lambda: None, lambda: None, clock.now_s) is None
    assert energy_per_call_j(run, lambda: None, lambda: 7.0, clock.now_s) is None and clock.seconds < 10
    nvml = FakeNvml(0, clock=clock)
    device_monitor = monitor(monkeypatch, nvml)
    nvml.is_lost = True
    assert energy_per_call_j(run, lambda: None, device_monitor.energy_j, clock.now_s) is None


def test_a_monitor_that_fails_costs_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = FakeNvml(0x4)
    device_monitor = monitor(monkeypatch, nvml)
    nvml.is_lost = True
    sampled = sample({"a": takes("a", 1.0)}, FakeClock(), Stop(max_rounds=4), never, device_monitor.read)
    assert sampled.samples == {"a": [1.0] * 4}
    assert sampled.readings["a"] == [Reading(sm_clock_mhz=None)] * 4
