"""What a report shows, section by section; how it looks is the renderer's."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from sfic_bench.report import comparison, overview
from sfic_bench.report.records import Records
from sfic_bench.report.table import Column, Table
from sfic_bench.report.verdicts import Comparison
from sfic_bench.units import format_count, format_ratio

if TYPE_CHECKING:
    from sfic_bench.report.page.charts import Spec

MOST_LAYERED = 40
"""Networks whose layers one report shows."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the report.

    Attributes:
        name: a short name without spaces, for links and file names.
        lead: what to take from it, in a sentence or two.
        charts: makers of charts by caption; not called where there is nothing to draw them with.
        first: it says what a reader must know, so that it is never folded.
    """

    name: str
    title: str
    lead: str
    tables: Sequence[Table] = ()
    charts: Mapping[str, Callable[[], "Spec"]] = field(default_factory=dict)
    first: bool = False


def sections(files: Sequence[Records], compared: Comparison | None = None) -> list[Section]:
    """Everything that ``files`` have to show, the verdict first."""
    costs, times = overview.costs(files), overview.times(files)
    found: list[Section] = [_verdict(costs, times, files, compared)]
    if compared is not None:
        found.append(_compared(compared))
    if len(times):
        found += [_slower(times), *_times(times, overview.distributions(files))]
    if len(costs):
        found += [_costs(costs), *_published(files), *_paper(files), *_layers(files)]
    return [*found, _environment(files)]


def _verdict(
    costs: pd.DataFrame, times: pd.DataFrame, files: Sequence[Records], compared: Comparison | None
) -> Section:
    """One line a check, with its outcome."""
    rows = []
    if compared is not None:
        rows.append([compared.overall, "against the base", comparison.headline(compared)])
    if len(costs):
        sfic = costs[costs["alpha"].notna()]
        wrong = int((sfic["unexplained"].fillna(0) != 0).sum())
        said = f"{len(sfic) - wrong} of {len(sfic)} SFIC networks have vanilla's parameters, term by term"
        rows.append(["differs" if wrong else "ok", "parameters", said])
    cells = overview.paper_cells(files)
    if cells:
        counts = {v: sum(c.verdict == v for c in cells) for v in ("match", "explained", "differs")}
        said = ", ".join(f"{n} {v}" for v, n in counts.items())
        rows.append(["differs" if counts["differs"] else "ok", "the paper's printed costs", said])
    if len(times):
        sfic = times[times["alpha"].notna() & times["ratio"].notna()]
        slower = int(sfic["slower"].sum())
        rows.append(
            ["look" if slower else "ok", "fewer MACs but slower", f"{slower} of {len(sfic)} timed SFIC rows"]
        )
        wrong = int((times["status"] == "wrong").sum())
        said = f"{wrong} of {len(times)} paths differ from the float64 reference, and have no time"
        rows.append(["differs" if wrong else "ok", "correct before timed", said])
    table = Table(title="Checks", columns=[Column(name=n) for n in ("outcome", "of", "finding")], rows=rows)
    return Section(
        name="verdict",
        title="Verdict",
        lead="What this report found, in a line each. Everything below says from which figures.",
        tables=[table] if rows else [],
        first=True,
    )


def _compared(compared: Comparison) -> Section:
    return Section(
        name="changes",
        title="What changed",
        lead=f"{compared.head.path.name} against {compared.base.path.name}: counts as integers, times by a rank test.",
        tables=comparison.tables(compared),
        first=True,
    )


def _slower(times: pd.DataFrame) -> Section:
    slower = times[times["slower"]]
    timed = times["alpha"].notna() & times["ratio"].notna()
    lead = f"None of {timed.sum()} timed SFIC rows has fewer MACs than vanilla and takes longer for sure."
    if len(slower):
        lead = (
            f"{len(slower)} of {timed.sum()} timed SFIC rows have fewer MACs than vanilla on the same path, and the whole "
            "interval of their time lies above vanilla's: MACs alone would have promised the opposite."
        )
    return Section(
        name="slower", title="Fewer MACs but slower", lead=lead,
        tables=[_time_table("Rows", slower)] if len(slower) else [],
    )  # fmt: skip


def _times(times: pd.DataFrame, samples: pd.DataFrame) -> Iterator[Section]:
    from sfic_bench.report.page.charts import heat_maps, pareto, strips, with_intervals

    for i, (where, rows) in enumerate(times.groupby("setting", sort=False), 1):
        drawn = with_intervals(rows[rows["ms"].notna()])
        of_here = samples[samples["setting"] == where]
        ratios = drawn[drawn["alpha"].notna()].assign(facet=drawn["backbone"] + ", " + drawn["path"])
        charts: dict[str, Callable[[], Spec]] = {}
        if drawn["gmacs"].notna().any():
            charts["Time against MACs; no point beats those on the dashed front in both"] = _later(
                pareto, drawn, "gmacs", "ms"
            )
        if drawn["peak_mb"].notna().any():
            charts["Peak memory against time"] = _later(pareto, drawn, "ms", "peak_mb")
        if ratios["ratio"].notna().any():
            charts["Time over vanilla's on the same path, by α and β"] = _later(
                heat_maps, ratios, "ratio", "facet"
            )
        if len(of_here):
            charts["Every sample; a diamond marks the median"] = _later(strips, of_here)
        yield Section(
            name=f"times-{i}",
            title=f"Time and memory: {where}",
            lead="÷ vanilla is the median of ratios paired by round, on the same path; intervals are 95% bootstraps.",
            tables=[_time_table("Every timed path", rows)],
            charts=charts,
        )


def _later(make: Callable[..., "Spec"], *arguments: Any) -> Callable[[], "Spec"]:
    return lambda: make(*arguments)


def _time_table(title: str, rows: pd.DataFrame) -> Table:
    names = (
        "name",
        "α",
        "β",
        "path",
        "ms",
        "95%",
        "÷ vanilla",
        "95%",
        "GMac",
        "MACs ÷",
        "÷ floor",
        "peak MB",
        "samples",
    )
    columns = [Column(name=n, number=n not in ("name", "path")) for n in names]
    cells = [
        [
            r.backbone, format_ratio(_known(r.alpha)), format_ratio(_known(r.beta)), r.path,
            r.status if _known(r.ms) is None else _text(r.ms, ".2f"), _interval(r.ms_low, r.ms_high, ".2f"),
            _text(r.ratio, ".3f"), _interval(r.ratio_low, r.ratio_high, ".3f"),
            _text(r.gmacs, ".2f"), _text(r.macs_ratio, ".3f"), _text(r.over_floor, ".2f"), _text(r.peak_mb, ".1f"),
            _text(r.samples, ".0f"), r.remark,
        ]
        for r in rows.itertuples(index=False)
    ]  # fmt: skip
    notes = ["GMac: conv-linear, of the whole batch; ÷ floor: over the roofline measured in the same run"]
    return Table(title=title, columns=[*columns, Column(name="remark")], rows=cells, notes=notes, folded=True)


def _costs(costs: pd.DataFrame) -> Section:
    from sfic_bench.report.page.charts import heat_maps

    names = (
        "over vanilla",
        "paper GMac",
        "÷ ",
        "conv-linear GMac",
        "÷  ",
        "fused GMac",
        "÷   ",
        "activations M",
        "moved MB",
    )
    columns = [
        Column(name="backbone"),
        *(Column(name=n, number=True) for n in ("α", "β")),
        *(Column(name=n) for n in ("file", "input")),
    ]
    columns += [Column(name=n.strip(), number=True) for n in ("params", *names)]
    cells = [
        [
            r.backbone, format_ratio(_known(r.alpha)), format_ratio(_known(r.beta)), r.file, r.input, f"{r.params:,}",
            "" if _known(r.over_vanilla) is None else f"{int(r.over_vanilla):+,}",
            _text(r.paper, ".2f"), _text(r.paper_ratio, ".3f"),
            _text(r.conv_linear, ".2f"), _text(r.conv_linear_ratio, ".3f"),
            _text(r.fused, ".2f"), _text(r.fused_ratio, ".3f"),
            format_count(r.activations, "M"), format_count(r.bytes_moved, "M", 1),
        ]
        for r in costs.itertuples(index=False)
    ]  # fmt: skip
    charts: dict[str, Callable[[], Spec]] = {}
    for name, caption in (
        ("paper_ratio", "MACs over vanilla's in the paper's convention, by α and β"),
        ("fused_ratio", "MACs over vanilla's (conv-linear) after fusing, by α and β"),
    ):
        ratios = costs[costs["alpha"].notna() & costs[name].notna()].assign(
            ratio=costs[name], gmacs=costs["paper"]
        )
        ratios = ratios[["row", "alpha", "beta", "ratio", "gmacs", "params", "backbone"]].drop_duplicates(
            ["row", "ratio"]  # counted in two files
        )
        if len(ratios):
            charts[caption] = _later(heat_maps, ratios, "ratio", "backbone")
    notes = [
        "one image; one multiply-add is one MAC; ÷: over vanilla",
        "paper: modules only, as ptflops up to 0.7.0; conv-linear: every convolution, linear and matrix product; fused: "
        "conv-linear MACs of the same function, computing only what its resizes keep",
    ]
    table = Table(title="Every counted network", columns=columns, rows=cells, notes=notes, folded=True)
    lead = "Integers, the same on every machine; no interval applies."
    return Section(name="costs", title="Parameters and MACs", lead=lead, tables=[table], charts=charts)


def _published(files: Sequence[Records]) -> Iterator[Section]:
    from sfic_bench.report.page.charts import pareto

    frame = overview.published(files)
    if not len(frame):
        return

    def chart() -> "Spec":
        return pareto(frame, "gmacs", "auc", highest=True, choose="task")

    yield Section(
        name="accuracy",
        title="Accuracy against MACs",
        lead="AUC as the paper prints it, in percent and without intervals, since it gives none; it was not measured here. "
        "MACs are counted here, in the paper's convention.",
        charts={"AUC against MACs; no point beats those on the dashed front in both": chart},
    )


def _paper(files: Sequence[Records]) -> Iterator[Section]:
    cells = overview.paper_cells(files)
    if not cells:
        return
    names = ("table", "model", "α", "β", "figure", "printed", "counted", "verdict", "note")
    rows = [
        [
            c.cell.table, c.cell.model, format_ratio(c.cell.alpha), format_ratio(c.cell.beta), c.cell.quantity,
            c.cell.printed.text, "" if c.measured is None else f"{c.measured:,}", c.verdict, c.note,
        ]
        for c in cells
    ]  # fmt: skip
    columns = [Column(name=n, number=n in ("α", "β", "printed", "counted")) for n in names]
    matches = sum(c.verdict == "match" for c in cells)
    yield Section(
        name="paper",
        title="Printed against counted",
        lead=f"{matches} of {len(cells)} printed figures match to the printed digit; of the others, the note says why.",
        tables=[Table(title="Printed and counted", columns=columns, rows=rows, folded=True)],
    )


def _layers(files: Sequence[Records]) -> Iterator[Section]:
    from sfic_bench.report.page.charts import layer_bars

    frame, left_out = overview.layers(files, MOST_LAYERED)
    if not len(frame):
        return
    columns = [Column(name=n) for n in ("network", "layer", "operation", "input", "output")]
    columns += [Column(name=n, number=True) for n in ("parameters", "MMac")]
    cells = [
        [r.row, r.layer, r.kind, r.input, r.output, f"{r.params:,}" if r.params else "",
         "no rule" if _known(r.mmacs) is None else f"{r.mmacs:,.3f}"]
        for r in frame.itertuples(index=False)
    ]  # fmt: skip
    lead = "Where the MACs are (conv-linear), in the order of the forward pass."
    if left_out:
        lead += f" The first {MOST_LAYERED} networks; {left_out} more are in the file."
    drawn = frame[frame["mmacs"].fillna(0) > 0]
    yield Section(
        name="layers",
        title="Layers",
        lead=lead,
        tables=[Table(title="Every layer", columns=columns, rows=cells, folded=True)],
        charts={"MACs of each layer that has any": lambda: layer_bars(drawn)} if len(drawn) else {},
    )


def _environment(files: Sequence[Records]) -> Section:
    facts, families = [], []
    for file in files:
        found = dict(file.environment)
        packages = found.pop("packages", None)
        facts.append(found | packages if isinstance(packages, dict) else found)
        for family in file.families:
            noise = family.vanilla_against_itself
            families.append(
                [file.path.name, family.name, str(family.rounds), family.stopped_by,
                 "" if noise is None else f"{noise.median:.3f}",
                 "" if noise is None else _interval(*noise.ci95, ".3f")]
            )  # fmt: skip
    names = dict.fromkeys(name for found in facts for name, value in found.items() if value is not None)
    columns = [Column(name=n) for n in ("", *(file.path.name for file in files))]
    rows = [[str(name), *(_fact(found.get(name)) for found in facts)] for name in names]
    tables = [Table(title="Environment", columns=columns, rows=rows, folded=True)]
    if families:
        numbers = ("rounds", "vanilla ÷ itself", "95%")
        heads = ("file", "network", "rounds", "stopped by", *numbers[1:])
        columns = [Column(name=n, number=n in numbers) for n in heads]
        note = "what a run cannot tell apart: vanilla against itself in the same rounds"
        tables.insert(0, Table(title="Noise", columns=columns, rows=families, notes=[note], folded=True))
    return Section(
        name="environment",
        title="Where the figures are from",
        lead="Raw samples are in the files; nothing was removed from them.",
        tables=tables,
    )


def _fact(value: object) -> str:
    if value is None:
        return ""
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _known(value: Any) -> Any:
    return None if value is None or pd.isna(value) else value


def _text(value: Any, digits: str) -> str:
    return "" if _known(value) is None else f"{value:{digits}}"


def _interval(low: Any, high: Any, digits: str) -> str:
    return "" if _known(low) is None else f"{low:{digits}}–{high:{digits}}"
