"""Times, memory and energy of networks and layers, as ``latency`` and ``stage2`` write them."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

from sfic_bench.measure.conditions import Conditions, MemoryLayout
from sfic_bench.measure.peak import Peak
from sfic_bench.results.environment import Environment
from sfic_bench.results.fields import Count, Key, Name, NotFinite, Positive, Ratio, Size, label
from sfic_bench.results.shown import Shown
from sfic_bench.statistics.interval import Interval

Cache = Literal["flushed", "warm"]
"""Whether a CUDA device's L2 cache was overwritten before each call."""


VanillaKey = tuple[str, str, MemoryLayout, str | None, int | None]
"""Name, path, layout, state of the L2 cache, and the row's own batch size."""


EndedBy = Literal["list", "memory", "throughput", "time", "failure", "interrupt"]
"""What ended a series of batch sizes."""

Basis = Literal["measured", "estimated", "bound"]
"""What a largest batch is known by."""

WHOLE = "whole step"
"""The name of all parts of a training step together."""


class Timed(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One network, or one layer, whose ``backbone`` is ``None``. It is vanilla if it has neither α nor β.

    Attributes:
        layer: the kind of layer; ``"stage2"`` is a Stage 2 or the vanilla convolution that it replaces.
        channels: input channels of the layer, which has as many output channels.
    """

    backbone: Name | None
    alpha: Ratio
    beta: Ratio
    layer: Name | None = None
    channels: Size | None = None
    kernel_size: Size | None = None

    @property
    def name(self) -> str:
        """The backbone's name, or the layer's with its channels and kernel, without α and β."""
        if self.backbone is not None:
            return self.backbone
        return f"{self.layer} {self.channels}ch {self.kernel_size}×{self.kernel_size}"

    @property
    def is_vanilla(self) -> bool:
        return self.alpha is None

    @property
    def network(self) -> str:
        """The network or layer in one line, such as ``resnet50 α=0.5 β=1``."""
        return label((self.name, self.alpha, self.beta, ""))


class StepPart(Struct, frozen=True, kw_only=True):
    """A part of a training step, or the whole of it.

    Attributes:
        samples_ms: raw milliseconds, in the order of the rounds.
        ms: median of the samples.
        ratio_to_vanilla: samples over vanilla's of the same part, on the same path, paired by round.
    """

    samples_ms: list[Positive]
    ms: Interval
    ratio_to_vanilla: Interval | None = None


class TimingRow(Timed, frozen=True, kw_only=True, omit_defaults=True):
    """One network or layer on one execution path, in one layout.

    Attributes:
        l2: state of a CUDA device's L2 cache; ``None`` on a CPU.
        batch_size: images in one call, in a file of several batch sizes; otherwise the conditions have it.
        status: ``"ok"``; ``"wrong"`` if the result differs from the reference's, so that it gets no time;
            ``"unavailable"`` if the path failed, or this machine lacks what it needs. ``reason`` says more.
        samples_ms: raw milliseconds of each call, in the order of the rounds.
        latency_ms: median of the samples.
        p90_ms, p99_ms: what 90 and 99% of calls take at most; ``None`` where samples are too few to tell it, see
            `sfic_bench.statistics.percentiles`.
        images_per_s: images of a call over `latency_ms`.
        parts: of a training step on a path that can be timed in parts: forward and backward, which add up to
            ``samples_ms``; the optimiser's step, which follows each; and the whole, all three together.
        ratio_to_vanilla: samples over vanilla's on the same path, in the same layout, paired by round.
        macs: MACs of one forward pass of the whole batch, in the convention conv-linear.
        floor_ms: the least time in which this machine can do the work, see `sfic_bench.measure.roofline`. A training
            step counts as three forward passes.
        fewer_macs_but_slower: whether it has fewer MACs than vanilla and the whole interval of the ratio lies above 1.
        peak_bytes: peak memory, by definition, see `sfic_bench.measure.memory.DEFINITIONS`.
        energy_per_image_j: joules for one image, if the device counts them.
        setup_s: seconds for compiling or capturing, which are not part of the samples.
        runtime: name and version of what runs the network if that is not torch, its device and number of threads.
        max_abs_error: largest error of an output, against the float64 reference.
        gradient_error: norm of the error of all gradients over their norm; 0 in inference.
        sm_clock_mhz: clock of a CUDA device during each sample.
        throttled: reasons for which a CUDA device was throttled during each sample.
    """

    path: str
    layout: MemoryLayout = MemoryLayout.CONTIGUOUS
    l2: Cache | None = None
    batch_size: Size | None = None
    status: Literal["ok", "wrong", "unavailable"]
    reason: str = ""
    samples_ms: list[Positive] = []
    latency_ms: Interval | None = None
    p90_ms: Interval | None = None
    p99_ms: Interval | None = None
    images_per_s: Interval | None = None
    parts: dict[Name, StepPart] = {}
    ratio_to_vanilla: Interval | None = None
    macs: Count | None = None
    floor_ms: Positive | None = None
    fewer_macs_but_slower: bool = False
    peak_bytes: dict[Name, Count] = {}
    energy_per_image_j: Positive | None = None
    setup_s: Annotated[float, Meta(ge=0)] = 0.0
    runtime: str = ""
    max_abs_error: float | NotFinite | None = None
    gradient_error: float | NotFinite | None = None
    sm_clock_mhz: list[int | None] = []
    throttled: list[list[str]] = []

    def __post_init__(self) -> None:
        if len({self.status == "ok", self.latency_ms is not None, bool(self.samples_ms)}) > 1:
            raise ValueError("status, latency_ms and samples_ms contradict each other")

    @property
    def key(self) -> Key:
        layout = "" if self.layout is MemoryLayout.CONTIGUOUS else f", {self.layout.words}"
        l2 = "" if self.l2 is None else f", L2 {self.l2}"
        batch = "" if self.batch_size is None else f", batch {self.batch_size}"
        return self.name, self.alpha, self.beta, f"{self.path}{layout}{l2}{batch}"

    @property
    def vanilla_key(self) -> VanillaKey:
        """The values that a row and the vanilla row that it is compared with have in common."""
        return self.name, self.path, self.layout, self.l2, self.batch_size

    @property
    def over_floor(self) -> float | None:
        """The measured time over `floor_ms`."""
        return None if self.latency_ms is None or not self.floor_ms else self.latency_ms.estimate / self.floor_ms

    @property
    def samples_throttled(self) -> int:
        """The number of samples during which the device was throttled."""
        return sum(bool(reasons) for reasons in self.throttled)


class Best(Timed, frozen=True, kw_only=True, omit_defaults=True):
    """A network's fastest path and layout against vanilla's fastest path and layout.

    Attributes:
        ratio_to_vanilla: samples of the fastest row over those of vanilla's fastest row, paired by round.
        macs_to_vanilla: MACs of the fastest row over those of vanilla's fastest row.
    """

    path: str
    layout: MemoryLayout
    batch_size: Size | None = None
    vanilla_path: str
    vanilla_layout: MemoryLayout
    ratio_to_vanilla: Interval
    macs_to_vanilla: float | None = None


class Family(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All rows of one backbone or layer, which were timed together, in the same rounds.

    Attributes:
        rounds: number of samples of each row.
        stopped_by: what ended sampling, see `sfic_bench.measure.sampler.Stop`.
        vanilla_against_itself: ratio of two series of vanilla's samples, which shows differences that are only noise.
        best: the fastest row of each SFIC form against vanilla's.
        batch_size: images in one call, in a file of several batch sizes.
        node: the machine of a sweep on which the family was timed.
    """

    name: Name
    rounds: Count
    stopped_by: str
    vanilla_against_itself: Interval | None
    best: list[Best] = []
    batch_size: Size | None = None
    node: str | None = None


class BatchCurve(Struct, frozen=True, kw_only=True):
    """The batch sizes at which a backbone or layer was timed, and why at no larger one.

    Attributes:
        ended_by: ``"list"`` if all were timed that were asked for; ``"memory"`` or ``"throughput"`` if a search ended
            there, ``"time"`` if its time limit left too few rounds, ``"failure"`` if nothing could be timed at the last
            size; ``"interrupt"`` before the end.
        reason: the same in a sentence, with figures.
    """

    name: Name
    batch_sizes: list[Size]
    ended_by: EndedBy
    reason: str


class Fit(Timed, frozen=True, kw_only=True, omit_defaults=True):
    """The largest batch of which one call fits into a given memory, see ``total`` in `memory.DEFINITIONS`.

    Attributes:
        batch_size: images; 0 if not even one fits.
        limit_bytes: the given memory.
        total_bytes: what the call takes with that many images.
        basis: ``"measured"`` if this many were run and fit, and one more did not; ``"estimated"`` if it lies on the
            line through measured sizes; ``"bound"`` if nothing was measured, so that it is at most this many.
    """

    path: str
    layout: MemoryLayout
    batch_size: Count
    limit_bytes: Count
    total_bytes: Count
    basis: Basis


class TimingResult(
    Shown, frozen=True, kw_only=True, omit_defaults=True, tag_field="schema", tag="sfic-bench/measurement/2"
):
    """Times of networks and layers under one set of conditions, each beside its vanilla form.

    Attributes:
        conditions: ``None`` in a file of pytest-benchmark, which does not have them.
        peak: the rates that the machine sustained in the same run.
        unwatched: why clocks, throttling and energy are missing; ``""`` if they are not.
        curves: the batch sizes of each backbone or layer, if rows have their own; ``conditions`` have the first.
        fits: the largest batch that fits, of each network on each path.
    """

    environment: Environment
    conditions: Conditions | None
    peak: Peak | None
    unwatched: str
    families: list[Family]
    rows: list[TimingRow]
    curves: list[BatchCurve] = []
    fits: list[Fit] = []

    @property
    def batch_sizes(self) -> list[int]:
        """The batch sizes of its rows, in their order; none in a file of pytest-benchmark."""
        common = None if self.conditions is None else self.conditions.batch_size
        sizes = dict.fromkeys(row.batch_size or common for row in self.rows)
        return [size for size in sizes if size is not None]


def throughput(latency_ms: Interval, images: int) -> Interval:
    """Images a second where a call with ``images`` takes ``latency_ms``."""
    low, high = latency_ms.low, latency_ms.high
    return Interval(
        estimate=1e3 * images / latency_ms.estimate,
        low=None if high is None else 1e3 * images / high,
        high=None if low is None else 1e3 * images / low,
    )


def vanilla_rows(rows: Iterable[TimingRow]) -> dict[VanillaKey, TimingRow]:
    """The vanilla rows, with which all others are compared, by `TimingRow.vanilla_key`."""
    return {row.vanilla_key: row for row in rows if row.is_vanilla}


def common_layout(rows: Iterable[TimingRow]) -> MemoryLayout:
    """The memory layout of all ``rows``, or ``BOTH`` if they differ."""
    layouts = {row.layout for row in rows}
    return layouts.pop() if len(layouts) == 1 else MemoryLayout.BOTH


def merged(results: Sequence[TimingResult]) -> TimingResult:
    """Results of one machine under the same conditions as one result; of equal keys the first row is kept."""
    rows: dict[Key, TimingRow] = {}
    for result in results:
        for row in result.rows:
            rows.setdefault(row.key, row)
    families = [family for result in results for family in result.families]
    curves = [curve for result in results for curve in result.curves]
    fits: dict[object, Fit] = {}
    for fit in (fit for result in results for fit in result.fits):
        fits.setdefault((fit.network, fit.path, fit.layout, fit.limit_bytes), fit)
    return replace(results[0], rows=list(rows.values()), families=families, curves=curves, fits=list(fits.values()))
