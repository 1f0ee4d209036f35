"""Networks timed against their vanilla forms: built, fused, checked, and only then timed."""

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from sfic_bench import api
from sfic_bench.counting import count
from sfic_bench.errors import InvalidValue, UnknownName
from sfic_bench.measure import MAKERS, Clock, Ready, Stop, Unavailable, sample
from sfic_bench.measure.memory import held, peak_of
from sfic_bench.report.statistics import Estimate, median_of, paired_ratio
from sfic_bench.spec import EXECUTION_PATHS, Variant

DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}

TOLERANCE = {"fp32": 1e-3, "tf32": 2e-2, "fp16": 2e-2, "bf16": 2e-1}
"""Largest error of a path, over the largest value of the float64 reference, that still counts as right."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Conditions:
    """Under what networks are timed.

    Raises:
        InvalidValue: for a size below 1.
        UnknownName: for a dtype that does not exist.
    """

    device: str = "cpu"
    dtype: str = "fp32"
    batch_size: int = 4
    input_size: int = 256
    channels_last: bool = False
    training: bool = False

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise UnknownName("dtype", self.dtype, DTYPES)
        if self.batch_size < 1:
            raise InvalidValue(f"batch size must be at least 1, got {self.batch_size}")

    @property
    def memory_format(self) -> torch.memory_format:
        return torch.channels_last if self.channels_last else torch.contiguous_format


@dataclass(kw_only=True, slots=True)
class Row:
    """One network on one path.

    Attributes:
        status: ``"ok"``; ``"wrong"`` (its result is not the reference's, so it gets no time);
            ``"unavailable"`` (this machine or memory lacks it). ``reason`` says more.
        samples: milliseconds, raw, in the order of the rounds.
        ratio: of samples to vanilla's on the same path, paired by round; ``None`` for vanilla.
        peak_bytes: see `sfic_bench.measure.memory`.
        macs: MACs of this form for the batch, ``conv-linear``.
        max_abs_error: over the outputs, against the float64 reference.
        setup_s: compile or capture time, apart from the samples.
    """

    variant: Variant
    path: str
    status: Literal["ok", "wrong", "unavailable"] = "ok"
    reason: str = ""
    samples: Sequence[float] = ()
    latency: Estimate | None = None
    ratio: Estimate | None = None
    peak_bytes: Mapping[str, int] = field(default_factory=dict)
    macs: int | None = None
    max_abs_error: float | None = None
    setup_s: float = 0.0
    fewer_macs_but_slower: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """All rows of one backbone, timed together.

    Attributes:
        noise: ratio of vanilla to itself in the same rounds: what this run cannot tell apart.
        stopped_by: what ended sampling, see `sfic_bench.measure.Sampled`.
        rounds: how many samples each row has.
    """

    rows: Sequence[Row]
    noise: Estimate | None
    stopped_by: str
    rounds: int


def measure(
    variants: Iterable[Variant], paths: Sequence[str], conditions: Conditions, clock: Clock, stop: Stop
) -> Iterator[Family]:
    """Time each backbone's variants against its vanilla network, one `Family` a backbone.

    The first variant of each backbone must be the vanilla one, as in a `Grid`.
    """
    families: dict[str, list[Variant]] = {}
    for variant in variants:
        families.setdefault(variant.backbone, []).append(variant)
    for backbone, members in families.items():
        # Names the smallest size that works, before anything is built.
        list(api.costs([Variant(backbone=backbone)], input_size=conditions.input_size))
        family = _measure_family(members, paths, conditions, clock, stop)
        yield family
        if family.stopped_by == "interrupt":
            return


def _measure_family(
    members: Sequence[Variant], paths: Sequence[str], conditions: Conditions, clock: Clock, stop: Stop
) -> Family:
    with _exact_float32(conditions.dtype == "fp32"):
        prepared = [p for variant in members for p in _prepare(variant, paths, conditions)]
        running = {i: ready for i, (_, ready) in enumerate(prepared) if ready is not None}
        rows = [row for row, _ in prepared]
        vanilla = {row.path: i for i, row in enumerate(rows) if row.variant.is_vanilla and i in running}
        contenders = {str(i): ready.run for i, ready in running.items()}
        if not contenders:
            return Family(rows=rows, noise=None, stopped_by="nothing to time", rounds=0)
        again = next(iter(vanilla.values()), next(iter(running)))
        contenders["again"] = running[again].run

        def widest(samples: Mapping[str, Sequence[float]]) -> float:
            return max(
                paired_ratio(times, samples[str(vanilla.get(rows[int(name)].path, again))]).relative_width
                for name, times in samples.items()
                if name != "again"
            )

        sampled = sample(contenders, clock, stop, widest)
    rounds = len(sampled.samples["again"])
    if rounds:
        for i in running:
            _evaluate(rows[i], sampled.samples, i, vanilla.get(rows[i].path))
            if not rows[i].variant.is_vanilla and rows[i].path in vanilla:
                _compare(rows[i], rows[vanilla[rows[i].path]])
    noise = paired_ratio(sampled.samples["again"], sampled.samples[str(again)]) if rounds else None
    return Family(rows=rows, noise=noise, stopped_by=sampled.stopped_by, rounds=rounds)


def _evaluate(row: Row, samples: Mapping[str, Sequence[float]], i: int, baseline: int | None) -> None:
    row.samples = samples[str(i)]
    row.latency = median_of(row.samples)
    if baseline is not None and not row.variant.is_vanilla:
        row.ratio = paired_ratio(row.samples, samples[str(baseline)])


def _compare(row: Row, vanilla: Row) -> None:
    if row.macs is not None and vanilla.macs is not None and row.ratio is not None:
        row.fewer_macs_but_slower = row.macs < vanilla.macs and row.ratio.low > 1


def _prepare(
    variant: Variant, paths: Sequence[str], conditions: Conditions
) -> Iterator[tuple[Row, Ready | None]]:
    """Each path's row, and the network ready to run if the path exists here and is right."""
    torch.manual_seed(0)
    shape = (conditions.batch_size, 3, conditions.input_size, conditions.input_size)
    model = api.build(variant.backbone, alpha=variant.alpha, beta=variant.beta)
    inputs = torch.randn(shape)
    _calibrate(model, torch.randn(max(2, shape[0]), *shape[1:]))
    model.train(conditions.training)
    try:
        with torch.no_grad():
            expected = copy.deepcopy(model).double()(inputs.double())
    except ValueError as error:
        raise InvalidValue(
            f"{variant} cannot take a training step on {'×'.join(map(str, shape))}, use a larger batch "
            f"or input: {error}"
        ) from error
    for path in paths:
        row = Row(variant=variant, path=path)
        try:
            yield row, _make_ready(row, model, inputs, expected, conditions)
        except Unavailable as reason:
            row.status, row.reason = "unavailable", str(reason)
            yield row, None
        except torch.OutOfMemoryError as error:
            row.status, row.reason = "unavailable", f"out of memory: {str(error).splitlines()[0]}"
            yield row, None


def _make_ready(
    row: Row, model: nn.Module, inputs: Tensor, expected: Tensor, conditions: Conditions
) -> Ready | None:
    device, dtype = torch.device(conditions.device), DTYPES[conditions.dtype]
    if device.type == "cuda" and not torch.cuda.is_available():
        raise Unavailable("this machine has no CUDA device")
    if conditions.dtype == "tf32" and device.type != "cuda":
        raise Unavailable("tf32 is a mode of CUDA devices")
    path = EXECUTION_PATHS[row.path]
    form = api.fuse(model, for_training=conditions.training) if path.fused else copy.deepcopy(model)
    row.macs = count(form, tuple(inputs.shape)).macs
    form = form.to(device, dtype).to(memory_format=conditions.memory_format)  # type: ignore[call-overload]
    x = inputs.to(device=device, dtype=dtype, memory_format=conditions.memory_format)
    ready = MAKERS[path.maker](form, x, conditions.training)
    row.setup_s = ready.setup_s
    error = (ready.run().cpu().double() - expected).abs().max()
    row.max_abs_error = float(error)
    limit = TOLERANCE[conditions.dtype] * float(expected.abs().max())
    if not row.max_abs_error <= limit:  # NaN is wrong too
        row.status = "wrong"
        row.reason = f"differs from the float64 reference by {row.max_abs_error:.3g}, more than {limit:.3g}"
        return None
    row.peak_bytes = {"parameters": held(form), **peak_of(ready.run, device)}
    return ready


def _calibrate(model: nn.Module, inputs: Tensor) -> None:
    """Give BatchNorms the statistics of ``inputs`` (two at least), so that signals keep their size through the network.

    With fresh statistics they die out or explode, and no error in them means anything.
    """
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    momenta = [m.momentum for m in norms]
    for m in norms:
        m.momentum = 1.0
    with torch.no_grad():
        model.train()(inputs)
    for m, momentum in zip(norms, momenta, strict=True):
        m.momentum = momentum


@contextmanager
def _exact_float32(exact: bool) -> Iterator[None]:
    """Turn TF32 off for fp32, and on otherwise; torch's defaults differ between its libraries."""
    backends: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [b.allow_tf32 for b in backends]
    for b in backends:
        b.allow_tf32 = not exact
    try:
        yield
    finally:
        for b, allowed in zip(backends, before, strict=True):
            b.allow_tf32 = allowed
