"""What a sweep adds to its cells: 1,000 and 10,000 of the least ones. ``python benchmarks/sweep_overhead.py [FILE.json]``.

A cell counts a network of one convolution, at a size of its own. Printed are the time of the whole command, what one
more cell takes, and the most that the driver had resident.
"""

import json
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

NETWORK = """
from torch import nn

def net(num_classes=2):
    return nn.Sequential(nn.Conv2d(3, num_classes, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
"""

COUNTS = (1_000, 10_000)


def measure(engine: str, count: int) -> dict[str, float | int | str]:
    """One sweep of ``count`` cells, whose results are thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "net.py").write_text(NETWORK)
        sizes = ", ".join(map(str, range(8, 8 + count)))
        (place / "spec.toml").write_text(
            f'[[cost]]\nbackbone = "net.py:net"\nalpha = "none"\ninput_size = [{sizes}]\n'
        )
        call = [
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


def main() -> None:
    """Measure, print a table, and write JSON where that is asked for."""
    found = [measure(engine, count) for engine, count in product(("local", "ray"), COUNTS)]
    print(
        "| engine | cells | whole command, s | one more cell, ms | of these in the cell, ms | driver's peak, MB |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for few, many in zip(found[::2], found[1::2], strict=True):
        more = int(many["cells"]) - int(few["cells"])
        each, inside = (1e3 * (float(many[k]) - float(few[k])) / more for k in ("wall_s", "in_cells_s"))
        for row, cells in ((few, ("", "")), (many, (f"{each:.1f}", f"{inside:.1f}"))):
            print(
                f"| {row['engine']} | {row['cells']:,} | {row['wall_s']:.1f} | {cells[0]} | {cells[1]} | {row['driver_peak_mb']:.0f} |"
            )
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
