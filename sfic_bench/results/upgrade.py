"""Result files of older schema versions as results of this version.

Each type describes what an older version wrote; its method ``upgraded`` gives what this version writes instead.
"""

from typing import Annotated, Literal, TypeVar

from msgspec import Meta, Struct

from sfic_bench.measure.conditions import Conditions, Device, MemoryLayout, NumberFormat
from sfic_bench.measure.peak import Peak
from sfic_bench.results.accuracy import AccuracyResult, AccuracyRow, Percent
from sfic_bench.results.environment import Environment
from sfic_bench.results.fields import Count, Name, NetworkRow, NotFinite, Positive, Ratio, Size, Value
from sfic_bench.results.scores import Trained
from sfic_bench.results.timing import Best, Cache, Family, Timed, TimingResult, TimingRow, common_layout
from sfic_bench.statistics.interval import Interval

Share = Annotated[float, Meta(ge=-1, le=1)]

T = TypeVar("T", bound=Struct)


def copied(old: Struct, new: type[T], **changes: object) -> T:
    """A ``new`` with the values of the fields that ``old`` has too, and with ``changes``."""
    same = {name: getattr(old, name) for name in new.__struct_fields__ if hasattr(old, name)}
    return new(**(same | changes))


def _layout(channels_last: bool) -> MemoryLayout:
    return MemoryLayout.CHANNELS_LAST if channels_last else MemoryLayout.CONTIGUOUS


class MedianV1(Struct, frozen=True, kw_only=True):
    """A median with its interval, in measurement/1."""

    median: Positive
    ci95: tuple[Positive, Positive]

    def upgraded(self) -> Interval:
        return Interval(estimate=self.median, low=self.ci95[0], high=self.ci95[1])


class SamplesV1(MedianV1, frozen=True, kw_only=True):
    """Times of one row and the device's state meanwhile, in measurement/1."""

    samples: Annotated[list[Positive], Meta(min_length=1)]
    sm_clock_mhz: list[int | None] = []
    throttled: list[list[str]] = []


class TimingRowV1(Timed, frozen=True, kw_only=True):
    """A timed row with its conditions, in measurement/1."""

    path: Name
    l2: Cache | None
    device: Device
    dtype: NumberFormat
    batch_size: Size
    input_size: Size
    channels_last: bool
    training: bool
    status: Literal["ok", "wrong", "unavailable"]
    reason: str
    latency_ms: SamplesV1 | None
    ratio_to_vanilla: MedianV1 | None
    floor_ms: Positive | None = None
    setup_s: float = 0.0
    energy_per_image_j: Positive | None = None
    peak_bytes: dict[Name, Count] = {}
    macs: Count | None
    max_abs_error: float | NotFinite | None = None
    gradient_error: float | NotFinite | None = None
    fewer_macs_but_slower: bool = False

    def __post_init__(self) -> None:
        if (self.status == "ok") != (self.latency_ms is not None):
            raise ValueError("status and latency_ms contradict each other")

    def upgraded(self) -> TimingRow:
        times = self.latency_ms
        return copied(
            self,
            TimingRow,
            layout=_layout(self.channels_last),
            batch_size=None,  # all rows of a file had the same, which the conditions have now
            latency_ms=None if times is None else times.upgraded(),
            ratio_to_vanilla=None if self.ratio_to_vanilla is None else self.ratio_to_vanilla.upgraded(),
            samples_ms=[] if times is None else times.samples,
            sm_clock_mhz=[] if times is None else times.sm_clock_mhz,
            throttled=[] if times is None else times.throttled,
        )


class BestV1(Timed, frozen=True, kw_only=True):
    """A network's fastest row against vanilla's, in measurement/1."""

    path: Name
    channels_last: bool = False
    vanilla_path: Name
    vanilla_channels_last: bool = False
    ratio_to_vanilla: MedianV1

    def upgraded(self, rows: list[TimingRow]) -> Best:
        layout, vanilla_layout = _layout(self.channels_last), _layout(self.vanilla_channels_last)

        def macs(alpha: Ratio, beta: Ratio, path: str, layout: MemoryLayout) -> int | None:
            where = (self.name, alpha, beta, path, layout)
            return next((r.macs for r in rows if (r.name, r.alpha, r.beta, r.path, r.layout) == where), None)

        own = macs(self.alpha, self.beta, self.path, layout)
        vanilla = macs(None, None, self.vanilla_path, vanilla_layout)
        return copied(
            self,
            Best,
            layout=layout,
            vanilla_layout=vanilla_layout,
            ratio_to_vanilla=self.ratio_to_vanilla.upgraded(),
            macs_to_vanilla=own / vanilla if own and vanilla else None,
        )


