"""Charts as Vega-Lite specifications, made with Altair, which is imported only when a chart is drawn.

Every mark has a tooltip that names its row and gives the interval. The colour-blind can tell the colours apart
(Okabe & Ito 2008).
"""

from functools import partial

import pandas as pd

from sfic_bench.reporting.overview import front
from sfic_bench.reporting.page.chart_parts import HEIGHT, TITLES, colour_of, spec_of, tooltip, with_menu
from sfic_bench.reporting.page.section import Spec

FEW = 12
"""The number of points in a menu's choice up to which each has its ratios beside it."""

LEAST_SPAN = 1.2
"""The least ratio of the ends of a horizontal axis, so that values that are nearly equal are drawn close together."""


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
    if len(frame) <= FEW * len(groups) and {"alpha", "beta"} <= {*frame}:
        frame = frame.assign(ratios=[_ratios(*pair) for pair in zip(frame["alpha"], frame["beta"], strict=True)])
    logarithmic = partial(alt.Scale, type="log", nice=False, padding=20)
    y_scale = alt.Scale(zero=False, padding=15) if highest else logarithmic()
    ends = _ends(frame[x]) if len(groups) == 1 else None  # with a menu, each choice has ends of its own
    x_scale = logarithmic() if ends is None else logarithmic(domain=ends)
    base = alt.Chart(frame)
    points = base.mark_point(filled=True, size=75, opacity=0.9).encode(
        x=alt.X(f"{x}:Q", title=TITLES[x], scale=x_scale),
        y=alt.Y(f"{y}:Q", title=TITLES[y], scale=y_scale),
        color=colour_of("backbone"),
        tooltip=tooltip(frame),
    )
    if "path" in frame:
        points = points.encode(shape=alt.Shape("path:N", legend=alt.Legend(symbolFillColor="gray")))
    line = (
        base.transform_filter("datum.front")
        .mark_line(interpolate="step-after", strokeDash=[4, 3], color="gray", tooltip=None)
        .encode(x=f"{x}:Q", y=f"{y}:Q", order=alt.Order(f"{x}:Q"))
    )
    layers = [line, points]
    if "ratios" in frame:
        words = base.mark_text(align="left", dx=8, dy=-8, fontSize=11, tooltip=None)
        layers.append(words.encode(x=f"{x}:Q", y=f"{y}:Q", text="ratios:N", color=colour_of("backbone")))
    if f"{y}_low" in frame and frame[f"{y}_low"].notna().any():
        low = alt.Y(f"{y}_low:Q", title=TITLES[y])
        bars = base.mark_rule(opacity=0.5, tooltip=None)
        layers.insert(1, bars.encode(x=f"{x}:Q", y=low, y2=f"{y}_high:Q", color=colour_of("backbone")))
    chart = alt.layer(*layers).properties(width="container", height=HEIGHT)
    return spec_of(chart if choose is None else with_menu(chart, frame, choose))


def _ends(values: "pd.Series[float]") -> list[float] | None:
    """The ends of a logarithmic axis around values whose ratios are below `LEAST_SPAN`; ``None`` for other values."""
    low, high = values.min(), values.max()
    if not 0 < high < LEAST_SPAN * low:
        return None
    middle = (low * high) ** 0.5
    return [middle / LEAST_SPAN**0.5, middle * LEAST_SPAN**0.5]


def _ratios(alpha: float | None, beta: float | None) -> str:
    """The ratios of an SFIC network, which tell the points of one backbone apart; vanilla ones need no words."""
    return "" if pd.isna(alpha) or pd.isna(beta) else f"α={alpha:g} β={beta:g}"


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
        tooltip=tooltip(frame),
    )
    saturated = f"abs(datum['{value}'] - 1) > {0.6 * (largest - 1):.3f}"
    numbers = grid.mark_text(fontSize=11, tooltip=None).encode(
        text=alt.Text(f"{value}:Q", format=".2f"),
        color=alt.condition(saturated, alt.value("white"), alt.value("black")),
    )
    chart = alt.layer(cells, numbers).properties(width=alt.Step(44), height=alt.Step(28))
    return spec_of(chart.facet(facet=alt.Facet(f"{facet}:N", title=None, sort=None), columns=3))


def curves(frame: pd.DataFrame, unit: str, least: float, most: float) -> Spec:
    """A line for each row through its AUC by severity, with a band for the intervals and a dashed line at clean images.

    The horizontal axis runs the way in which ``frame`` has its severities, and the other from ``least`` to ``most``.
    """
    import altair as alt

    severities = list(dict.fromkeys(frame["severity"]))
    scale = alt.Scale(zero=False, nice=False, padding=12, reverse=severities[0] > severities[-1])
    colour = colour_of("row").title(None).legend(symbolOpacity=1)
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
    points = base.mark_point(filled=True, size=55, opacity=1).encode(x=x, y=y, color=colour, tooltip=tooltip(frame))
    return spec_of(alt.layer(bands, clean, lines, points).properties(width="container", height=HEIGHT - 80))


