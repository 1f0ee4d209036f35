"""sfic-bench: benchmarks and profiles space-frequency interactive convolution in any CNN backbone.

Importing this package is cheap; torch is imported when one of these names is first used.
"""

from typing import TYPE_CHECKING, Any

from sfic_bench.version import __version__

if TYPE_CHECKING:
    from sfic_bench.api import build, count, fuse, to_sfic

__all__ = ["__version__", "build", "count", "fuse", "to_sfic"]


def __getattr__(name: str) -> Any:
    if name in ("build", "count", "fuse", "to_sfic"):
        from sfic_bench import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
