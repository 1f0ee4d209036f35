"""Sections as one HTML file that needs no network, as Markdown, and charts as images."""

import json
from collections.abc import Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path

from sfic_bench.errors import MissingDependency
from sfic_bench.report import table as tables
from sfic_bench.report.files import write_atomically, write_bytes_atomically
from sfic_bench.report.page.section import Section
from sfic_bench.version import __version__

MISSING = "charts need Altair and vl-convert: pip install 'sfic-bench[report]', or use --format markdown"


def to_html(parts: Sequence[Section], files: Sequence[str]) -> str:
    """A page with sorting, filtering and tooltips, light and dark; everything it needs is inside.

    Raises:
        MissingDependency: without the extra ``report``.
    """
    try:
        import jinja2
        import vl_convert

        from sfic_bench.report.page.charts import CONFIG, PALETTE
    except ImportError:
        raise MissingDependency(MISSING) from None
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sfic_bench.report.page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    here = resources.files(__package__)
    drawn = [(part, {caption: make() for caption, make in part.charts.items()}) for part in parts]
    return environment.get_template("report.html").render(
        files=files,
        version=__version__,
        sections=drawn,
        config={**CONFIG, "palette": PALETTE},
        # Escaped like text, a script would not run; none of these has the text "</script".
        style=here.joinpath("page.css").read_text(encoding="utf-8"),
        script=here.joinpath("page.js").read_text(encoding="utf-8"),
        library=vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace(
            "</script", "<\\/script"
        ),
    )


def to_markdown(parts: Sequence[Section]) -> str:
    """For a pull request: what must be known, then the rest, folded."""
    found = []
    for part in parts:
        # In a part that is folded, one click opens its tables too.
        shown = part.tables if part.first else [replace(table, folded=False) for table in part.tables]
        body = [tables.escape(part.lead), "", tables.to_markdown(shown)]
        heading = [f"## {tables.escape(part.title)}", ""]
        if not part.first:
            heading = ["<details>", f"<summary>{tables.escape(part.title)}</summary>", ""]
            body += ["</details>"]
        found.append("\n".join([*heading, *body]))
    return "\n".join(found) + "\n"


def images(parts: Sequence[Section], folder: Path) -> list[Path]:
    """Write each chart as SVG and as PNG (twice its size in pixels) into ``folder``, which is made if need be.

    Raises:
        MissingDependency: without the extra ``report``.
        UnwritableOutput: for a file that cannot be written.
    """
    try:
        import vl_convert

        from sfic_bench.report.page.charts import CONFIG, PALETTE, fixed
    except ImportError:
        raise MissingDependency(MISSING) from None
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for part in parts:
        for i, make in enumerate(part.charts.values(), 1):
            spec = json.dumps(
                fixed(make())
                | {"config": {**CONFIG, "background": "white", "range": {"category": PALETTE["light"]}}}
            )
            svg, png = (folder / f"{part.name}-{i}.{kind}" for kind in ("svg", "png"))
            write_atomically(svg, vl_convert.vegalite_to_svg(spec))
            write_bytes_atomically(png, vl_convert.vegalite_to_png(spec, scale=2))
            written += [svg, png]
    return written
