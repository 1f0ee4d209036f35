"""Charts as Vega-Lite, made with Altair. Every mark has a tooltip that says which row it is, and with what interval.

Colours are safe for the colour-blind (Okabe & Ito 2008); text and lines take theirs from the page.
"""

from typing import Any

import altair as alt
import pandas as pd

from sfic_bench.report.overview import front

Spec = dict[str, Any]

PALETTE = {
    "light": ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b58500", "#56b4e9", "#8c6bb1", "#777777"],
    "dark": ["#56b4e9", "#f08a4b", "#2fc39a", "#e39cc4", "#e6c34a", "#a3d3f5", "#b79ad6", "#aaaaaa"],
}

WIDTH, HEIGHT = 560, 340
"""In pixels. On the page a chart is as wide as its place, in an image `WIDTH`."""

NAMES = {
    "row": "row",
    "ms": "ms",
    "interval": "95% interval, ms",
    "ratio": "÷ vanilla",
    "ratio_interval": "95% interval, ÷",
    "gmacs": "GMac",
    "macs_ratio": "MACs ÷ vanilla",
    "peak_mb": "peak MB",
    "auc": "AUC %",
    "auc_interval": "95% interval, AUC",
    "task": "trained on → tested on",
    "layer": "layer",
    "kind": "operation",
    "input": "input",
    "output": "output",
    "params": "parameters",
    "mmacs": "MMac",
    "remark": "remark",
}


def pareto(frame: pd.DataFrame, x: str, y: str, *, highest: bool = False, choose: str | None = None) -> Spec:
    """Points of ``frame`` over ``x`` and ``y``, with the front of those that no other beats as a line.

    Bars are the intervals, where ``frame`` has them as ``{y}_low`` and ``{y}_high``.

    ``choose`` is a column of which the reader picks one value; each value has its front.
    """
    frame = frame.dropna(subset=[x, y]).reset_index(drop=True)
    groups = [frame] if choose is None else [part for _, part in frame.groupby(choose, sort=False)]
    best = pd.concat([front(part, x, y, highest=highest) for part in groups])
    frame = frame.assign(front=best.reindex(frame.index))
    logarithmic = alt.Scale(type="log", nice=False, padding=20)
    base = alt.Chart(frame)
    shape: Any = alt.Undefined
    if "path" in frame:
        shape = alt.Shape("path:N", title="path", legend=alt.Legend(symbolFillColor="gray"))
    points = base.mark_point(filled=True, size=75, opacity=0.9).encode(
        x=alt.X(f"{x}:Q", title=NAMES[x], scale=logarithmic),
        y=alt.Y(
            f"{y}:Q", title=NAMES[y], scale=alt.Scale(zero=False, padding=15) if highest else logarithmic
        ),
        color=_colour("backbone"),
        shape=shape,
        tooltip=_tooltip(frame),
    )
    line = (
        base.transform_filter("datum.front")
        .mark_line(interpolate="step-after", strokeDash=[4, 3], color="gray", tooltip=None)
        .encode(x=f"{x}:Q", y=f"{y}:Q", order=alt.Order(f"{x}:Q"))
    )
    layers = [line, points]
    if f"{y}_low" in frame and frame[f"{y}_low"].notna().any():
        bars = base.mark_rule(opacity=0.5, tooltip=None).encode(
            x=f"{x}:Q", y=alt.Y(f"{y}_low:Q", title=NAMES[y]), y2=f"{y}_high:Q", color=_colour("backbone")
        )
        layers.insert(1, bars)
    chart = alt.layer(*layers).properties(width="container", height=HEIGHT)
    return _spec(_chosen(chart, frame, choose))


