"""Trained networks on several runtimes as a table: accuracy beside time."""

from sfic_bench.reporting.cells import bounds, estimate
from sfic_bench.reporting.columns import INTERVAL, Cells, tabulated
from sfic_bench.reporting.table import Table
from sfic_bench.results.deployment import DeploymentResult, DeploymentRow
from sfic_bench.statistics.interval import Interval

NOTE = (
    "− torch's: the AUC less that of the same network run by torch in float32, on the same images; vs. torch, "
    "vs. vanilla: time over that of the same network run by torch, and of vanilla on the same runtime"
)


def deployment_table(result: DeploymentResult, *remarks: str) -> Table:
    """A row for each network and runtime."""
    details = dict.fromkeys(row.details for row in result.rows)
    seeds = {row.seeds for row in result.rows}
    runs = "" if seeds <= {1} else f"; scores are means over {' or '.join(map(str, sorted(seeds)))} seeds"
    notes = [
        f"{result.data}, {result.split}: {result.images:,} images{runs}; batches of {result.batch_size} were timed; "
        f"the scales of int8 were found on {result.calibration:,} images that are not scored",
        *details,
        NOTE,
        *result.notes,
        *remarks,
    ]
    return tabulated("Runtimes", COLUMNS, result.rows, notes=notes, group_by=lambda row: row.network)


def _percent(value: Interval | None, sign: str = "") -> str:
    return estimate(value, f"{sign}.2f", scale=100)


COLUMNS: list[Cells[DeploymentRow]] = [
    Cells("network", lambda row: row.network, number=False),
    Cells("runtime", lambda row: row.runtime, number=False),
    Cells("AUC %", lambda row: _percent(row.frame_auc)),
    Cells(INTERVAL, lambda row: bounds(row.frame_auc, ".2f", scale=100), rank=2),
    Cells("− torch's", lambda row: _percent(row.auc_over_torch, "+")),
    Cells(INTERVAL, lambda row: bounds(row.auc_over_torch, "+.2f", scale=100, between=" to "), rank=2),
    Cells("ms", lambda row: estimate(row.latency_ms, ".2f")),
    Cells(INTERVAL, lambda row: bounds(row.latency_ms, ".2f"), rank=3),
    Cells("vs. torch", lambda row: estimate(row.ratio_to_torch, ".2f")),
    Cells(INTERVAL, lambda row: bounds(row.ratio_to_torch, ".2f"), rank=3),
    Cells("vs. vanilla", lambda row: estimate(row.ratio_to_vanilla, ".2f")),
    Cells(INTERVAL, lambda row: bounds(row.ratio_to_vanilla, ".2f"), rank=3),
    Cells("MB", lambda row: f"{row.file_bytes / 1e6:.1f}", rank=1),
]
