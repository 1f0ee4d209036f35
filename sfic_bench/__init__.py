"""sfic-bench: benchmarks and profiles space-frequency interactive convolution in any CNN backbone.

Importing this package is cheap; torch is imported when one of these names is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sfic_bench.version import __version__

if TYPE_CHECKING:
    from sfic_bench.api import build, count, explain_placement, fuse, to_sfic
    from sfic_bench.networks.released import import_released
    from sfic_bench.results.lines import to_frame
    from sfic_bench.results.read import read

_PLACES = {
    **dict.fromkeys(("build", "count", "explain_placement", "fuse", "to_sfic"), "api"),
    "import_released": "networks.released",
    "read": "results.read",
    "to_frame": "results.lines",
}
"""The module that has each name."""

__all__ = [
    "__version__", "build", "count", "explain_placement", "fuse", "import_released", "read", "to_frame", "to_sfic",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
