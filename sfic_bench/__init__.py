"""sfic-bench: benchmarks and profiles space-frequency interactive convolution in any CNN backbone.

Importing this package is cheap; torch is imported when one of these names is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sfic_bench.version import __version__

if TYPE_CHECKING:
    from sfic_bench.api import build, count, explain_placement, fuse, to_sfic
    from sfic_bench.networks.released import import_released

__all__ = ["__version__", "build", "count", "explain_placement", "fuse", "import_released", "to_sfic"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "networks.released" if name == "import_released" else "api"
    return getattr(import_module(f"{__name__}.{module}"), name)
