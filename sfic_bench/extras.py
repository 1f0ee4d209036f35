"""The command that installs an extra, for however this copy of sfic-bench was installed.

``pip install 'sfic-bench[train]'`` would ask an index for sfic-bench, which it may not have, or in another version.
"""

import json
import re
import shlex
from pathlib import Path
from urllib.parse import unquote, urlsplit

DISTRIBUTION = "sfic-bench"
SOURCE = Path(__file__).parent.parent
"""The folder that the package lies in: a checkout, or the one of all installed packages."""


def install_command(*extras: str) -> str:
    """A command of pip that installs what ``extras`` bring.

    In a checkout, and where sfic-bench was installed from a folder that is still there, it is the command of the
    README. Otherwise it names the packages themselves, which any index has.
    """
    listed = ",".join(extras)
    if (folder := _folder()) is not None:
        return _from_folder(folder, listed)
    packages = list(dict.fromkeys(package for extra in extras for package in _packages(extra)))
    return f"pip install {shlex.join(packages)}" if packages else f"pip install '{DISTRIBUTION}[{listed}]'"


def _from_folder(folder: Path, extras: str) -> str:
    here = folder == Path.cwd()
    constraints = folder / "constraints.txt"
    words = ["pip", "install"]
    if constraints.is_file():
        words += ["-c", constraints.name if here else str(constraints)]
    if folder == SOURCE:
        words.append("-e")
    return shlex.join([*words, f"{'.' if here else folder}[{extras}]"])


def _folder() -> Path | None:
    """The checkout that this package runs from or was installed from, if it is still there."""
    from importlib import metadata  # takes as long to import as a command to parse its options

    folders = [SOURCE]
    try:
        origin = metadata.distribution(DISTRIBUTION).read_text("direct_url.json")
        url = urlsplit(json.loads(origin or "{}").get("url", ""))
    except (metadata.PackageNotFoundError, ValueError):
        url = urlsplit("")
    if url.scheme == "file":
        folders.append(Path(unquote(url.path)))
    return next((folder for folder in folders if _is_checkout(folder)), None)


def _is_checkout(folder: Path) -> bool:
    project = folder / "pyproject.toml"
    return project.is_file() and f'name = "{DISTRIBUTION}"' in project.read_text(encoding="utf-8", errors="replace")


def _packages(extra: str) -> list[str]:
    """The requirements of ``extra`` that this installation states, each as pip takes it."""
    from importlib import metadata

    try:
        lines = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return []
    found = []
    for line in lines:
        requirement, _, marker = (part.strip() for part in line.partition(";"))
        ours = re.compile(rf"""(\s+and\s+)?extra\s*==\s*['"]{re.escape(extra)}['"](\s+and\s+)?""")
        if ours.search(marker):
            rest = ours.sub("", marker).strip().replace("'", '"')  # so that the shell's quotes stay readable
            found.append(f"{requirement}; {rest}" if rest else requirement)
    return found
