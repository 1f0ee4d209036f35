"""A hook of MkDocs: pages that lie outside ``docs/``, the page of the command line, and links between pages."""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent

PAGES = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "architecture.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "reports/README.md": "reports/index.md",
    "reports/claims.md": "reports/claims.md",
    "reports/detectors.md": "reports/detectors.md",
}
"""Files of the repository, and the pages that they become."""

LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in ``docs/``."""
    for source, page in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=_linked(text, source, page)))
    files.append(File.generated(config, "command-line.md", content=_command_line()))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Let links of pages in ``docs/`` lead to the pages that lie outside."""
    source = page.file.src_uri
    return markdown if source in PAGES.values() else _linked(markdown, f"docs/{source}", source)


def _linked(text: str, source: str, page: str) -> str:
    """``text`` of the repository's file ``source`` with links as the site's ``page`` needs them."""

    def link(found: re.Match[str]) -> str:
        path, hash_, anchor = found["target"].partition("#")
        if not path or ":" in path:
            return found[0]
        name = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        target = PAGES.get(name, name.removeprefix("docs/") if name.startswith("docs/") else "")
        if not target or target.endswith((".py", ".sbatch", ".yaml", ".yml")):  # a file that the site does not have
            return found["text"] if found["text"].startswith("`") else f"{found['text']} (`{name}`)"
        relative = posixpath.relpath(target, posixpath.dirname(page) or ".")
        return f"{found['image']}[{found['text']}]({relative}{hash_}{anchor})"

    return LINK.sub(link, text)


def _command_line() -> str:
    """A page of what each command says with ``--help``; tests hold these texts to the commands."""
    screens = ROOT / "tests" / "screens"
    parts = ["# Command line", "What each command says with `--help`.", _block(screens / "help.txt")]
    for screen in sorted(screens.glob("help-*.txt")):
        command = re.sub("^(data|sweep|framework)-", r"\1 ", screen.stem.removeprefix("help-"))
        parts += [f"## sfic-bench {command}", _block(screen)]
    return "\n\n".join(parts) + "\n"


def _block(path: Path) -> str:
    return f"```text\n{path.read_text(encoding='utf-8').strip()}\n```"
