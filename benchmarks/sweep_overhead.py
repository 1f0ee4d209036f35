"""Measures what a sweep adds to its cells: ``python benchmarks/sweep_overhead.py [FILE.json]``.

Sweeps of 1, 1,000 and 10,000 cells are run. A cell counts a network of one convolution, at a size of its own. The time
of the sweep with one cell is that of its start; the further time, divided by the further cells, is the cost of each.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from msgspec import to_builtins
from msgspec.structs import replace

from sfic_bench.results.environment import environment

NETWORK = """
from torch import nn

def net(num_classes=2):
    return nn.Sequential(nn.Conv2d(3, num_classes, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
"""

COUNTS = (1, 1_000, 10_000)


def measure(engine: str, count: int) -> dict[str, Any]:
    """One sweep of ``count`` cells, whose results are discarded."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "net.py").write_text(NETWORK)
        sizes = ", ".join(map(str, range(8, 8 + count)))
        spec = f'[[cost]]\nbackbone = "net.py:net"\nalpha = "none"\ninput_size = [{sizes}]\n'
        (folder / "spec.toml").write_text(spec)
        command = [sys.executable, "-m", "sfic_bench", "sweep", folder / "spec.toml", "-o", folder / "out"]
        start, peak = time.perf_counter(), 0
        with subprocess.Popen(
            [*command, "--engine", engine], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            while process.poll() is None:
                peak = max(peak, _peak_rss(process.pid))
                time.sleep(0.2)
        if process.returncode:
            raise SystemExit(f"the sweep of {count} cells by {engine} ended with {process.returncode}")
        cells = [json.loads(path.read_text())["cell"] for path in (folder / "out" / "results").iterdir()]
        return {
            "engine": engine,
            "cells": len(cells),
            "wall_s": time.perf_counter() - start,
            "in_cells_s": sum(cell["seconds"] for cell in cells),
            "driver_peak_mb": peak / 1e6,
        }


def _peak_rss(pid: int) -> int:
    """Peak resident size of a process so far, in bytes; 0 on systems other than Linux."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


HEADERS = (
    "engine", "cells", "command, s", "each cell, ms", "of that in the cell, ms", "driver's peak, MB", "each cell, KB",
)  # fmt: skip


def line(row: dict[str, Any], one: dict[str, Any]) -> str:
    """A row of the table; ``one`` is the sweep of one cell by the same engine."""
    wall_ms = cell_ms = peak_kb = ""
    if cells := row["cells"] - one["cells"]:
        wall_s, in_cells_s, peak_mb = (row[k] - one[k] for k in ("wall_s", "in_cells_s", "driver_peak_mb"))
        wall_ms, cell_ms = (f"{1e3 * seconds / cells:.1f}" for seconds in (wall_s, in_cells_s))
        peak_kb = f"{1e3 * peak_mb / cells:.0f}"
    command_s, driver_mb = f"{row['wall_s']:.1f}", f"{row['driver_peak_mb']:.0f}"
    return " | ".join((row["engine"], f"{row['cells']:,}", command_s, wall_ms, cell_ms, driver_mb, peak_kb))


def main() -> None:
    """Measure and print a table; write JSON too if a file is named."""
    rows = []
    print("| " + " | ".join(HEADERS) + " |")
    print("| --- " + "| ---: " * (len(HEADERS) - 1) + "|")
    for engine in ("local", "ray"):
        one = None
        for count in COUNTS:
            row = measure(engine, count)
            one = one or row
            print(f"| {line(row, one)} |", flush=True)
            rows.append(row)
    if len(sys.argv) > 1:
        document = {"environment": to_builtins(replace(environment(), argv=[])), "rows": rows}
        Path(sys.argv[1]).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
