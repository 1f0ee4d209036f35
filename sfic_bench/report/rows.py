"""One row of a result file as a type: what it must have, and which values are possible.

msgspec decodes straight into these, so that whatever reads a row meets no missing key, NaN or negative time.
"""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from sfic_bench.units import format_layout, format_ratio

Key = tuple[str, float | None, float | None, str]
"""What tells a row apart: name, α, β, and what else does."""


# No control characters: what a file says must not move a terminal's cursor.
Name = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+$", max_length=1000)]
Count = Annotated[int, Meta(ge=0, le=2**62)]
Size = Annotated[int, Meta(ge=1, le=2**31)]
Milliseconds = Annotated[float, Meta(gt=0)]
Ratio = Annotated[float, Meta(ge=0, le=1)] | None


class CostLayer(Struct, frozen=True, kw_only=True):
    """One layer of a network, from ``flops --per-layer``; shapes are those of one image's batch."""

    path: str
    kind: str
    calls: Count
    input: list[Count]
    output: list[Count]
    params: Count
    macs: dict[str, Count | None]


class CostRow(Struct, frozen=True, kw_only=True):
    """One network's parameters and MACs, from ``flops``."""

    backbone: Name
    alpha: Ratio
    beta: Ratio
    input_size: Size
    classes: Size
    params: Count
    params_trainable: Count
    params_dead: Count
    params_over_vanilla: dict[str, int] | None = None
    macs: dict[Name, Count]
    macs_fused: Count | None = None
    unsupported: dict[str, dict[str, Count]] = {}
    activations: Count
    bytes_moved: Count
    layers: list[CostLayer] = []

    @property
    def key(self) -> Key:
        return self.backbone, self.alpha, self.beta, f"{self.input_size}², {self.classes} classes"


class Interval(Struct, frozen=True, kw_only=True):
    """A median with its interval."""

    median: Milliseconds
    ci95: tuple[Milliseconds, Milliseconds]


class Latency(Interval, frozen=True, kw_only=True):
    """Times in milliseconds, raw and in the order of the rounds."""

    samples: Annotated[list[Milliseconds], Meta(min_length=1)]
    throttled: list[list[str]] = []


class MeasuredRow(Struct, frozen=True, kw_only=True):
    """One network or layer on one path, from ``latency`` or ``stage2``."""

    backbone: Name | None
    alpha: Ratio
    beta: Ratio
    path: Name
    l2: Literal["flushed", "warm"] | None
    device: Name
    dtype: Name
    batch_size: Size
    input_size: Size
    channels_last: bool
    training: bool
    status: Literal["ok", "wrong", "unavailable"]
    reason: str
    latency_ms: Latency | None
    ratio_to_vanilla: Interval | None
    floor_ms: Milliseconds | None = None
    peak_bytes: dict[Name, Count] = {}
    macs: Count | None
    fewer_macs_but_slower: bool = False
    layer: Name | None = None
    channels: Size | None = None
    kernel_size: Size | None = None

    @property
    def name(self) -> str:
        """The backbone's name, or the layer's with its channels and kernel."""
        if self.backbone is not None:
            return self.backbone
        return f"{self.layer} {self.channels}ch {self.kernel_size}×{self.kernel_size}"

    @property
    def key(self) -> Key:
        layout = f", {format_layout(True)}" if self.channels_last else ""
        l2 = "" if self.l2 is None else f", L2 {self.l2}"
        return self.name, self.alpha, self.beta, f"{self.path}{layout}{l2}"

    @property
    def is_vanilla(self) -> bool:
        return self.alpha is None and self.beta is None


class PytestStats(Struct, frozen=True, kw_only=True):
    """Seconds, raw and in the order of the rounds."""

    data: Annotated[list[Annotated[float, Meta(gt=0)]], Meta(min_length=1)] | UnsetType = UNSET


class PytestRow(Struct, frozen=True, kw_only=True):
    """One benchmark of pytest-benchmark."""

    fullname: Name
    stats: PytestStats

    @property
    def key(self) -> Key:
        return self.fullname, None, None, ""

    @property
    def samples_ms(self) -> list[float]:
        assert self.stats.data is not UNSET  # `_pytest_rows` has looked
        return [1e3 * seconds for seconds in self.stats.data]


class Scored(Struct, frozen=True, kw_only=True):
    """A score or a difference of two, as a share, with its interval; ``None`` where it cannot be had."""

    value: Annotated[float, Meta(ge=-1, le=1)] | None
    ci95: tuple[Annotated[float, Meta(ge=-1, le=1)], Annotated[float, Meta(ge=-1, le=1)]] | None


class AccuracyRow(Struct, frozen=True, kw_only=True):
    """One network in one experiment, from ``accuracy``: means over seeds."""

    train_on: Name
    test_on: Name
    backbone: Name
    alpha: Ratio
    beta: Ratio
    seeds: Size
    frame_auc: Scored
    frame_bacc: Scored
    video_auc: Scored
    video_bacc: Scored
    auc_over_vanilla: Scored | None = None
    auc_printed: Annotated[float, Meta(ge=0, le=100)] | None = None

    @property
    def key(self) -> Key:
        return self.backbone, self.alpha, self.beta, f"{self.train_on} → {self.test_on}"


Row = CostRow | MeasuredRow | PytestRow | AccuracyRow


class Family(Struct, frozen=True, kw_only=True):
    """What was timed together."""

    name: Name
    rounds: Count
    stopped_by: str
    vanilla_against_itself: Interval | None


def label(key: Key) -> str:
    """``resnet50 α=0.5 β=1 fused``: a row's key in one line."""
    name, alpha, beta, where = key
    ratios = (f"{sign}={format_ratio(r)}" for sign, r in (("α", alpha), ("β", beta)) if r is not None)
    return " ".join(part for part in (name, *ratios, where) if part)
