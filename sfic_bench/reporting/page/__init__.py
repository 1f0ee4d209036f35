"""Result files as one page: sections of tables and charts, in HTML that opens offline, or as Markdown."""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sfic_bench.errors import InvalidValue
from sfic_bench.files import write_atomically
from sfic_bench.reporting.page.render import images, to_html, to_markdown
from sfic_bench.reporting.page.section import Section
from sfic_bench.reporting.page.sections import sections

__all__ = ["Page", "Section", "images", "sections", "to_html", "to_markdown"]

NOTEBOOK_HEIGHT = 800
"""The height of a page in a notebook, pixels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """A report.

    Attributes:
        sections: what it shows, the verdict first.
        names: the names of the results in it.
    """

    sections: Sequence[Section]
    names: Sequence[str]

    def to_html(self) -> str:
        """One HTML file with sorting tables and charts, which needs no network.

        Raises:
            MissingDependency: if the extra ``report`` is not installed.
        """
        return to_html(self.sections, self.names)

    def to_markdown(self) -> str:
        """Markdown for a pull request: what a reader must see is open, the rest is folded."""
        return to_markdown(self.sections)

    def images(self, folder: Path | str) -> list[Path]:
        """Write each chart as SVG and as PNG into ``folder``, which is created if missing.

        Raises:
            MissingDependency: if the extra ``report`` is not installed.
            UnwritableOutput: if a file cannot be written.
        """
        return images(self.sections, Path(folder))

    def save(self, path: Path | str) -> Path:
        """Write the page to a file that ends in .html, .htm or .md; returns its path.

        Raises:
            InvalidValue: for another ending.
            MissingDependency: for HTML, if the extra ``report`` is not installed.
            UnwritableOutput: if the file cannot be written.
        """
        path = Path(path)
        renderers = {".html": self.to_html, ".htm": self.to_html, ".md": self.to_markdown}
        if path.suffix.lower() not in renderers:
            raise InvalidValue(f"{path} must end in {', '.join(renderers)}: name it so")
        write_atomically(path, renderers[path.suffix.lower()]())
        return path

    def _repr_html_(self) -> str:
        page = html.escape(self.to_html())
        return f'<iframe srcdoc="{page}" style="width: 100%; height: {NOTEBOOK_HEIGHT}px; border: 0"></iframe>'