class FamilyV1(Struct, frozen=True, kw_only=True):
    """What was timed together, in measurement/1."""

    name: Name
    rounds: Count
    stopped_by: str
    vanilla_against_itself: MedianV1 | None
    best: list[BestV1] = []
    node: str | None = None

    def upgraded(self, rows: list[TimingRow]) -> Family:
        noise = None if self.vanilla_against_itself is None else self.vanilla_against_itself.upgraded()
        return copied(self, Family, vanilla_against_itself=noise, best=[best.upgraded(rows) for best in self.best])


class TimingResultV1(Struct, frozen=True, kw_only=True):
    """measurement/1: every row repeats its conditions."""

    environment: Environment
    peak: Peak | None = None
    families: list[FamilyV1]
    rows: list[TimingRowV1]

    def upgraded(self) -> TimingResult:
        """The same as measurement/2.

        Raises:
            ValueError: if its rows were not all timed under the same conditions, or a condition is unknown.
        """
        settings = {(r.device, r.dtype, r.batch_size, r.input_size, r.training) for r in self.rows}
        if len(settings) > 1:
            raise ValueError(f"its rows are of {len(settings)} different conditions; expected one file for each")
        rows = [row.upgraded() for row in self.rows]
        conditions = copied(self.rows[0], Conditions, layout=common_layout(rows)) if rows else None
        families = [family.upgraded(rows) for family in self.families]
        return copied(self, TimingResult, conditions=conditions, unwatched="", families=families, rows=rows)


class ScoreV1(Struct, frozen=True, kw_only=True):
    """A score or a difference of two, in accuracy/1 and scores/1."""

    value: Share | None
    ci95: tuple[Share, Share] | None

    def upgraded(self) -> Interval | None:
        if self.value is None:
            return None
        low, high = self.ci95 or (None, None)
        return Interval(estimate=self.value, low=low, high=high)


class TrainedV1(Struct, frozen=True, kw_only=True):
    """The scores of a finished run, in scores/1."""

    epochs: Count
    images: Count
    unreadable: list[str]
    scores: dict[str, dict[str, ScoreV1]]

    def upgraded(self) -> Trained:
        scores = {
            level: {name: score.upgraded() for name, score in metrics.items()} for level, metrics in self.scores.items()
        }
        return copied(self, Trained, scores=scores)


class AccuracyRowV1(NetworkRow, frozen=True, kw_only=True):
    """One network in one experiment, in accuracy/1."""

    train_on: Name
    test_on: Name
    seeds: Size
    frame_auc: ScoreV1
    frame_bacc: ScoreV1
    video_auc: ScoreV1
    video_bacc: ScoreV1
    auc_over_vanilla: ScoreV1 | None = None
    bacc_over_vanilla: ScoreV1 | None = None
    auc_printed: Percent | None = None
    bacc_printed: Percent | None = None

    def upgraded(self) -> AccuracyRow:
        scores = {name: getattr(self, name) for name in self.__struct_fields__}
        upgraded = {name: score.upgraded() for name, score in scores.items() if isinstance(score, ScoreV1)}
        return copied(self, AccuracyRow, **upgraded)


class AccuracyResultV1(Struct, frozen=True, kw_only=True):
    """accuracy/1: a score has a value and a pair of bounds."""

    environment: Environment
    protocol: str = ""
    recipe: dict[str, Value] = {}
    seeds: list[int] = []
    rows: list[AccuracyRowV1]

    def upgraded(self) -> AccuracyResult:
        return copied(self, AccuracyResult, rows=[row.upgraded() for row in self.rows])


RECIPE_BEFORE: dict[str, Value] = {
    "initialisation": "torch", "interpolation": "nearest", "mcs": "learned", "init": "random", "freeze": 0,
    "accumulate": 1, "optimiser": "adam", "schedule": "step", "warmup": 0.0, "weight_decay": 0.0, "clip": 0.0,
    "ema": 0.0, "label_smoothing": 0.0, "keep": "last", "patience": 0, "compile": False, "draft": False,
    "resize": 0.0, "resize_scale": 0.5, "blur": 0.0, "blur_sigma": 2.0, "brightness": 0.0, "brightness_change": 0.2,
    "noise": 0.0, "noise_std": 0.05, "jpeg": 0.0, "jpeg_quality": 40, "cutout": 0.0, "cutout_share": 0.2,
}  # fmt: skip
"""How networks were trained before a recipe had these fields, so that older results can be compared with later ones."""
