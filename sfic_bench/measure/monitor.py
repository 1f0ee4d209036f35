"""What a CUDA device does while it is measured: clock, throttling and energy, through NVML.

NVML (NVIDIA Management Library) comes with the driver; its Python binding is the extra ``gpu``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

THROTTLING = {
    "power cap": "nvmlClocksThrottleReasonSwPowerCap",
    "hardware slowdown": "nvmlClocksThrottleReasonHwSlowdown",
    "software thermal": "nvmlClocksThrottleReasonSwThermalSlowdown",
    "hardware thermal": "nvmlClocksThrottleReasonHwThermalSlowdown",
    "power brake": "nvmlClocksThrottleReasonHwPowerBrakeSlowdown",
}
"""Reasons for which a device runs slower than it is set to, and NVML's names for their bits.

An idle device, or a clock that somebody has set, is none.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """Of one moment.

    Attributes:
        sm_clock_mhz: of the streaming multiprocessors; ``None`` where NVML failed at that moment.
        throttled: which of `THROTTLING` hold.
    """

    sm_clock_mhz: int | None
    throttled: tuple[str, ...] = ()


class NvmlMonitor:
    """Reads one CUDA device.

    Raises:
        NoMonitor: if NVML, its binding or the device in it is missing; says which.
    """

    def __init__(self, device: torch.device) -> None:
        try:
            import pynvml
        except ImportError:
            raise NoMonitor("the package nvidia-ml-py is missing: pip install 'sfic-bench[gpu]'") from None
        self._nvml: Any = pynvml
        try:
            pynvml.nvmlInit()
            uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
            self._handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
        except pynvml.NVMLError as error:
            raise NoMonitor(f"NVML does not serve this device: {error}") from None
        self._bits = {reason: getattr(pynvml, name) for reason, name in THROTTLING.items()}

    def read(self) -> Reading:
        """Clock and throttling now: to be called while the device works, since an idle one clocks down."""
        nvml, handle = self._nvml, self._handle
        try:
            bits = nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle)
            clock = nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM)
        except nvml.NVMLError:  # a figure beside the times is missing; the times are not
            return Reading(sm_clock_mhz=None)
        return Reading(
            sm_clock_mhz=clock, throttled=tuple(reason for reason, bit in self._bits.items() if bits & bit)
        )

    def energy_j(self) -> float | None:
        """Joules since the driver was loaded, or ``None`` where the device does not count them."""
        try:
            return float(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)) / 1e3
        except self._nvml.NVMLError:
            return None

    @property
    def driver(self) -> str:
        return str(self._nvml.nvmlSystemGetDriverVersion())


class NoMonitor(Exception):
    """The device cannot be watched; the message says why."""


BATCH_S = 0.02
"""Seconds of calls between two looks at the energy counter: short beside its steps, long beside a look."""


def energy_per_call_j(
    run: Callable[[], object],
    finish: Callable[[], object],
    energy_j: Callable[[], float | None],
    now_s: Callable[[], float],
    seconds: float = 2.0,
) -> float | None:
    """Joules of one call, counted from one step of the energy counter to another at least ``seconds`` later.

    The counter moves in steps of some 20 to 100 ms, so that a window that began or ended between two of them would be off
    by up to a step's energy. ``None`` where the counter is missing, or stands still for three times ``seconds``.

    Args:
        run: the call.
        finish: waits until all calls are done.
        energy_j: the counter.
        now_s: the time.
        seconds: the least time between the two steps.
    """
    run()
    finish()
    start = now_s()
    run()
    finish()
    batch = max(1, int(BATCH_S / max(now_s() - start, 1e-6)))
    seen, moved_s = energy_j(), now_s()
    first: tuple[float, float] | None = None
    calls = 0
    while seen is not None and now_s() - moved_s < 3 * seconds:
        for _ in range(batch):
            run()
        finish()
        calls += batch
        joules, now = energy_j(), now_s()
        if joules == seen:
            continue
        seen, moved_s = joules, now
        if first is None and joules is not None:
            first, calls = (joules, now), 0
        elif first is not None and joules is not None and now - first[1] >= seconds:
            return (joules - first[0]) / calls
    return None