def heat_maps(frame: pd.DataFrame, value: str, facet: str) -> Spec:
    """One map of ``value``, a ratio to vanilla, over α and β for each value of ``facet``."""
    frame = frame.dropna(subset=["alpha", "beta", value])
    largest = max(1.02, float(frame[value].max()), 2 - float(frame[value].min()))
    encoded = alt.Chart(frame).encode(
        x=alt.X("alpha:O", title="α", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("beta:O", title="β", sort="descending"),
    )
    # Blue is less than vanilla, orange more, white the same.
    scale = alt.Scale(domain=[2 - largest, 1, largest], range=["#0072b2", "#f7f7f7", "#d55e00"])
    rect = encoded.mark_rect().encode(
        color=alt.Color(f"{value}:Q", title="÷ vanilla", scale=scale, legend=alt.Legend(gradientLength=180)),
        tooltip=_tooltip(frame),
    )
    dark = f"abs(datum['{value}'] - 1) > {0.6 * (largest - 1):.3f}"
    text = encoded.mark_text(fontSize=11, tooltip=None).encode(
        text=alt.Text(f"{value}:Q", format=".2f"),
        color=alt.condition(dark, alt.value("white"), alt.value("black")),
    )
    cell = alt.layer(rect, text).properties(width=alt.Step(44), height=alt.Step(28))
    return _spec(cell.facet(facet=alt.Facet(f"{facet}:N", title=None, sort=None), columns=3))


def strips(frame: pd.DataFrame) -> Spec:
    """Every sample as a tick, a line of them for each row; medians stand out."""
    base = alt.Chart(frame)
    y = alt.Y("row:N", title=None, sort=None, axis=alt.Axis(labelLimit=320))
    x = alt.X("ms:Q", title="ms", scale=alt.Scale(zero=False))
    ticks = base.mark_tick(opacity=0.45, thickness=1.5).encode(
        x=x, y=y, color=_colour("backbone"), tooltip=_tooltip(frame)
    )
    medians = base.mark_point(shape="diamond", filled=True, size=60, color="gray", tooltip=None).encode(
        x=alt.X("median(ms):Q", title="ms"), y=y
    )
    return _spec(alt.layer(ticks, medians).properties(width="container", height=alt.Step(22)))


def layer_bars(frame: pd.DataFrame) -> Spec:
    """MACs of each layer of the network that the reader chooses, in the order of the forward pass."""
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
    return _spec(_chosen(bars, frame, "row"))


def _chosen(chart: Any, frame: pd.DataFrame, choose: str | None) -> Any:
    if choose is None:
        return chart
    options = list(dict.fromkeys(frame[choose]))
    chosen = alt.param(
        name="chosen", value=options[0], bind=alt.binding_select(options=options, name="Show ")
    )
    return chart.add_params(chosen).transform_filter(f"datum['{choose}'] === chosen")


def _colour(column: str) -> alt.Color:
    return alt.Color(f"{column}:N", title=NAMES.get(column, column), sort=None)


def _tooltip(frame: pd.DataFrame) -> list[alt.Tooltip]:
    found = []
    for name, title in NAMES.items():
        if name in frame:
            number = pd.api.types.is_float_dtype(frame[name])
            found.append(
                alt.Tooltip(f"{name}:Q", title=title, format=".4~g")
                if number
                else alt.Tooltip(f"{name}:N", title=title)
            )
    return found


def _spec(chart: Any) -> Spec:
    spec: Spec = chart.to_dict()
    spec.pop("config", None)  # the page has its own, light or dark
    if spec.get("width") == "container" and not isinstance(spec.get("height"), dict):
        spec["autosize"] = {"type": "fit-x", "contains": "padding"}
    return spec


CONFIG: Spec = {
    "background": None,
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"},
    "legend": {
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "orient": "bottom",
    },
    "header": {"labelFontSize": 13},
}
"""What every chart has; the page adds the colours of its text and lines."""


def fixed(spec: Spec) -> Spec:
    """``spec`` for an image, which has no page to be as wide as."""
    if spec.get("width") != "container":
        return spec
    return {name: value for name, value in spec.items() if name != "autosize"} | {"width": WIDTH}


def with_intervals(frame: pd.DataFrame) -> pd.DataFrame:
    """``frame`` of times with its intervals as text, for tooltips."""

    def text(row: Any, name: str, digits: str) -> str:
        low, high = row[f"{name}_low"], row[f"{name}_high"]
        return "" if pd.isna(low) else f"{low:{digits}}–{high:{digits}}"

    return frame.assign(
        interval=[text(row, "ms", ".4g") for _, row in frame.iterrows()],
        ratio_interval=[text(row, "ratio", ".3f") for _, row in frame.iterrows()],
    )
