"""Times, memory and energy of networks and layers, as ``latency`` and ``stage2`` write them."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

from sfic_bench.measure.conditions import Conditions, MemoryLayout
from sfic_bench.measure.peak import Peak
from sfic_bench.results.environment import Environment
from sfic_bench.results.fields import Count, Key, Name, NotFinite, Positive, Ratio, Size, label
from sfic_bench.statistics.interval import Interval

Cache = Literal["flushed", "warm"]
"""Whether a CUDA device's L2 cache was overwritten before each call."""


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


class TimingRow(Timed, frozen=True, kw_only=True, omit_defaults=True):
    """One network or layer on one execution path, in one layout.

    Attributes:
        l2: state of a CUDA device's L2 cache; ``None`` on a CPU.
        status: ``"ok"``; ``"wrong"`` if the result differs from the reference's, so that it gets no time;
            ``"unavailable"`` if the path failed, or this machine lacks what it needs. ``reason`` says more.
        samples_ms: raw milliseconds of each call, in the order of the rounds.
        latency_ms: median of the samples.
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
    status: Literal["ok", "wrong", "unavailable"]
    reason: str = ""
    samples_ms: list[Positive] = []
    latency_ms: Interval | None = None
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
        return self.name, self.alpha, self.beta, f"{self.path}{layout}{l2}"

    @property
    def vanilla_key(self) -> tuple[str, str, MemoryLayout, str | None]:
        """The values that a row and the vanilla row that it is compared with have in common."""
        return self.name, self.path, self.layout, self.l2

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
        node: the machine of a sweep on which the family was timed.
    """

    name: Name
    rounds: Count
    stopped_by: str
    vanilla_against_itself: Interval | None
    best: list[Best] = []
    node: str | None = None


class TimingResult(Struct, frozen=True, kw_only=True, tag_field="schema", tag="sfic-bench/measurement/2"):
    """Times of networks and layers under one set of conditions, each beside its vanilla form.

    Attributes:
        conditions: ``None`` in a file of pytest-benchmark, which does not have them.
        peak: the rates that the machine sustained in the same run.
        unwatched: why clocks, throttling and energy are missing; ``""`` if they are not.
    """

    environment: Environment
    conditions: Conditions | None
    peak: Peak | None
    unwatched: str
    families: list[Family]
    rows: list[TimingRow]


def vanilla_rows(rows: Iterable[TimingRow]) -> dict[tuple[str, str, MemoryLayout, str | None], TimingRow]:
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
    return replace(results[0], rows=list(rows.values()), families=families)
