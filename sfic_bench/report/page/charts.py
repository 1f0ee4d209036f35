"""Charts as Vega-Lite specifications, made with Altair, which is imported only when a chart is drawn.

Every mark has a tooltip that names its row and gives the interval. The colour-blind can tell the colours apart
(Okabe & Ito 2008).
"""

from typing import TYPE_CHECKING

import pandas as pd

from sfic_bench.report.overview import front
from sfic_bench.report.page.section import Spec

if TYPE_CHECKING:
    import altair as alt

    AnyChart = alt.Chart | alt.LayerChart | alt.FacetChart

LIGHT = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b58500", "#56b4e9", "#8c6bb1", "#777777")
DARK = ("#56b4e9", "#f08a4b", "#2fc39a", "#e39cc4", "#e6c34a", "#a3d3f5", "#b79ad6", "#aaaaaa")
"""Colours of categories on a light and on a dark page, in the same order."""

WIDTH, HEIGHT = 560, 340
"""A chart's size in pixels. On the page a chart is as wide as its container; in an image it has this width."""

TITLES = {
    "row": "row",
    "ms": "ms",
    "interval": "95% interval, ms",
    "ratio": "time vs. vanilla",
    "ratio_interval": "95% interval, time vs. vanilla",
    "gmacs": "GMac",
    "macs_ratio": "MACs vs. vanilla",
    "peak_mb": "peak MB",
    "auc": "AUC %",
    "auc_interval": "95% interval, AUC",
    "severity": "severity",
    "clean": "AUC % of clean images",
    "images": "images",
    "over": "AUC % − vanilla's",
    "over_interval": "95% interval, AUC − vanilla's",
    "task": "trained on → tested on",
    "layer": "layer",
    "kind": "operation",
    "input": "input",
    "output": "output",
    "params": "parameters",
    "mmacs": "MMac",
    "remark": "remark",
    "range": "probability of fake",
    "mean": "mean probability of fake",
    "fakes": "share of fakes",
}
"""The title of each column of a data frame that a tooltip or an axis shows."""


def pareto(frame: pd.DataFrame, x: str, y: str, *, highest: bool = False, choose: str | None = None) -> Spec:
    """A point for each row of ``frame``, and a line through the Pareto front, which no other point beats.

    Less is better in the columns ``x`` and ``y``, except that more of ``y`` is better if ``highest``. Bars are the
    intervals in the columns ``{y}_low`` and ``{y}_high``, if ``frame`` has them. The reader picks a value of the column
    ``choose`` from a menu; each value has its own front.
    """
    import altair as alt

    frame = frame.dropna(subset=[x, y]).reset_index(drop=True)
    groups = [frame] if choose is None else [group for _, group in frame.groupby(choose, sort=False)]
    on_front = pd.concat([front(group, x, y, highest=highest) for group in groups])
    frame = frame.assign(front=on_front.reindex(frame.index))
    logarithmic = alt.Scale(type="log", nice=False, padding=20)
    y_scale = alt.Scale(zero=False, padding=15) if highest else logarithmic
    base = alt.Chart(frame)
    points = base.mark_point(filled=True, size=75, opacity=0.9).encode(
        x=alt.X(f"{x}:Q", title=TITLES[x], scale=logarithmic),
        y=alt.Y(f"{y}:Q", title=TITLES[y], scale=y_scale),
        color=_colour("backbone"),
        tooltip=_tooltip(frame),
    )
    if "path" in frame:
        points = points.encode(shape=alt.Shape("path:N", legend=alt.Legend(symbolFillColor="gray")))
    line = (
        base.transform_filter("datum.front")
        .mark_line(interpolate="step-after", strokeDash=[4, 3], color="gray", tooltip=None)
        .encode(x=f"{x}:Q", y=f"{y}:Q", order=alt.Order(f"{x}:Q"))
    )
    layers = [line, points]
    if f"{y}_low" in frame and frame[f"{y}_low"].notna().any():
        low = alt.Y(f"{y}_low:Q", title=TITLES[y])
        bars = base.mark_rule(opacity=0.5, tooltip=None)
        layers.insert(1, bars.encode(x=f"{x}:Q", y=low, y2=f"{y}_high:Q", color=_colour("backbone")))
    chart = alt.layer(*layers).properties(width="container", height=HEIGHT)
    return _spec(chart if choose is None else _with_menu(chart, frame, choose))


