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
        sm_clock_mhz: of the streaming multiprocessors.
        throttled: which of `THROTTLING` hold.
    """

    sm_clock_mhz: int
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
        nvml, handle = self._nvml, self._handle
        bits = nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle)
        return Reading(
            sm_clock_mhz=nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM),
            throttled=tuple(reason for reason, bit in self._bits.items() if bits & bit),
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


def energy_per_call_j(
    run: Callable[[], object],
    finish: Callable[[], object],
    energy_j: Callable[[], float | None],
    now_s: Callable[[], float],
    seconds: float = 1.0,
) -> float | None:
    """Joules of one call, from as many as ``seconds`` hold: the counter moves in steps of some 100 ms.

    Args:
        run: the call.
        finish: waits until all calls are done.
        energy_j: the counter.
        now_s: the time.
        seconds: how long to call.
    """
    run()
    finish()
    before, start, calls = energy_j(), now_s(), 0
    while now_s() - start < seconds:
        for _ in range(10):
            run()
        finish()
        calls += 10
    after = energy_j()
    return None if before is None or after is None else (after - before) / calls
