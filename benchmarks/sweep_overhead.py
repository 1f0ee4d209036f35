"""What a sweep adds to its cells: 1,000 and 10,000 of the least ones. ``python benchmarks/sweep_overhead.py [FILE.json]``.

A cell counts a network of one convolution, at a size of its own. What the command takes for one cell is its start; what it
takes beyond that, divided by the cells, is what each costs. Linear growth is the same cost at 1,000 and at 10,000.
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
    """One sweep of ``count`` cells, whose results are thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "net.py").write_text(NETWORK)
        sizes = ", ".join(map(str, range(8, 8 + count)))
        (place / "spec.toml").write_text(f'[[cost]]\nbackbone = "net.py:net"\nalpha = "none"\ninput_size = [{sizes}]\n')
        call: list[str | Path] = [
            sys.executable,
            "-m",
            "sfic_bench",
            "sweep",
            place / "spec.toml",
            "-o",
            place / "out",
            "--engine",
            engine,
        ]
        started, most = time.perf_counter(), 0
        with subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None:
                most = max(most, _resident(process.pid))
                time.sleep(0.2)
        if process.returncode:
            raise SystemExit(f"the sweep of {count} cells by {engine} ended with {process.returncode}")
        cells = [json.loads(path.read_text())["cell"] for path in (place / "out" / "results").iterdir()]
        return {
            "engine": engine,
            "cells": len(cells),
            "wall_s": time.perf_counter() - started,
            "in_cells_s": sum(cell["seconds"] for cell in cells),
            "driver_peak_mb": most / 1e6,
        }


def _resident(pid: int) -> int:
    """The most that a process has had resident so far, bytes; Linux alone tells."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


HEADS = (
    "engine",
    "cells",
    "command, s",
    "a cell, ms",
    "of that inside it, ms",
    "driver's peak, MB",
    "a cell, KB",
)


def main() -> None:
    """Measure, print a table, and write JSON where that is asked for."""
    found = []
    print("| " + " | ".join(HEADS) + " |")
    print("| --- " + "| ---: " * (len(HEADS) - 1) + "|")
    for engine in ("local", "ray"):
        one, *more = (measure(engine, count) for count in COUNTS)
        for row in (one, *more):
            told = [
                engine,
                f"{row['cells']:,}",
                f"{row['wall_s']:.1f}",
                "",
                "",
                f"{row['driver_peak_mb']:.0f}",
                "",
            ]
            if cells := row["cells"] - 1:
                each, inside, held = (row[k] - one[k] for k in ("wall_s", "in_cells_s", "driver_peak_mb"))
                told[3:5], told[6] = (
                    [f"{1e3 * x / cells:.1f}" for x in (each, inside)],
                    f"{1e3 * held / cells:.0f}",
                )
            print("| " + " | ".join(told) + " |", flush=True)
        found += [one, *more]
    if len(sys.argv) > 1:
        document = {"environment": to_builtins(replace(environment(), argv=[])), "rows": found}
        Path(sys.argv[1]).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
