"""Times, memory and costs in the formats of other programs, one figure after the other.

Formats: github-action-benchmark's ``customSmallerIsBetter`` (https://github.com/benchmark-action/github-action-benchmark),
the JSON of Google Benchmark (its ``docs/user_guide.md``), and OpenMetrics 1.0 (https://prometheus.io/docs/specs/om/).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from msgspec import json

from sfic_bench.choices import ReportFormat
from sfic_bench.errors import InvalidValue
from sfic_bench.reporting.cells import bounds
from sfic_bench.results.cost import CostRow
from sfic_bench.results.read import ResultFile
from sfic_bench.results.timing import TimingRow
from sfic_bench.statistics.interval import Interval
from sfic_bench.units import format_ratio


@dataclass(frozen=True, kw_only=True, slots=True)
class ExchangedFigure:
    """One figure, of which less is better.

    Attributes:
        metric: what it is, such as ``"latency"``.
        unit: ``"ms"``, ``"bytes"``, ``"MACs"`` or ``"parameters"``.
        labels: what it is of, by name: the network, and for times path, layout and conditions.
        value: a count as an integer.
        interval: the 95% interval of a time.
        samples_ms: milliseconds of a time, in the order of the rounds.
    """

    metric: str
    unit: str
    value: float
    labels: Mapping[str, str]
    interval: Interval | None = None
    samples_ms: Sequence[float] = ()

    @property
    def name(self) -> str:
        """The figure in one line, such as ``resnet26, α 0.5, β 1, fused, batch 4, 256×256: latency``."""
        words = [WORDS.get(name, "{0}").format(text) for name, text in self.labels.items() if text]
        return f"{', '.join(words)}: {self.metric}"


WORDS = {"alpha": "α {0}", "beta": "β {0}", "batch_size": "batch {0}", "input_size": "{0}×{0}", "l2": "L2 {0}"}
"""What the name of a figure says of a label; of any other one its text."""


def exchanged(files: Sequence[ResultFile], format: ReportFormat) -> str:
    """The figures of ``files`` in another program's format, which is none of a page.

    Raises:
        InvalidValue: if a file has neither times nor costs, or only costs and the format takes times.
    """
    for file in files:
        if file.timing is None and file.cost is None:
            raise InvalidValue(f"{file.path}: {format} takes times and costs, not {file.kind}")
    names = [{"file": file.path.name} if len(files) > 1 else {} for file in files]
    return _WRITERS[format](files, [f for file, name in zip(files, names, strict=True) for f in _figures(file, name)])


def _figures(file: ResultFile, name: Mapping[str, str]) -> Iterator[ExchangedFigure]:
    if file.cost is not None:
        for cost in file.cost.rows:
            yield from _of_cost(cost, name)
    if file.timing is not None:
        conditions = file.timing.conditions
        given = {} if conditions is None else {
            "device": conditions.device.value, "dtype": conditions.dtype.value,
            "mode": "training" if conditions.training else "inference",
            "batch_size": str(conditions.batch_size), "input_size": str(conditions.input_size),
        }  # fmt: skip
        for row in file.timing.rows:
            yield from _of_time(row, {**given, **name})


def _of_cost(row: CostRow, given: Mapping[str, str]) -> Iterator[ExchangedFigure]:
    labels = _network(row.backbone, row.alpha, row.beta) | {"input_size": str(row.input_size), **given}
    yield ExchangedFigure(metric="params", unit="parameters", value=row.params, labels=labels)
    for convention, macs in row.macs.items():
        yield ExchangedFigure(metric="macs", unit="MACs", value=macs, labels=labels | {"convention": convention})


def _of_time(row: TimingRow, given: Mapping[str, str]) -> Iterator[ExchangedFigure]:
    labels = _network(row.name, row.alpha, row.beta) | {"path": row.path, "layout": row.layout.words, **given}
    if row.batch_size is not None:
        labels["batch_size"] = str(row.batch_size)
    if row.l2 is not None:
        labels["l2"] = str(row.l2)
    if row.latency_ms is not None:
        yield ExchangedFigure(
            metric="latency", unit="ms", value=row.latency_ms.estimate, labels=labels, interval=row.latency_ms,
            samples_ms=row.samples_ms,
        )  # fmt: skip
    for definition, held in row.peak_bytes.items():
        yield ExchangedFigure(metric="memory", unit="bytes", value=held, labels=labels | {"definition": definition})


def _network(name: str, alpha: float | None, beta: float | None) -> dict[str, str]:
    return {"network": name, "alpha": format_ratio(alpha), "beta": format_ratio(beta)}


def _github_action(_: Sequence[ResultFile], figures: Sequence[ExchangedFigure]) -> str:
    entries = []
    for figure in figures:
        entry: dict[str, object] = {"name": figure.name, "unit": figure.unit, "value": figure.value}
        if range_ := bounds(figure.interval, ".4g"):
            entry |= {"range": range_, "extra": f"median of {len(figure.samples_ms)} samples; range: 95% interval"}
        entries.append(entry)
    return _pretty(entries)


def _google_benchmark(files: Sequence[ResultFile], figures: Sequence[ExchangedFigure]) -> str:
    """Each sample is a repetition, so that Google Benchmark's ``compare.py`` can test; CPU time is not measured."""
    times = [figure for figure in figures if figure.samples_ms]
    if not times:
        raise InvalidValue(f"{ReportFormat.GOOGLE_BENCHMARK} takes times, and there are none in these files")
    environment = files[0].environment
    benchmarks = []
    for family, figure in enumerate(times):
        samples = figure.samples_ms
        common = {"name": figure.name, "run_name": figure.name, "family_index": family, "repetitions": len(samples)}
        for i, sample in enumerate(samples):
            benchmarks.append(common | {"run_type": "iteration", "repetition_index": i, **_time(sample)})
        median = {"run_type": "aggregate", "aggregate_name": "median", **_time(figure.value)}
        benchmarks.append(common | {"name": f"{figure.name}_median", **median})
    context = {
        "host_name": environment.processor or "", "executable": "sfic-bench", "num_cpus": environment.cpu_count,
        "library_version": environment.packages.get("torch", ""),
    }  # fmt: skip
    return _pretty({"context": context, "benchmarks": benchmarks})


