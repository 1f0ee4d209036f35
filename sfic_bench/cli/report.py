"""``sfic-bench report``: result files as one page."""

import sys
from pathlib import Path
from typing import Annotated

import typer

import sfic_bench
from sfic_bench.choices import ReportFormat
from sfic_bench.cli.compare import percent
from sfic_bench.cli.output import LOG, STDOUT, write_text
from sfic_bench.errors import InvalidValue
from sfic_bench.files import check_writable, is_replaceable


def report_command(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Result files, written with --format json.")],
    base: Annotated[
        Path | None, typer.Option(metavar="FILE", help="An older result file to compare the one FILE with.")
    ] = None,
    margin: Annotated[
        str, typer.Option(metavar="PERCENT", help="Margin of the comparison, as in `sfic-bench compare`.")
    ] = "2%",
    format: Annotated[
        ReportFormat | None,
        typer.Option("--format", help="Default: html, or markdown for a file that ends in .md.", show_default=False),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write to a file instead of stdout, atomically."),
    ] = None,
    image: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the charts as SVG and PNG into this folder, too.")
    ] = None,
) -> None:
    """Put result files on one page that opens offline: verdict, tables, charts, and where figures are from.

    HTML has sorting and filtering tables and charts with tooltips, all in one file. Markdown is for a
    pull request: the verdict, then what changed, then the rest, folded.

    github-action, google-benchmark and openmetrics give times and costs to other programs: the GitHub Action of
    github-action-benchmark (customSmallerIsBetter), Google Benchmark's compare.py, and Prometheus.
    """
    output = None if output == STDOUT else output
    if format is None:
        format = _format_of(output)
    if not format.is_page and (base is not None or image is not None):
        raise InvalidValue(f"--base and --image are for pages, not for {format}")
    if image is not None and image.exists() and not image.is_dir():
        raise InvalidValue(f"--image takes a folder, and {image} is a file: name another")
    if output is not None:
        check_writable(output)
    elif format is ReportFormat.HTML and sys.stdout.isatty():
        raise InvalidValue("a page of HTML is not for a terminal: name a file with -o, or use --format markdown")
    if not format.is_page:
        write_text(output, sfic_bench.exchange(files, format))
        return
    page = sfic_bench.report(files, base=base, margin=percent("--margin", margin))
    if image is not None:
        LOG.info("wrote %d images to %s", len(page.images(image)), image)
    write_text(output, page.to_html() if format is ReportFormat.HTML else page.to_markdown())


def _format_of(output: Path | None) -> ReportFormat:
    """The format that a file's name asks for; HTML for the standard output, a device or a pipe."""
    if output is None or not is_replaceable(output):
        return ReportFormat.HTML
    suffixes = {".html": ReportFormat.HTML, ".htm": ReportFormat.HTML, ".md": ReportFormat.MARKDOWN}
    if output.suffix.lower() not in suffixes:
        raise InvalidValue(f"{output} must end in {', '.join(suffixes)}: name it so, or choose a --format")
    return suffixes[output.suffix.lower()]
