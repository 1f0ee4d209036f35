"""Measures what matters first on a CUDA device, in five parts of at most ten minutes, and compares it with predictions.

``python benchmarks/gpu_measure.py A|B|C|D|E FOLDER`` installs nothing and needs torch, triton, numpy, pandas, rich,
typer, msgspec and this checkout. Every path is checked against float64 before it is timed. FOLDER gets one JSON file
for each measurement, which `sfic-bench report` reads. The file is written again after each backbone, so that an
interrupted run keeps what it has. ``--dry-run`` does the same with tiny shapes on the CPU, and says how long each part
should take on an H100.
"""

import argparse
import importlib.util
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # torch's memory profiler announces each start and stop

import torch  # noqa: E402
from msgspec import structs  # noqa: E402

from sfic_bench import timing  # noqa: E402
from sfic_bench.measure.conditions import Conditions, Device, MemoryLayout, NumberFormat  # noqa: E402
from sfic_bench.measure.sampler import Stop  # noqa: E402
from sfic_bench.networks.grid import Grid  # noqa: E402
from sfic_bench.networks.variant import Stage2Layer, Variant  # noqa: E402
from sfic_bench.reporting import Column, Table, to_plain  # noqa: E402
from sfic_bench.reporting.cells import bounds, estimate  # noqa: E402
from sfic_bench.results.timing import TimingResult, TimingRow, merged  # noqa: E402
from sfic_bench.results.write import write_result  # noqa: E402
from sfic_bench.statistics.intervals import paired_ratio  # noqa: E402

SEVEN = ("mobilenet", "resnet26", "resnet50", "resnet101", "vgg13", "vgg16", "vgg19")
FP32 = Conditions(device=Device.CUDA, batch_size=8, layout=MemoryLayout.CHANNELS_LAST, energy=False)
BF16 = structs.replace(FP32, dtype=NumberFormat.BF16, batch_size=64)
BF16_WITH_ENERGY = structs.replace(BF16, energy=True)
LIMIT_S = 570
"""No backbone is begun that, according to `SECONDS`, would end later than this after the start."""

SECONDS = {
    "start": 20.0, "network": 3.0, "layer": 0.4, "energy": 2.5, "reference": 0.5, "fused": 0.5, "cuda-graph": 1.0,
    "compiled": 30.0, "compiled-freezing": 30.0, "compiled-reduce-overhead": 35.0, "compiled-max-autotune": 160.0,
    "triton": 1.0, "tiles of a layer": 4.0, "tiles of a network": 80.0,
}  # fmt: skip
"""Modelled seconds on one H100 and 16 CPU cores: to draw and check a network or a layer, and to make one path ready."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Networks or layers, paths and conditions that are measured together and written as one file.

    Attributes:
        seconds: time for the samples of each backbone.
        rounds: at most this many samples; a few are enough to check results.
    """

    name: str
    networks: tuple[Variant | Stage2Layer, ...]
    paths: tuple[str, ...]
    conditions: Conditions
    seconds: float
    rounds: int = 200

    @property
    def families(self) -> dict[str, list[Variant | Stage2Layer]]:
        by_name: dict[str, list[Variant | Stage2Layer]] = {}
        for network in self.networks:
            by_name.setdefault(network.name, []).append(network)
        return by_name

    def modelled_s(self, members: Sequence[Variant | Stage2Layer]) -> float:
        """Seconds that one family is expected to take on an H100."""
        of_one = sum(SECONDS[path] for path in self.paths)
        of_one += SECONDS["layer" if isinstance(members[0], Stage2Layer) else "network"]
        if self.conditions.energy:
            of_one += SECONDS["energy"] * len(self.paths)
        tiles = SECONDS["tiles of a layer" if isinstance(members[0], Stage2Layer) else "tiles of a network"]
        tuned = sum(not m.is_vanilla for m in members) if "triton" in self.paths else 0
        return len(members) * of_one + tuned * tiles + self.seconds


def variants(*backbones: str, alphas: Iterable[float], betas: Iterable[float]) -> tuple[Variant, ...]:
    """Each backbone, vanilla and at every (α, β)."""
    return tuple(Grid(backbones=backbones, alphas=tuple(alphas), betas=tuple(betas)))


def stage2(part: str, grid: Grid, *paths: str) -> Iterator[Measurement]:
    """One Stage 2, 3×3 and 1×1, over ``grid``, in the sizes of a ResNet-50's four layers at 256×256."""
    for channels, size in ((64, 64), (128, 32), (256, 16), (512, 8)):
        layers = tuple(
            Stage2Layer(channels=channels, kernel_size=kernel, alpha=v.alpha, beta=v.beta)
            for kernel in (3, 1)
            for v in grid
        )
        conditions = structs.replace(BF16, input_size=size)
        name = f"{part}-stage2-{channels}ch"
        yield Measurement(name=name, networks=layers, paths=paths, conditions=conditions, seconds=6)


