"""The command ``deploy``: what runtimes and int8 change of a trained network's accuracy and time."""

import importlib.util
import json
from pathlib import Path

import pytest
import torch
from helpers.command import run_command
from helpers.deployment import deployment_result
from helpers.training import MOBILENET, pictures, recipe
from msgspec import convert, to_builtins
from msgspec.structs import replace
from sklearn.metrics import roc_auc_score

from sfic_bench.comparing.alike import conditions_of
from sfic_bench.comparing.figures import figures
from sfic_bench.data.manifest import write_manifest
from sfic_bench.deploying.calibration import evenly
from sfic_bench.deploying.formats import FORMATS
from sfic_bench.deploying.runtimes import runtimes_named
from sfic_bench.errors import InvalidValue, UnknownName
from sfic_bench.measure.conditions import Device
from sfic_bench.reporting.page.sections import sections
from sfic_bench.results.deployment import DeploymentResult
from sfic_bench.results.read import read
from sfic_bench.results.write import write_result
from sfic_bench.training.inference import TrainedNetwork
from sfic_bench.training.loop import train
from sfic_bench.training.recipe import TrainingDevices
from sfic_bench.training.runs import Run
from sfic_bench.training.splits import DataSplits

has_onnx = all(importlib.util.find_spec(name) for name in FORMATS["onnx"].packages)
pytestmark = pytest.mark.skipif(not has_onnx, reason="needs the extra onnx")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest, and a run of a vanilla network."""
    folder = tmp_path_factory.mktemp("deploy")
    manifest = pictures(folder / "images", {"train": 16, "val": 4, "test": 40}, watermark=True)
    write_manifest(manifest, folder / "images" / "manifest.csv")
    train(
        MOBILENET, recipe(seed=1, epochs=1), DataSplits.of(manifest), Run(folder / "run"), TrainingDevices(),
        resume=False,
    )  # fmt: skip
    return folder


@pytest.mark.filterwarnings("ignore")
def test_runtimes_are_scored_and_timed_beside_torch(folder: Path) -> None:
    manifest, path = folder / "images" / "manifest.csv", folder / "result.json"
    request = ("deploy", str(folder / "run"), "--data", str(manifest), "--calibration", "8", "--max-seconds", "1")
    assert run_command(*request, "--format", "json", "-o", str(path))[0] == 0
    result = convert(json.loads(path.read_text()), DeploymentResult)
    by_torch, by_onnx, in_int8 = result.rows
    assert [row.runtime for row in result.rows] == ["torch", "onnxruntime", "onnxruntime-int8"]
    assert (result.images, result.calibration, by_torch.images) == (40, 8, 40)
    network = TrainedNetwork(Run(folder / "run"), Device.CPU)
    splits = DataSplits.of(pictures(folder / "again", {"train": 16, "val": 4, "test": 40}, watermark=True))
    scored, _ = network.predictions(splits.test, splits.folder)
    expected = roc_auc_score(scored["label"], scored["score"])
    for row in (by_torch, by_onnx):
        assert row.frame_auc is not None and row.frame_auc.estimate == pytest.approx(expected, abs=1e-6)
    assert by_torch.auc_over_torch is None and by_torch.ratio_to_torch is None
    assert by_onnx.auc_over_torch is not None and by_onnx.auc_over_torch.estimate == pytest.approx(0, abs=1e-6)
    assert in_int8.auc_over_torch is not None and in_int8.frame_auc is not None and by_torch.frame_auc is not None
    lost = in_int8.frame_auc.estimate - by_torch.frame_auc.estimate
    assert in_int8.auc_over_torch.estimate == pytest.approx(lost)
    assert in_int8.file_bytes < by_onnx.file_bytes / 2
    assert all(row.latency_ms is not None and len(row.samples_ms) > 0 for row in result.rows)


@pytest.mark.filterwarnings("ignore")
def test_export_in_int8_takes_its_scales_from_training_images(folder: Path) -> None:
    manifest, path = folder / "images" / "manifest.csv", folder / "int8.onnx"
    request = ("export", str(folder / "run"), "--int8", "--data", str(manifest), "--calibration", "6", "-o", str(path))
    status, _, message = run_command(*request)
    assert status == 0 and f"wrote {path}: a batch of " in message
    size = TrainedNetwork(Run(folder / "run"), Device.CPU).recipe.input_size
    assert FORMATS["onnx"].load(path)(torch.zeros(2, 3, size, size)).shape == (2, 2)


def test_bad_requests_are_one_line(folder: Path, tmp_path: Path) -> None:
    manifest, run = str(folder / "images" / "manifest.csv"), str(folder / "run")
    for request, reason in (
        (("deploy", run, "--data", manifest, "--runtime", "onyx"), "unknown runtime 'onyx'"),
        (("deploy", run, "--data", manifest, "--split", "train"), "--split train would score the images"),
        (("deploy", run, "--data", manifest, "--calibration", "0"), "must be at least 1, got 0"),
        (("deploy", str(tmp_path / "none"), "--data", manifest), "none"),
        (("export", "--int8", "-o", str(tmp_path / "x.onnx")), "--int8 needs a RUN"),
    ):
        status, _, message = run_command(*request)
        assert status == 2 and reason in message and message.count("\n") == 1, message


def test_torch_is_always_among_the_runtimes() -> None:
    assert [runtime.name for runtime in runtimes_named(["openvino", "openvino"])] == ["torch", "openvino"]
    with pytest.raises(UnknownName, match=r"unknown runtime 'openvin'.*did you mean 'openvino'"):
        runtimes_named(["openvin"])


def test_calibration_images_are_drawn_at_even_steps(folder: Path) -> None:
    frame = pictures(folder / "drawn", {"train": 10}, watermark=True).frame
    assert list(evenly(frame, 4)["path"]) == [frame["path"].iloc[i] for i in (0, 2, 5, 7)]
    assert len(evenly(frame, 99)) == 10
    with pytest.raises(InvalidValue, match="at least 1, got 0"):
        evenly(frame, 0)


def test_results_are_read_compared_and_shown(tmp_path: Path) -> None:
    result = deployment_result()
    path = tmp_path / "deployment.json"
    write_result(path, result)
    file = read(path)
    assert file.deployment == result
    table = figures(file)
    assert set(table["metric"]) == {"auc per image", "auc per video", "latency_ms"}
    assert conditions_of(file)["calibration"] == 256
    (section,) = [s for s in sections([file], None) if s.name == "deployment-1"]
    (chart,) = section.charts.values()
    assert chart()["layer"]
    untimed = replace(result, rows=[replace(row, latency_ms=None, samples_ms=[]) for row in result.rows])
    write_result(path, convert(to_builtins(untimed), DeploymentResult))
    (section,) = [s for s in sections([read(path)], None) if s.name == "deployment-1"]
    assert not section.charts
