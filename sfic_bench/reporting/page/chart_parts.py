"""What charts have in common: colours, sizes, titles, tooltips, menus, and the configurations of pages and images."""

from typing import TYPE_CHECKING

import pandas as pd

from sfic_bench.reporting.page.section import Spec

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
    "batch": "batch size",
    "images_s": "images a second",
    "images_interval": "95% interval, images a second",
    "total_mb": "MB in all",
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


def with_menu(chart: "AnyChart", frame: pd.DataFrame, column: str) -> "AnyChart":
    """``chart`` of only those rows that have the value of ``column`` which a menu above the chart shows."""
    import altair as alt

    options = list(dict.fromkeys(frame[column]))
    menu = alt.param(name="chosen", value=options[0], bind=alt.binding_select(options=options, name="Show "))
    return chart.add_params(menu).transform_filter(f"datum['{column}'] === chosen")


def colour_of(column: str) -> "alt.Color":
    """The colour that stands for the value of ``column``, in the order of the rows."""
    import altair as alt

    return alt.Color(f"{column}:N", title=TITLES.get(column, column), sort=None)


def tooltip(frame: pd.DataFrame) -> "list[alt.Tooltip]":
    """All columns of ``frame`` that have a title; fractions with four digits."""
    import altair as alt

    return [
        alt.Tooltip(f"{name}:Q", title=title, format=".4~g")
        if pd.api.types.is_float_dtype(frame[name])
        else alt.Tooltip(f"{name}:N", title=title)
        for name, title in TITLES.items()
        if name in frame
    ]


def spec_of(chart: "alt.TopLevelMixin") -> Spec:
    """``chart`` as Vega-Lite, without a configuration, which pages and images have of their own."""
    import altair as alt

    with alt.data_transformers.enable(max_rows=None):  # Altair's own limit is 5,000
        spec: Spec = chart.to_dict(validate=False)  # a test checks each chart
    spec.pop("config", None)
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
