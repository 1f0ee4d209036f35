"""sfic-bench: benchmarks and profiles space-frequency interactive convolution in any CNN backbone.

Each command of the command line is a function here (``sfic-bench flops`` is `flops`), and so are the steps for
networks of your own (`to_sfic`, `fuse`, `count`). Importing this package is cheap; torch is imported when it is needed.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from sfic_bench.version import __version__

if TYPE_CHECKING:
    from sfic_bench.api import build, count, explain_placement, fuse, to_sfic
    from sfic_bench.commands.catalogue import env, list_names
    from sfic_bench.commands.costs import audit, audit_claims, explain, flops
    from sfic_bench.commands.datasets import data_check, data_extract, data_import
    from sfic_bench.commands.detecting import predict, robustness
    from sfic_bench.commands.exporting import deploy, export, publish
    from sfic_bench.commands.files import compare, exchange, report
    from sfic_bench.commands.frameworks import framework_config, framework_import
    from sfic_bench.commands.protocols import accuracy, fill_table, plan_table, table
    from sfic_bench.commands.sweeping import sweep, sweep_status
    from sfic_bench.commands.times import latency, stage2
    from sfic_bench.commands.training import attention, evaluate, train
    from sfic_bench.networks.released import import_released
    from sfic_bench.results.lines import to_frame
    from sfic_bench.results.read import read

_NAMES = {
    "api": ("build", "count", "explain_placement", "fuse", "to_sfic"),
    "commands.catalogue": ("env", "list_names"),
    "commands.costs": ("audit", "audit_claims", "explain", "flops"),
    "commands.datasets": ("data_check", "data_extract", "data_import"),
    "commands.detecting": ("predict", "robustness"),
    "commands.exporting": ("deploy", "export", "publish"),
    "commands.frameworks": ("framework_config", "framework_import"),
    "commands.files": ("compare", "exchange", "report"),
    "commands.protocols": ("accuracy", "fill_table", "plan_table", "table"),
    "commands.sweeping": ("sweep", "sweep_status"),
    "commands.times": ("latency", "stage2"),
    "commands.training": ("attention", "evaluate", "train"),
    "networks.released": ("import_released",),
    "results.lines": ("to_frame",),
    "results.read": ("read",),
}
"""The names that each module has."""

_PLACES = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [
    "__version__", "accuracy", "attention", "audit", "audit_claims", "build", "compare", "count", "data_check",
    "data_extract", "data_import", "deploy", "env", "evaluate", "exchange", "explain", "explain_placement",
    "export", "fill_table", "flops", "framework_config", "framework_import", "fuse", "import_released",
    "latency", "list_names", "plan_table", "predict", "publish", "read", "report", "robustness", "stage2",
    "sweep", "sweep_status", "table", "to_frame", "to_sfic", "train",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