def heat_maps(frame: pd.DataFrame, value: str, facet: str) -> Spec:
    """One map of ``value``, a ratio to vanilla, over α and β for each value of ``facet``."""
    import altair as alt

    frame = frame.dropna(subset=["alpha", "beta", value])
    largest = max(1.02, float(frame[value].max()), 2 - float(frame[value].min()))
    grid = alt.Chart(frame).encode(
        x=alt.X("alpha:O", title="α", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("beta:O", title="β", sort="descending"),
    )
    # Blue is less than vanilla, orange is more, white is the same.
    scale = alt.Scale(domain=[2 - largest, 1, largest], range=["#0072b2", "#f7f7f7", "#d55e00"])
    cells = grid.mark_rect().encode(
        color=alt.Color(f"{value}:Q", title="vs. vanilla", scale=scale, legend=alt.Legend(gradientLength=180)),
        tooltip=_tooltip(frame),
    )
    saturated = f"abs(datum['{value}'] - 1) > {0.6 * (largest - 1):.3f}"
    numbers = grid.mark_text(fontSize=11, tooltip=None).encode(
        text=alt.Text(f"{value}:Q", format=".2f"),
        color=alt.condition(saturated, alt.value("white"), alt.value("black")),
    )
    chart = alt.layer(cells, numbers).properties(width=alt.Step(44), height=alt.Step(28))
    return _spec(chart.facet(facet=alt.Facet(f"{facet}:N", title=None, sort=None), columns=3))


def curves(frame: pd.DataFrame, unit: str, least: float, most: float) -> Spec:
    """A line for each row through its AUC by severity, with a band for the intervals and a dashed line at clean images.

    The horizontal axis runs the way in which ``frame`` has its severities, and the other from ``least`` to ``most``.
    """
    import altair as alt

    severities = list(dict.fromkeys(frame["severity"]))
    scale = alt.Scale(zero=False, nice=False, padding=12, reverse=severities[0] > severities[-1])
    colour = _colour("row").title(None).legend(symbolOpacity=1)
    base = alt.Chart(frame)
    x = alt.X("severity:Q", title=unit, scale=scale, axis=alt.Axis(values=severities, format=".4~g"))
    y_scale = alt.Scale(domain=[least, most], zero=False, padding=12)
    y = alt.Y("auc:Q", title=TITLES["auc"], scale=y_scale)
    bands = base.mark_area(opacity=0.16, tooltip=None).encode(
        x=x, y=alt.Y("auc_low:Q", title=TITLES["auc"], scale=y_scale), y2="auc_high:Q", color=colour
    )
    clean = base.mark_rule(strokeDash=[4, 3], opacity=0.7, tooltip=None).encode(
        y=alt.Y("mean(clean):Q", title=TITLES["auc"], scale=y_scale), color=colour
    )
    lines = base.mark_line(tooltip=None).encode(x=x, y=y, color=colour)
    points = base.mark_point(filled=True, size=55, opacity=1).encode(x=x, y=y, color=colour, tooltip=_tooltip(frame))
    return _spec(alt.layer(bands, clean, lines, points).properties(width="container", height=HEIGHT - 80))


def differences(frame: pd.DataFrame) -> Spec:
    """The differences from vanilla with their intervals, a line for each kind of images, of the network from a menu."""
    import altair as alt

    base = alt.Chart(frame)
    y = alt.Y("images:N", title=None, sort=None, axis=alt.Axis(labelLimit=200))
    x = alt.X("over:Q", title=TITLES["over"])
    zero = base.mark_rule(color="gray", strokeDash=[4, 3], tooltip=None).encode(x=alt.datum(0))
    bars = base.mark_rule(opacity=0.6, strokeWidth=2, tooltip=None).encode(
        x=alt.X("over_low:Q", title=TITLES["over"]), x2="over_high:Q", y=y, color=_colour("corruption").legend(None)
    )
    points = base.mark_point(filled=True, size=55, opacity=1).encode(
        x=x, y=y, color=_colour("corruption").legend(None), tooltip=_tooltip(frame)
    )
    chart = alt.layer(zero, bars, points).properties(width="container", height=16 * frame["images"].nunique())
    return _spec(chart if frame["row"].nunique() == 1 else _with_menu(chart, frame, "row"))


def strips(frame: pd.DataFrame) -> Spec:
    """Each sample as a tick on its row's line, with a diamond at the row's median."""
    import altair as alt

    base = alt.Chart(frame)
    y = alt.Y("row:N", title=None, sort=None, axis=alt.Axis(labelLimit=320))
    x = alt.X("ms:Q", title=TITLES["ms"], scale=alt.Scale(zero=False))
    ticks = base.mark_tick(opacity=0.45, thickness=1.5).encode(
        x=x, y=y, color=_colour("backbone"), tooltip=_tooltip(frame)
    )
    medians = base.mark_point(shape="diamond", filled=True, size=60, color="gray", tooltip=None).encode(
        x=alt.X("median(ms):Q", title=TITLES["ms"]), y=y
    )
    return _spec(alt.layer(ticks, medians).properties(width="container", height=alt.Step(22)))


def reliability_diagram(frame: pd.DataFrame) -> Spec:
    """The share of fakes over the mean probability of fake of each range; a larger point stands for more images."""
    import altair as alt

    unit = alt.Scale(domain=[0, 1])
    x, y = alt.X("mean:Q", title=TITLES["mean"], scale=unit), alt.Y("fakes:Q", title=TITLES["fakes"], scale=unit)
    base = alt.Chart(frame)
    line = base.mark_line(opacity=0.6, tooltip=None).encode(x=x, y=y)
    points = base.mark_point(filled=True, opacity=0.9).encode(
        x=x, y=y, size=alt.Size("images:Q", title=TITLES["images"], scale=alt.Scale(range=[30, 400])),
        tooltip=_tooltip(frame),
    )  # fmt: skip
    ends = pd.DataFrame({"mean": [0.0, 1.0], "fakes": [0.0, 1.0]})
    calibrated = alt.Chart(ends).mark_line(strokeDash=[4, 3], color="gray", tooltip=None).encode(x=x, y=y)
    return _spec(alt.layer(calibrated, line, points).properties(width="container", height=HEIGHT))


def layer_bars(frame: pd.DataFrame) -> Spec:
    """MACs of each layer, in the order of the forward pass, of the network that the reader picks from a menu."""
    import altair as alt

    bars = (
        alt.Chart(frame)
        .mark_bar()
        .encode(
            x=alt.X("mmacs:Q", title="MMac (conv-linear)"),
            y=alt.Y("layer:N", title=None, sort=alt.SortField("order"), axis=alt.Axis(labelLimit=260)),
            color=_colour("kind"),
            tooltip=_tooltip(frame),
        )
        .properties(width="container", height=alt.Step(14))
    )
    return _spec(_with_menu(bars, frame, "row"))


def _with_menu(chart: "AnyChart", frame: pd.DataFrame, column: str) -> "AnyChart":
    """``chart`` of only those rows that have the value of ``column`` which a menu above the chart shows."""
    import altair as alt

    options = list(dict.fromkeys(frame[column]))
    menu = alt.param(name="chosen", value=options[0], bind=alt.binding_select(options=options, name="Show "))
    return chart.add_params(menu).transform_filter(f"datum['{column}'] === chosen")


def _colour(column: str) -> "alt.Color":
    import altair as alt

    return alt.Color(f"{column}:N", title=TITLES.get(column, column), sort=None)


def _tooltip(frame: pd.DataFrame) -> "list[alt.Tooltip]":
    """All columns of ``frame`` that have a title; fractions with four digits."""
    import altair as alt

    return [
        alt.Tooltip(f"{name}:Q", title=title, format=".4~g")
        if pd.api.types.is_float_dtype(frame[name])
        else alt.Tooltip(f"{name}:N", title=title)
        for name, title in TITLES.items()
        if name in frame
    ]


def _spec(chart: "alt.TopLevelMixin") -> Spec:
    import altair as alt

    with alt.data_transformers.enable(max_rows=None):  # Altair's own limit is 5,000
        spec: Spec = chart.to_dict()
    spec.pop("config", None)  # pages and images have configurations of their own
    if spec.get("width") == "container" and not isinstance(spec.get("height"), dict):
        spec["autosize"] = {"type": "fit-x", "contains": "padding"}
    return spec


_FONTS: Spec = {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"}

CONFIG: Spec = {
    "background": "white",
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": _FONTS,
    "legend": {**_FONTS, "orient": "bottom", "layout": {"bottom": {"direction": "vertical", "anchor": "start"}}},
    "header": {"labelFontSize": 13},
    "range": {"category": LIGHT},
}
"""Vega-Lite's configuration of a chart in an image."""

_INK: Spec = {"labelColor": "var(--ink)", "titleColor": "var(--ink)"}
_LINES: Spec = {"gridColor": "var(--line)", "domainColor": "var(--line)", "tickColor": "var(--line)"}

PAGE_CONFIG: Spec = CONFIG | {
    "background": None,
    "axis": _FONTS | _INK | _LINES,
    "legend": CONFIG["legend"] | _INK,
    "header": CONFIG["header"] | _INK,
    "text": {"color": "var(--ink)"},
    "title": {"color": "var(--ink)"},
    "range": {"category": [f"light-dark({light}, {dark})" for light, dark in zip(LIGHT, DARK, strict=True)]},
}
"""The configuration of a chart on the page: its colours are CSS, which the browser resolves for the page's theme."""


def with_fixed_width(spec: Spec) -> Spec:
    """``spec`` for an image, where no container sets the width."""
    if spec.get("width") != "container":
        return spec
    return {name: value for name, value in spec.items() if name != "autosize"} | {"width": WIDTH}