PARTS: dict[str, tuple[Measurement, ...]] = {
    "A": (
        Measurement(
            name="a-correct", networks=variants(*SEVEN, alphas=[0.5], betas=[0.5, 0.75, 1.0]),
            paths=("reference", "fused", "cuda-graph"), conditions=FP32, seconds=4, rounds=5,
        ),
    ),
    "B": (
        Measurement(
            name="b-grid", networks=tuple(Grid(backbones=SEVEN)), paths=("cuda-graph",), conditions=BF16, seconds=12,
        ),
    ),
    "C": (
        *stage2("c", Grid(backbones=("stage2",)), "cuda-graph"),
        *(
            Measurement(
                name=f"c-compiled-{backbone}", networks=variants(backbone, alphas=[alpha], betas=[0.5]),
                paths=("fused", "cuda-graph", "compiled", "compiled-freezing"),
                conditions=BF16_WITH_ENERGY, seconds=20,
            )
            for backbone, alpha in (("resnet26", 0.75), ("resnet50", 0.5))
        ),
    ),
    "D": (
        Measurement(
            name="d-autotuned-resnet50", networks=variants("resnet50", alphas=[0.5], betas=[0.5]),
            paths=("cuda-graph", "compiled-max-autotune"), conditions=BF16_WITH_ENERGY, seconds=30,
        ),
    ),
    "E": (
        *stage2("e", Grid(backbones=("stage2",), alphas=(0.5,), betas=(0.5, 0.75)), "cuda-graph", "triton"),
        Measurement(
            name="e-triton",
            networks=(
                *variants("resnet50", alphas=[0.5], betas=[0.5]), *variants("resnet26", alphas=[0.75], betas=[0.5]),
            ),
            paths=("cuda-graph", "compiled", "triton"), conditions=BF16, seconds=20,
        ),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Prediction:
    """Time over vanilla's on the same path, and of ``triton`` over that on vanilla's fastest path.

    The range is what the model's assumptions leave open.
    """

    ratio: float
    low: float = 0.0
    high: float = 0.0

    def __str__(self) -> str:
        span = f" ({self.low:.2f}–{self.high:.2f})" if self.high else ""
        return f"{self.ratio:.2f}{span}"


PREDICTED: dict[tuple[str, float, float, str], Prediction] = {
    ("resnet50", 0.5, 0.5, "cuda-graph"): Prediction(1.19, 1.08, 1.29),
    ("resnet26", 0.75, 0.5, "cuda-graph"): Prediction(0.94, 0.83, 1.04),
    ("resnet50", 0.5, 0.75, "cuda-graph"): Prediction(1.5),
    ("resnet50", 0.5, 1.0, "cuda-graph"): Prediction(1.05),
    ("vgg13", 0.5, 1.0, "cuda-graph"): Prediction(1.2),
    ("resnet50", 0.5, 0.5, "compiled"): Prediction(0.99, 0.90, 1.07),
    ("resnet26", 0.75, 0.5, "compiled"): Prediction(0.85, 0.76, 0.93),
    ("resnet50", 0.5, 0.5, "compiled-max-autotune"): Prediction(1.02, 0.93, 1.12),
    ("resnet50", 0.5, 0.5, "triton"): Prediction(0.80, 0.75, 0.94),
    ("resnet26", 0.75, 0.5, "triton"): Prediction(0.65, 0.60, 0.74),
}
"""Batch 64, 256×256, bf16, channels last, on an H100, from each operation's MACs and bytes at 399 TMac/s and 3.0 TB/s.

The predictions were made before anything was measured on a GPU, and before a residual sum became part of the fused
Stage 2, which saves one pass over memory in each block.
"""

MISS = 0.15
"""A prediction that is wrong by more than this share must be explained by a profile before anything is tuned."""


def tiny(measurement: Measurement) -> Measurement:
    """``measurement`` for a CPU and some seconds: two networks, or two layers if they are compiled; one round."""
    is_slow = any(path.startswith("compiled") for path in measurement.paths)
    networks: tuple[Variant | Stage2Layer, ...] = variants("mobilenet", alphas=[0.5], betas=[0.5])
    size = 32
    if is_slow or isinstance(measurement.networks[0], Stage2Layer):
        networks, size = (Stage2Layer(channels=8), Stage2Layer(channels=8, alpha=0.5, beta=0.5)), 8
    conditions = structs.replace(measurement.conditions, device=Device.CPU, batch_size=2, input_size=size)
    paths = tuple(dict.fromkeys(("fused", *measurement.paths)))
    return replace(measurement, networks=networks, paths=paths, conditions=conditions, seconds=1, rounds=1)


TESTS = {"A": "tests/gpu/test_cuda.py", "E": "tests/gpu/test_kernels_on_cuda.py"}
"""The tests that a part runs first."""


def tested_on_device(tests: str) -> bool:
    """Run ``tests``, which need a CUDA device, and return whether none failed."""
    if importlib.util.find_spec("pytest") is None:
        print("pytest is not installed: the tests that need the device were not run")
        return True
    arguments = ["-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", "--confcutdir", "tests/gpu", tests]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment).returncode == 0


def run(measurement: Measurement, device: str, folder: Path, until_s: float) -> list[TimingRow]:
    """Measure family by family, and write the file after each."""
    machine = timing.Machine.for_conditions(measurement.conditions)
    stop = Stop(max_seconds=measurement.seconds, min_rounds=min(10, measurement.rounds), max_rounds=measurement.rounds)
    path = folder / f"{device}-{measurement.name}.json"
    results: list[TimingResult] = []
    for name, members in measurement.families.items():
        if time.monotonic() + measurement.modelled_s(members) > until_s:
            print(f"{measurement.name}: no time left for {name}")
            continue
        began = time.monotonic()
        results += timing.measure(members, measurement.paths, measurement.conditions, machine, stop)
        write_result(path, merged(results))
        print(f"{measurement.name}: {name} took {time.monotonic() - began:.0f} s", flush=True)
    return [row for result in results for row in result.rows]


def fastest_vanilla(rows: Sequence[TimingRow], name: str) -> TimingRow | None:
    """The fastest row of the vanilla network or layer ``name``."""
    timed = [r for r in rows if r.is_vanilla and r.name == name and r.l2 != "warm" and r.latency_ms is not None]
    return min(timed, key=lambda r: r.latency_ms.estimate if r.latency_ms else 0.0, default=None)


def compared(rows: Sequence[TimingRow]) -> Table:
    """A table of each SFIC row's time over vanilla's on the same path, and of the predictions."""
    lines = []
    for row in (r for r in rows if not r.is_vanilla and r.l2 != "warm"):
        assert row.alpha is not None and row.beta is not None
        predicted = PREDICTED.get((row.name, row.alpha, row.beta, row.path))
        remark, ratio = row.reason, row.ratio_to_vanilla
        if row.path == "triton" and row.samples_ms and (vanilla := fastest_vanilla(rows, row.name)) is not None:
            ratio = paired_ratio(row.samples_ms, vanilla.samples_ms)
        if ratio is not None and predicted is not None and abs(ratio.estimate / predicted.ratio - 1) > MISS:
            remark = f"{ratio.estimate / predicted.ratio - 1:+.0%} from the prediction: profile it"
        lines.append(
            [row.network, row.path, estimate(ratio, ".3f"), bounds(ratio, ".3f"), str(predicted or ""), remark]
        )
    columns = [Column(name=n) for n in ("network or layer", "path")]
    columns += [Column(name=n, number=True) for n in ("vs. vanilla", "95% interval", "predicted")]
    return Table(
        title="Time over vanilla's on the same path; of triton, over vanilla's fastest",
        columns=[*columns, Column(name="remark")],
        rows=lines,
    )


def main(part: str, folder: Path, dry: bool) -> int:
    began = time.monotonic()
    if not dry and not torch.cuda.is_available():
        print("no CUDA device on this machine: nothing was measured", file=sys.stderr)
        return 2
    modelled = SECONDS["start"] + sum(m.modelled_s(f) for m in PARTS[part] for f in m.families.values())
    print(f"part {part}: expected to take {modelled / 60:.1f} minutes on an H100")
    tests_passed = tested_on_device(TESTS[part]) if part in TESTS else True
    name = "dry-run" if dry else torch.cuda.get_device_name()
    device = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    rows = []
    for measurement in PARTS[part]:
        rows += run(tiny(measurement) if dry else measurement, device, folder, began + LIMIT_S)
    statuses = {status: sum(r.status == status for r in rows) for status in ("ok", "wrong", "unavailable")}
    print("\n" + to_plain([compared(rows)]))
    print(", ".join(f"{count} {status}" for status, count in statuses.items()), flush=True)
    print(f"part {part} took {(time.monotonic() - began) / 60:.1f} minutes")
    missing = 0 if dry else statuses["unavailable"]  # a CPU has no CUDA graphs
    return 0 if tests_passed and rows and not statuses["wrong"] and not missing else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=sorted(PARTS))
    parser.add_argument("folder", type=Path, help="folder of the JSON files; created if it does not exist")
    parser.add_argument("--dry-run", action="store_true", help="measure tiny shapes on the CPU")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    sys.exit(main(arguments.part, arguments.folder, arguments.dry_run))
