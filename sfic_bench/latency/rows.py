"""What was found: one row a contender, one family for all that took turns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from sfic_bench.measure import Reading
from sfic_bench.report.statistics import Estimate
from sfic_bench.spec import Layer, Variant


@dataclass(kw_only=True, slots=True)
class Row:
    """One network or layer on one path.

    Attributes:
        channels_last: how its tensors are stored.
        l2: whether a CUDA device's L2 cache was overwritten before each call; ``None`` on a CPU.
        status: ``"ok"``; ``"wrong"`` (its result is not the reference's, so it gets no time);
            ``"unavailable"`` (this machine or memory lacks it, or it failed). ``reason`` says more.
        samples: milliseconds, raw, in the order of the rounds.
        readings: of a CUDA device during each sample.
        ratio: of samples to vanilla's on the same path and in the same layout, paired by round; ``None`` for
            vanilla.
        peak_bytes: see `sfic_bench.measure.memory.DEFINITIONS`.
        macs: MACs of one forward pass of this form for the batch, ``conv-linear``.
        floor_ms: the least time this machine can take for them, see `sfic_bench.measure.roofline`.
            A training step counts as three forward passes.
        max_abs_error: over the outputs, against the float64 reference.
        gradient_error: of all gradients together, norm over norm; 0 in inference.
        setup_s: compile or capture time, apart from the samples.
        energy_j: of one image, where the device counts it.
    """

    what: Variant | Layer
    path: str
    channels_last: bool = False
    l2: Literal["flushed", "warm"] | None = None
    status: Literal["ok", "wrong", "unavailable"] = "ok"
    reason: str = ""
    samples: Sequence[float] = ()
    readings: Sequence[Reading] = ()
    latency: Estimate | None = None
    ratio: Estimate | None = None
    peak_bytes: Mapping[str, int] = field(default_factory=dict)
    macs: int | None = None
    floor_ms: float | None = None
    max_abs_error: float | None = None
    gradient_error: float | None = None
    setup_s: float = 0.0
    energy_j: float | None = None
    fewer_macs_but_slower: bool = False

    @property
    def where(self) -> tuple[str, bool, str | None]:
        """What a row shares with the vanilla row that it is compared with."""
        return self.path, self.channels_last, self.l2

    @property
    def over_floor(self) -> float | None:
        """Measured time over `floor_ms`."""
        return None if self.latency is None or not self.floor_ms else self.latency.median / self.floor_ms

    @property
    def throttled(self) -> int:
        """Number of samples taken while the device was throttled."""
        return sum(bool(r.throttled) for r in self.readings)


@dataclass(frozen=True, kw_only=True, slots=True)
class Best:
    """A network's fastest path and layout against vanilla's fastest path and layout, paired by round."""

    row: Row
    vanilla: Row
    ratio: Estimate


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """All rows of one backbone or layer, timed together.

    Attributes:
        noise: ratio of vanilla to itself in the same rounds: what this run cannot tell apart.
        best: one for each SFIC form that was timed.
        stopped_by: what ended sampling, see `sfic_bench.measure.Sampled`.
        rounds: how many samples each row has.
    """

    rows: Sequence[Row]
    noise: Estimate | None
    best: Sequence[Best]
    stopped_by: str
    rounds: int

    @property
    def name(self) -> str:
        return self.rows[0].what.name
