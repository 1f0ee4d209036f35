"""On what a result was made. Reads versions from package metadata, so that nothing heavy is imported."""

import os
import platform
import sys
from importlib import metadata

from sfic_bench.version import __version__

PACKAGES = {
    "torch": "",
    "numpy": "",
    "rich": "",
    "typer": "",
    "fvcore": "peers",
    "thop": "peers",
    "ptflops": "peers",
}
"""Distributions that matter to a result, and the extra that brings each optional one."""


def version_of(distribution: str) -> str | None:
    """The installed version, or ``None``."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def environment() -> dict[str, object]:
    """Versions and machine, as they are written beside every result."""
    return {
        "sfic_bench": __version__,
        "python": platform.python_version(),
        "packages": {name: version_of(name) for name in PACKAGES},
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpu_count": os.cpu_count(),
        "argv": sys.argv[1:],
    }