def differences(frame: pd.DataFrame) -> Spec:
    """The differences from vanilla with their intervals, a line for each kind of images, of the network from a menu."""
    import altair as alt

    base = alt.Chart(frame)
    y = alt.Y("images:N", title=None, sort=None, axis=alt.Axis(labelLimit=200))
    x = alt.X("over:Q", title=TITLES["over"])
    zero = base.mark_rule(color="gray", strokeDash=[4, 3], tooltip=None).encode(x=alt.datum(0))
    bars = base.mark_rule(opacity=0.6, strokeWidth=2, tooltip=None).encode(
        x=alt.X("over_low:Q", title=TITLES["over"]), x2="over_high:Q", y=y, color=colour_of("corruption").legend(None)
    )
    points = base.mark_point(filled=True, size=55, opacity=1).encode(
        x=x, y=y, color=colour_of("corruption").legend(None), tooltip=tooltip(frame)
    )
    chart = alt.layer(zero, bars, points).properties(width="container", height=16 * frame["images"].nunique())
    return spec_of(chart if frame["row"].nunique() == 1 else with_menu(chart, frame, "row"))


def strips(frame: pd.DataFrame) -> Spec:
    """Each sample as a tick on its row's line, with a diamond at the row's median."""
    import altair as alt

    # A chart writes each of its columns once a sample into the page, so it gets those that it draws.
    base = alt.Chart(frame[["backbone", "row", "ms"]])
    y = alt.Y("row:N", title=None, sort=None, axis=alt.Axis(labelLimit=320))
    x = alt.X("ms:Q", title=TITLES["ms"], scale=alt.Scale(zero=False))
    ticks = base.mark_tick(opacity=0.45, thickness=1.5).encode(
        x=x, y=y, color=colour_of("backbone"), tooltip=tooltip(frame)
    )
    medians = base.mark_point(shape="diamond", filled=True, size=60, color="gray", tooltip=None).encode(
        x=alt.X("median(ms):Q", title=TITLES["ms"]), y=y
    )
    return spec_of(alt.layer(ticks, medians).properties(width="container", height=alt.Step(22)))


def reliability_diagram(frame: pd.DataFrame) -> Spec:
    """The share of fakes over the mean probability of fake of each range; a larger point stands for more images."""
    import altair as alt

    unit = alt.Scale(domain=[0, 1])
    x, y = alt.X("mean:Q", title=TITLES["mean"], scale=unit), alt.Y("fakes:Q", title=TITLES["fakes"], scale=unit)
    base = alt.Chart(frame)
    line = base.mark_line(opacity=0.6, tooltip=None).encode(x=x, y=y)
    points = base.mark_point(filled=True, opacity=0.9).encode(
        x=x, y=y, size=alt.Size("images:Q", title=TITLES["images"], scale=alt.Scale(range=[30, 400])),
        tooltip=tooltip(frame),
    )  # fmt: skip
    ends = pd.DataFrame({"mean": [0.0, 1.0], "fakes": [0.0, 1.0]})
    calibrated = alt.Chart(ends).mark_line(strokeDash=[4, 3], color="gray", tooltip=None).encode(x=x, y=y)
    return spec_of(alt.layer(calibrated, line, points).properties(width="container", height=HEIGHT))


def layer_bars(frame: pd.DataFrame) -> Spec:
    """MACs of each layer, in the order of the forward pass, of the network that the reader picks from a menu."""
    import altair as alt

    bars = (
        alt.Chart(frame)
        .mark_bar()
        .encode(
            x=alt.X("mmacs:Q", title="MMac (conv-linear)"),
            y=alt.Y("layer:N", title=None, sort=alt.SortField("order"), axis=alt.Axis(labelLimit=260)),
            color=colour_of("kind"),
            tooltip=tooltip(frame),
        )
        .properties(width="container", height=alt.Step(14))
    )
    return spec_of(with_menu(bars, frame, "row"))


LINES = 8
"""Lines that one chart shows at once, as many as there are colours; of more the reader picks a path from a menu."""


def over_batch_sizes(frame: pd.DataFrame, y: str, *, logarithmic: bool = False) -> Spec:
    """A line for each row's column ``y`` over its batch sizes, dashed if it is vanilla; bars are intervals."""
    import altair as alt

    several = frame["row"].nunique() > LINES and frame["where"].nunique() > 1
    sizes = sorted(set(frame["batch"]))
    base = alt.Chart(frame)
    x = alt.X(
        "batch:Q", title=TITLES["batch"], scale=alt.Scale(type="log", base=2, nice=False, padding=15),
        axis=alt.Axis(values=sizes, format="d", labelOverlap=True),
    )  # fmt: skip
    scale = alt.Scale(type="log", nice=False, padding=15) if logarithmic else alt.Scale(zero=True)
    colour = colour_of("row").title(None).legend(labelLimit=320, symbolOpacity=1)
    line = base.mark_line(tooltip=None, strokeWidth=2).encode(
        x=x, y=alt.Y(f"{y}:Q", title=TITLES[y], scale=scale), color=colour,
        strokeDash=alt.condition("datum.vanilla", alt.value([6, 4]), alt.value([1, 0])),
    )  # fmt: skip
    points = base.mark_point(filled=True, size=55, opacity=1).encode(
        x=x, y=alt.Y(f"{y}:Q", title=TITLES[y], scale=scale), color=colour, tooltip=tooltip(frame)
    )
    layers = [line, points]
    if f"{y}_low" in frame and frame[f"{y}_low"].notna().any():
        low = alt.Y(f"{y}_low:Q", title=TITLES[y], scale=scale)
        bars = base.mark_rule(strokeWidth=2, opacity=0.6, tooltip=None)
        layers.insert(1, bars.encode(x=x, y=low, y2=f"{y}_high:Q", color=colour))
    chart = alt.layer(*layers).properties(width="container", height=HEIGHT)
    return spec_of(with_menu(chart, frame, "where") if several else chart)
