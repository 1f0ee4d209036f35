"""Clock, throttling and energy of a CUDA device while it is measured, through NVML.

NVML (NVIDIA Management Library) comes with the driver; its Python binding is the extra ``gpu``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from sfic_bench.extras import install_command
from sfic_bench.measure.clock import Action

THROTTLING = {
    "power cap": "nvmlClocksThrottleReasonSwPowerCap",
    "hardware slowdown": "nvmlClocksThrottleReasonHwSlowdown",
    "software thermal": "nvmlClocksThrottleReasonSwThermalSlowdown",
    "hardware thermal": "nvmlClocksThrottleReasonHwThermalSlowdown",
    "power brake": "nvmlClocksThrottleReasonHwPowerBrakeSlowdown",
}
"""Reasons for which a device runs slower than it is set to, with NVML's names for their bits; idleness is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """The state of a CUDA device at one moment.

    Attributes:
        sm_clock_mhz: clock of the streaming multiprocessors; ``None`` if NVML failed at that moment.
        throttled: which of the reasons in `THROTTLING` applied.
    """

    sm_clock_mhz: int | None
    throttled: tuple[str, ...] = ()


class NoMonitor(Exception):
    """The device cannot be watched; the message says why."""


class NvmlMonitor:
    """Reads one CUDA device; raises `NoMonitor` if NVML, its Python binding or the device is missing."""

    def __init__(self, device: torch.device) -> None:
        try:
            import pynvml
        except ImportError:
            raise NoMonitor(f"the package nvidia-ml-py is missing: {install_command('gpu')}") from None
        self._nvml: Any = pynvml
        try:
            pynvml.nvmlInit()
            uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
            self._handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
        except pynvml.NVMLError as error:
            raise NoMonitor(f"NVML does not serve this device: {error}") from None
        self._bits = {reason: getattr(pynvml, name) for reason, name in THROTTLING.items()}

    def read(self) -> Reading:
        """Clock and throttling at this moment; call it while the device works, since an idle one clocks down."""
        nvml, handle = self._nvml, self._handle
        try:
            bits = nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle)
            clock = nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM)
        except nvml.NVMLError:  # the reading is missing, but the time of its sample is valid
            return Reading(sm_clock_mhz=None)
        return Reading(sm_clock_mhz=clock, throttled=tuple(reason for reason, bit in self._bits.items() if bits & bit))

    def energy_j(self) -> float | None:
        """Joules since the driver was loaded; ``None`` if the device does not count them."""
        try:
            return float(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)) / 1e3
        except self._nvml.NVMLError:
            return None

    @property
    def driver(self) -> str:
        return str(self._nvml.nvmlSystemGetDriverVersion())


BATCH_S = 0.02
"""Seconds of calls between two readings of the energy counter: shorter than its steps, much longer than a reading."""


def energy_per_call_j(
    run: Action,
    finish: Action,
    energy_j: Callable[[], float | None],
    now_s: Callable[[], float],
    seconds: float = 2.0,
) -> float | None:
    """Joules of one call, counted from one step of the energy counter to another at least ``seconds`` later.

    The counter moves every 20 to 100 ms, so that a window that began or ended between two of its steps would be wrong
    by up to one step's energy. The result is ``None`` if ``energy_j`` reads no counter, or if the counter stands still
    for three times ``seconds``. ``finish`` waits until all calls have ended.
    """
    for _ in range(2):  # the first call may be slower
        start = now_s()
        run()
        finish()
    batch = max(1, int(BATCH_S / max(now_s() - start, 1e-6)))
    last, moved_s = energy_j(), now_s()
    first: tuple[float, float] | None = None
    calls = 0
    while last is not None and now_s() - moved_s < 3 * seconds:
        for _ in range(batch):
            run()
        finish()
        calls += batch
        joules, now = energy_j(), now_s()
        if joules == last:
            continue
        last, moved_s = joules, now
        if first is None and joules is not None:
            first, calls = (joules, now), 0
        elif first is not None and joules is not None and now - first[1] >= seconds:
            return (joules - first[0]) / calls
    return None
