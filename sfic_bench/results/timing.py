"""Times, memory and energy of networks and layers, as ``latency`` and ``stage2`` find them."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

from sfic_bench.measure.conditions import Conditions, MemoryLayout
from sfic_bench.measure.peak import Peak
from sfic_bench.results.environment import Environment
from sfic_bench.results.fields import Count, Key, Name, NotFinite, Positive, Ratio, Size, label
from sfic_bench.statistics.intervals import Interval

Cache = Literal["flushed", "warm"]
"""Whether a CUDA device's L2 cache was overwritten before each call."""


class Timed(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One network, or one layer (``backbone`` is then ``None``); vanilla if it has neither α nor β.

    Attributes:
        layer: what the layer is; ``"stage2"`` is a Stage 2 or the vanilla convolution that it replaces.
        channels: into the layer and out of it.
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
        """The network or layer in one line: ``resnet50 α=0.5 β=1``."""
        return label((self.name, self.alpha, self.beta, ""))


class TimingRow(Timed, frozen=True, kw_only=True, omit_defaults=True):
    """One network or layer on one execution path, in one layout.

    Attributes:
        l2: of a CUDA device's cache; ``None`` on a CPU.
        status: ``"ok"``; ``"wrong"`` if its result is not the reference's, so that it gets no time; ``"unavailable"`` if this
            machine or its memory lacks what the path needs, or it failed. ``reason`` says more.
        samples_ms: milliseconds of each call, raw, in the order of the rounds.
        latency_ms: their median.
        ratio_to_vanilla: of the samples to vanilla's on the same path, in the same layout, paired by round.
        macs: of one forward pass for the whole batch, in the convention conv-linear.
        floor_ms: the least time that this machine can take for them, see `sfic_bench.measure.roofline`. A training step
            counts as three forward passes.
        fewer_macs_but_slower: it has fewer MACs than vanilla, and the whole interval of the ratio lies above 1.
        peak_bytes: by definition, see `sfic_bench.measure.memory.DEFINITIONS`.
        energy_per_image_j: joules of one image, where the device counts them.
        setup_s: what compiling or capturing took, apart from the samples.
        max_abs_error: over the outputs, against the float64 reference.
        gradient_error: of all gradients together, norm over norm; 0 in inference.
        sm_clock_mhz: of a CUDA device during each sample.
        throttled: why a CUDA device was throttled during each sample, if it was.
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
        """What a row shares with the vanilla row that it is compared with."""
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
        ratio_to_vanilla: of its samples to those of vanilla's fastest row, paired by round.
        macs_to_vanilla: MACs of the one over MACs of the other.
    """

    path: str
    layout: MemoryLayout
    vanilla_path: str
    vanilla_layout: MemoryLayout
    ratio_to_vanilla: Interval
    macs_to_vanilla: float | None = None


class Family(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was timed together: all rows of one backbone or layer, in the same rounds.

    Attributes:
        rounds: how many samples each of its rows has.
        stopped_by: what ended sampling, see `sfic_bench.measure.sampler.Stop`.
        vanilla_against_itself: ratio of vanilla's samples to more of vanilla's: what the run cannot tell apart.
        best: one for each SFIC form that was timed.
        node: the machine of a sweep that timed it.
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
        conditions: ``None`` where they are not known, as of pytest-benchmark's files.
        peak: what the machine was seen to sustain in the same run.
        unwatched: why there are no clocks, throttling and energy; ``""`` if there are.
    """

    environment: Environment
    conditions: Conditions | None
    peak: Peak | None
    unwatched: str
    families: list[Family]
    rows: list[TimingRow]


def vanilla_rows(rows: Iterable[TimingRow]) -> dict[tuple[str, str, MemoryLayout, str | None], TimingRow]:
    """The vanilla rows, by `TimingRow.vanilla_key`: what every other row is compared with."""
    return {row.vanilla_key: row for row in rows if row.is_vanilla}


def merged(results: Sequence[TimingResult]) -> TimingResult:
    """Results of one machine under the same conditions as one; a row that several have is the first one's."""
    first = results[0]
    rows: dict[Key, TimingRow] = {}
    for result in results:
        for row in result.rows:
            rows.setdefault(row.key, row)
    return replace(
        first,
        rows=list(rows.values()),
        families=[family for result in results for family in result.families],
    )
