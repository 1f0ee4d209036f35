"""The command ``robustness``, and how its result is kept and shown."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.command import run_command
from helpers.robustness import SCALES, robustness_result
from helpers.training import MOBILENET, pictures, recipe
from msgspec import convert, to_builtins
from PIL import Image
from sklearn.metrics import roc_auc_score

from sfic_bench.cli import output
from sfic_bench.data import corruptions
from sfic_bench.data.corruptions import CORRUPTIONS
from sfic_bench.data.manifest import write_manifest
from sfic_bench.networks.variant import Variant
from sfic_bench.reporting.page import sections
from sfic_bench.reporting.robustness_tables import robustness_tables
from sfic_bench.reporting.table import to_plain
from sfic_bench.results.read import read
from sfic_bench.results.robustness import RobustnessRow
from sfic_bench.results.write import write_result
from sfic_bench.training.inference import TrainedNetwork
from sfic_bench.training.loop import train
from sfic_bench.training.recipe import TrainingDevices
from sfic_bench.training.runs import Run
from sfic_bench.training.splits import DataSplits

SFIC = Variant(backbone="mobilenet", alpha=0.5, beta=0.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest, and runs of a vanilla and an SFIC network with two seeds each."""
    folder = tmp_path_factory.mktemp("robustness")
    manifest = pictures(folder / "images", {"train": 16, "val": 4, "test": 40}, watermark=True)
    write_manifest(manifest, folder / "images" / "manifest.csv")
    for variant, name in ((MOBILENET, "vanilla"), (SFIC, "sfic")):
        for seed in (1, 2):
            train(
                variant, recipe(seed=seed, epochs=1), DataSplits.of(manifest), Run(folder / f"{name}-{seed}"),
                TrainingDevices(), resume=False,
            )  # fmt: skip
    return folder


