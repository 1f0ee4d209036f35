"""Result files as one page: sections of tables and charts, in HTML that opens offline, or as Markdown."""

from sfic_bench.report.page.render import images, to_html, to_markdown
from sfic_bench.report.page.section import Section
from sfic_bench.report.page.sections import sections

__all__ = ["Section", "images", "sections", "to_html", "to_markdown"]
