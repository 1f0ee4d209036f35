"""Measures what a sweep adds to its cells: ``python benchmarks/sweep_overhead.py [FILE.json]``.

Sweeps of 1, 1,000 and 10,000 cells are run. A cell counts a network of one convolution, at a size of its own. The time
of the sweep with one cell is that of its start; the further time, divided by the further cells, is the cost of each.
"""

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from msgspec import to_builtins
from msgspec.structs import replace

from sfic_bench.measure.memory import resident_peak
from sfic_bench.results.environment import environment

NETWORK = """
from torch import nn

def net(num_classes=2):
    return nn.Sequential(nn.Conv2d(3, num_classes, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
"""

COUNTS = (1, 1_000, 10_000)


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """One sweep: its cells, its whole time, the sum of its cells' own times, and the peak memory of its driver."""

    engine: str
    cells: int
    wall_s: float
    in_cells_s: float
    driver_peak_mb: float


def measure(engine: str, count: int) -> Sweep:
    """One sweep of ``count`` cells, whose results are discarded."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "net.py").write_text(NETWORK)
        sizes = ", ".join(map(str, range(8, 8 + count)))
        spec = f'[[cost]]\nbackbone = "net.py:net"\nalpha = "none"\ninput_size = [{sizes}]\n'
        (folder / "spec.toml").write_text(spec)
        command: list[str | Path] = [
            sys.executable,
            "-m",
            "sfic_bench",
            "sweep",
            folder / "spec.toml",
            "-o",
            folder / "out",
        ]
        start, peak = time.perf_counter(), 0
        with subprocess.Popen(
            [*command, "--engine", engine], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            while process.poll() is None:
                peak = max(peak, resident_peak(process.pid) or 0)
                time.sleep(0.2)
        if process.returncode:
            raise SystemExit(f"the sweep of {count} cells by {engine} ended with {process.returncode}")
        cells = [json.loads(path.read_text())["cell"] for path in (folder / "out" / "results").iterdir()]
        return Sweep(
            engine=engine, cells=len(cells), wall_s=time.perf_counter() - start,
            in_cells_s=sum(cell["seconds"] for cell in cells), driver_peak_mb=peak / 1e6,
        )  # fmt: skip


HEADERS = (
    "engine", "cells", "command, s", "each cell, ms", "of that in the cell, ms", "driver's peak, MB", "each cell, KB",
)  # fmt: skip


def line(sweep: Sweep, one: Sweep) -> str:
    """A row of the table; ``one`` is the sweep of one cell by the same engine."""
    wall_ms = cell_ms = peak_kb = ""
    if cells := sweep.cells - one.cells:
        wall_ms = f"{1e3 * (sweep.wall_s - one.wall_s) / cells:.1f}"
        cell_ms = f"{1e3 * (sweep.in_cells_s - one.in_cells_s) / cells:.1f}"
        peak_kb = f"{1e3 * (sweep.driver_peak_mb - one.driver_peak_mb) / cells:.0f}"
    command_s, driver_mb = f"{sweep.wall_s:.1f}", f"{sweep.driver_peak_mb:.0f}"
    return " | ".join((sweep.engine, f"{sweep.cells:,}", command_s, wall_ms, cell_ms, driver_mb, peak_kb))


def main() -> None:
    """Measure and print a table; write JSON too if a file is named."""
    sweeps: list[Sweep] = []
    print("| " + " | ".join(HEADERS) + " |")
    print("| --- " + "| ---: " * (len(HEADERS) - 1) + "|")
    for engine in ("local", "ray"):
        of_engine = []
        for count in COUNTS:
            of_engine.append(measure(engine, count))
            print(f"| {line(of_engine[-1], of_engine[0])} |", flush=True)
        sweeps += of_engine
    if len(sys.argv) > 1:
        rows = [asdict(sweep) for sweep in sweeps]
        document = {"environment": to_builtins(replace(environment(), argv=[])), "rows": rows}
        Path(sys.argv[1]).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
