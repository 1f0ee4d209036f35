"""Sections of a report as one HTML file that needs no network, as Markdown, and their charts as images."""

import html
import json
from collections.abc import Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path

from sfic_bench.errors import MissingDependency
from sfic_bench.extras import install_command
from sfic_bench.files import write_atomically, write_bytes_atomically
from sfic_bench.reporting import table as tables
from sfic_bench.reporting.page.chart_parts import CONFIG, PAGE_CONFIG, with_fixed_width
from sfic_bench.reporting.page.section import Section, Spec
from sfic_bench.version import __version__


def to_html(parts: Sequence[Section], files: Sequence[str]) -> str:
    """A page of ``parts`` with sortable tables, filters and tooltips; ``files`` are the names in its head.

    Its scripts and styles are in the page itself, so that it needs no network.

    Raises:
        MissingDependency: the extra ``report`` is not installed.
    """
    try:
        import jinja2
        import vl_convert
    except ImportError:
        raise _missing() from None
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sfic_bench.reporting.page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    package = resources.files(__package__)
    library = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return environment.get_template("report.html").render(
        files=files,
        version=__version__,
        sections=[(part, _drawn(part)) for part in parts],
        config=PAGE_CONFIG,
        # The template writes these three unescaped, since an escaped script would not run. None contains "</script".
        style=package.joinpath("page.css").read_text(encoding="utf-8"),
        script=package.joinpath("page.js").read_text(encoding="utf-8"),
        library=library.replace("</script", "<\\/script"),
    )


def _missing() -> MissingDependency:
    command = install_command("report")
    return MissingDependency(f"charts need Altair and vl-convert: {command}, or use --format markdown")


def _drawn(part: Section) -> dict[str, Spec]:
    """The charts of a section, by caption."""
    if not part.charts:
        return {}
    try:
        from altair.utils.schemapi import debug_mode
    except ImportError:
        raise _missing() from None
    # Altair would check each part of a chart against Vega-Lite's schema, for a third of a page's time; a test does.
    with debug_mode(False):
        return {caption: make_chart() for caption, make_chart in part.charts.items()}


def to_markdown(parts: Sequence[Section]) -> str:
    """Markdown for a pull request: sections that a reader must see are open, all others are folded."""
    texts = []
    for part in parts:
        # Tables of a folded section are open, so that one click shows them.
        shown = part.tables if part.first else [replace(table, folded=False) for table in part.tables]
        body = [tables.escape(part.lead), "", tables.to_markdown(shown)]
        heading = [f"## {tables.escape(part.title)}", ""]
        if not part.first:
            heading = ["<details>", f"<summary>{html.escape(part.title)}</summary>", ""]
            body += ["</details>"]
        texts.append("\n".join([*heading, *body]))
    return "\n".join(texts) + "\n"


def images(parts: Sequence[Section], folder: Path) -> list[Path]:
    """Write each chart as SVG and as PNG (twice its size in pixels) into ``folder``, which is created if missing.

    Raises:
        MissingDependency: the extra ``report`` is not installed.
        UnwritableOutput: a file cannot be written.
    """
    try:
        import vl_convert
    except ImportError:
        raise _missing() from None
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for part in parts:
        for number, chart in enumerate(_drawn(part).values(), 1):
            spec = json.dumps(with_fixed_width(chart) | {"config": CONFIG})
            svg, png = (folder / f"{part.name}-{number}.{suffix}" for suffix in ("svg", "png"))
            write_atomically(svg, vl_convert.vegalite_to_svg(spec))
            write_bytes_atomically(png, vl_convert.vegalite_to_png(spec, scale=2))
            written += [svg, png]
    return written