def content(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def manifest_path(folder: Path) -> Path:
    return folder / "images" / "manifest.csv"


def test_curves_of_all_corruptions_from_one_command(folder: Path, tmp_path: Path) -> None:
    runs = [folder / name for name in ("sfic-2", "vanilla-1", "sfic-1", "vanilla-2")]
    before = content(folder)
    severities = [f"--severity={c.name}={c.severities[-1]:g}" for c in CORRUPTIONS.values()]
    file = tmp_path / "r.json"
    call = ["robustness", *map(str, runs), "--data", str(manifest_path(folder)), *severities]
    status, _, err = run_command(*call, "--format", "json", "-o", file)
    assert status == 0, err
    assert content(folder) == before
    result = read(file).robustness
    assert result is not None and result.images == 40 and result.notes == []
    assert len(result.rows) == 2 * (1 + 6)
    assert {(row.images, row.seeds) for row in result.rows} == {(40, 2)}
    clean, jpeg = (row_of(result.rows, SFIC, *place) for place in (("clean", None), ("jpeg", 10.0)))
    assert clean.unit == "" and jpeg.unit == "quality"
    assert row_of(result.rows, MOBILENET, "jpeg", 10.0).auc_over_vanilla is None
    # The clean score is that of the run's own test, and a corrupted one that of files corrupted by hand.
    own = [Run(folder / f"sfic-{seed}").result().scores["frame"]["auc"] for seed in (1, 2)]
    assert clean.frame_auc is not None and all(own)
    assert clean.frame_auc.estimate == pytest.approx(np.mean([auc.estimate for auc in own if auc]), abs=1e-6)
    aucs = {
        name: np.mean([auc_by_hand(folder, tmp_path / "jpeg", f"{name}-{seed}") for seed in (1, 2)])
        for name in ("sfic", "vanilla")
    }
    assert jpeg.frame_auc is not None and jpeg.auc_over_vanilla is not None
    assert jpeg.frame_auc.estimate == pytest.approx(aucs["sfic"], abs=1e-6)
    assert jpeg.auc_over_vanilla.estimate == pytest.approx(aucs["sfic"] - aucs["vanilla"], abs=1e-6)


def row_of(rows: list[RobustnessRow], variant: Variant, corruption: str, severity: float | None) -> RobustnessRow:
    place = (variant.alpha, corruption, severity)
    (row,) = (row for row in rows if (row.alpha, row.corruption, row.severity) == place)
    return row


def auc_by_hand(folder: Path, target: Path, run: str) -> float:
    """The AUC of a run on the test images, saved as JPEG files of quality 10."""
    rows = DataSplits.of(pictures(target, {"train": 16, "val": 4, "test": 40}, watermark=True)).test
    names = []
    for name in rows["path"]:
        with Image.open(target / name) as image:
            image.save((target / name).with_suffix(".jpg"), quality=10)
        names.append(str(Path(name).with_suffix(".jpg")))
    scored, _ = TrainedNetwork(Run(folder / run)).predictions(rows.assign(path=names), target)
    return float(roc_auc_score(scored["label"], scored["score"]))


def test_what_cannot_be_scored_is_named(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, data = folder / "vanilla-1", manifest_path(folder)

    def error(*arguments: str | Path) -> str:
        status, _, err = run_command("robustness", *arguments)
        assert status == 2 and err.count("\n") == 1, err
        return err

    assert "both are mobilenet with the seed 1" in error(one, one, "--data", data)
    longer = tmp_path / "longer"
    manifest = pictures(tmp_path / "images", {"train": 8, "val": 4, "test": 8})
    train(MOBILENET, recipe(epochs=2), DataSplits.of(manifest), Run(longer), TrainingDevices(), resume=False)
    assert "recipe.epochs was 1 and is 2" in error(one, longer, "--data", data)
    assert "unknown corruption 'jpg'" in error(one, "--corruption", "jpg", "--data", data)
    assert "NAME=X" in error(one, "--severity", "90,50", "--data", data)
    assert "not among" in error(one, "--corruption", "blur", "--severity", "jpeg=9", "--data", data)
    assert "from 1 to 100, got 0" in error(one, "--severity", "jpeg=0", "--data", data)
    assert "blur 0 leaves an image as it is" in error(one, "--severity", "blur=0", "--data", data)
    assert "takes numbers" in error(one, "--severity", "jpeg=", "--data", data)
    assert "no config.json" in error(tmp_path / "none", "--data", data)
    frame = pd.read_csv(data, keep_default_na=False)
    frame[(frame["split"] == "test") & (frame["label"] == 1)].to_csv(folder / "images" / "fakes.csv", index=False)
    assert "all 20 are fake" in error(one, "--data", folder / "images" / "fakes.csv")
    (folder / "images" / "fakes.csv").unlink()
    h264 = CORRUPTIONS["h264"]
    without = corruptions.Corruption(
        name="h264", title=h264.title, unit=h264.unit, severities=h264.severities, least=0, most=51,
        function=h264.function, lack=lambda: "PyAV is not installed",
    )  # fmt: skip
    monkeypatch.setattr(corruptions, "CORRUPTIONS", {**CORRUPTIONS, "h264": without})
    assert "h264 was left out: PyAV is not installed" in error(one, "--corruption", "h264", "--data", data)
    status, out, err = run_command(
        "robustness", one, folder / "sfic-1", folder / "sfic-2", "--data", data, "--corruption", "h264,jpeg",
        "--severity", "jpeg=50", "--format", "json",
    )  # fmt: skip
    result = json.loads(out)
    assert status == 0 and "h264 was left out" in err
    assert "h264 was left out" in result["notes"][0] and "has 2 runs and vanilla 1" in result["notes"][1]
    assert {row["corruption"] for row in result["rows"]} == {"clean", "jpeg"}
    assert not any("auc_over_vanilla" in row for row in result["rows"])


def test_an_early_end_leaves_what_is_finished(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, keep = tmp_path / "r.json", output.Output.keep
    kept = []

    def stop(self: output.Output, view: output.View) -> None:
        keep(self, view)
        kept.append(len(view.rows))
        if len(kept) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(output.Output, "keep", stop)
    call = (
        "robustness", folder / "vanilla-1", "--data", manifest_path(folder), "--corruption", "jpeg,blur",
        "--severity", "jpeg=100", "--severity", "blur=1",
    )  # fmt: skip
    status, _, err = run_command(*call, "--format", "json", "-o", file)
    assert status == 130 and f"{file} has what is finished" in err
    result = read(file).robustness
    assert result is not None and [row.key[3] for row in result.rows] == ["clean", "jpeg 100"]
    assert run_command("report", file, "-o", tmp_path / "r.html")[0] == 0


def test_unreadable_images_are_left_out_of_every_severity(folder: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    shutil.copytree(folder / "images", images)
    (images / "test003.png").write_bytes(b"no image")
    call = ("robustness", folder / "vanilla-1", "--data", images / "manifest.csv", "--corruption", "resize")
    status, _, err = run_command(*call)
    assert status == 2 and "test003.png" in err and "--skip-unreadable" in err
    status, out, err = run_command(*call, "--severity", "resize=1,4", "--skip-unreadable", "--format", "json")
    result = json.loads(out)
    assert status == 0 and "left out 1 images" in err and result["unreadable"] == ["test003.png"]
    # A factor of 1 is the image as it is, whose score is the clean row's.
    assert [(row["corruption"], row["severity"], row["images"]) for row in result["rows"]] == [
        ("clean", None, 39), ("resize", 4.0, 39),
    ]  # fmt: skip


def test_on_the_embedded_photographs(folder: Path) -> None:
    status, out, err = run_command(
        "robustness", folder / "vanilla-1", "--compression", "lq", "--split", "val", "--corruption", "noise",
        "--severity", "noise=20", "--format", "csv",
    )  # fmt: skip
    assert status == 0, err
    lines = pd.read_csv(pd.io.common.StringIO(out))
    # Four people, ten photographs of each, as they are and with four forgeries.
    assert lines["images"].tolist() == [200, 200] and lines["corruption"].tolist() == ["clean", "noise"]
    assert {"frame_auc", "frame_auc_low", "video_auc_high"} <= set(lines)


def test_a_result_is_read_back_compared_and_shown(tmp_path: Path) -> None:
    result = robustness_result()
    file, other = tmp_path / "r.json", tmp_path / "s.json"
    write_result(file, result)
    assert read(file).result == result
    write_result(other, robustness_result(SCALES[:1]))
    status, out, err = run_command("compare", file, other)
    assert status in (0, 1) and "jpeg 50" in out and "blur 1" in out, err
    (jpeg, *_, brightness) = robustness_tables(result)
    assert [column.name for column in jpeg.columns if "interval" not in column.name] == [
        "network", "score", "clean", "100", "50", "10",
    ]  # fmt: skip
    differences = ["resnet26 α=0.5 β=0.5", "− vanilla's", "+1.0", "-0.5 to +2.5", "+3.0", "+1.5 to +4.5"]
    assert jpeg.rows[4][:6] == differences
    assert "h264 was left out" in to_plain([brightness])
    shown = sections([read(file)])
    assert list(shown[0].tables[0].rows[0][:2]) == ["ok", "robustness"]
    assert "above vanilla's for sure in 7 of 8 comparisons" in shown[0].tables[0].rows[0][2]
    (section,) = [part for part in shown if part.name == "robustness-1"]
    specs = {caption: make_chart() for caption, make_chart in section.charts.items()}
    assert list(specs) == [
        "JPEG compression: AUC against quality", "Gaussian blur: AUC against σ in pixels",
        "Brightness: AUC against factor", "AUC less vanilla's on the same pixels, with 95% intervals",
    ]  # fmt: skip
    jpeg_points, blur_points, bright_points, compared = (
        next(iter(spec["datasets"].values())) for spec in specs.values()
    )
    assert [p["severity"] for p in jpeg_points if p["row"] == "resnet26"] == [100, 50, 10]
    assert [p["severity"] for p in blur_points if p["row"] == "resnet26"] == [0, 1, 3]
    assert [p["severity"] for p in bright_points if p["row"] == "resnet26"] == [0.5, 1, 1.5]
    assert blur_points[0]["auc"] == blur_points[0]["clean"] == pytest.approx(90)
    layers = [spec["layer"] for spec in specs.values()]
    assert [layer["mark"]["type"] for layer in layers[0]] == ["area", "rule", "line", "point"]
    assert [layer[0]["encoding"]["x"]["scale"]["reverse"] for layer in layers[:3]] == [True, False, False]
    assert len(compared) == 8 and {p["row"] for p in compared} == {"resnet26 α=0.5 β=0.5"}


def test_a_network_without_scores_in_one_file_draws_nothing(tmp_path: Path) -> None:
    """An AUC of one class is not defined, and a page says so by an empty cell."""
    result = robustness_result()
    rows = [RobustnessRow(**{name: getattr(row, name) for name in row.__struct_fields__
                             if name not in ("frame_auc", "video_auc", "auc_over_vanilla")},
                          frame_auc=None, video_auc=None) for row in result.rows]  # fmt: skip
    file = tmp_path / "r.json"
    write_result(file, type(result)(**{**{n: getattr(result, n) for n in result.__struct_fields__}, "rows": rows}))
    status, out, err = run_command("report", file, "--format", "markdown")
    assert status == 0 and "JPEG compression" in out, err


def test_a_run_of_before_a_recipe_had_all_its_fields_differs_in_nothing(folder: Path) -> None:
    config = Run(folder / "vanilla-1").config()
    values = to_builtins(config)
    for name in ("clip", "ema", "noise", "init"):
        del values["recipe"][name]
    older = convert(values, type(config))
    assert config.differences_from(older) == older.differences_from(config) == {}