def _time(milliseconds: float) -> dict[str, object]:
    return {
        "threads": 1, "iterations": 1, "real_time": milliseconds, "cpu_time": milliseconds, "time_unit": "ms",
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Family:
    """A metric of OpenMetrics: its name without the unit, the unit, what a figure is divided by, and a description."""

    name: str
    unit: str
    over: float
    help: str


_FAMILIES = {
    "latency": _Family("sfic_bench_latency", "seconds", 1000, "Median time of one call."),
    "memory": _Family("sfic_bench_memory", "bytes", 1, "Peak memory of one call, by definition."),
    "macs": _Family("sfic_bench_macs", "", 1, "Multiply-accumulate operations for one image, by convention."),
    "params": _Family("sfic_bench_parameters", "", 1, "Parameters."),
}


def _openmetrics(_: Sequence[ResultFile], figures: Sequence[ExchangedFigure]) -> str:
    lines = []
    order = list(_FAMILIES)
    for metric, group in groupby(sorted(figures, key=lambda f: order.index(f.metric)), key=lambda f: f.metric):
        family = _FAMILIES[metric]
        name = "_".join(filter(None, (family.name, family.unit)))
        unit = [f"# UNIT {name} {family.unit}"] if family.unit else []
        lines += [f"# TYPE {name} gauge", *unit, f"# HELP {name} {family.help}"]
        for figure in group:
            labels = ",".join(f'{key}="{_escaped(text)}"' for key, text in figure.labels.items() if text)
            value = figure.value if family.over == 1 else figure.value / family.over
            lines.append(f"{name}{{{labels}}} {value!r}")
    return "\n".join([*lines, "# EOF"]) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _pretty(value: object) -> str:
    return json.format(json.encode(value), indent=1).decode() + "\n"


_WRITERS: Mapping[ReportFormat, Callable[[Sequence[ResultFile], Sequence[ExchangedFigure]], str]] = {
    ReportFormat.GITHUB_ACTION: _github_action,
    ReportFormat.GOOGLE_BENCHMARK: _google_benchmark,
    ReportFormat.OPENMETRICS: _openmetrics,
}
