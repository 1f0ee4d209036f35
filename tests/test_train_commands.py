"""The commands that train networks and use trained ones."""

import io
import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from helpers.command import run_command
from helpers.training import SIZE, pictures, small_splits, write_splits
from PIL import Image

from sfic_bench.choices import ThresholdRule
from sfic_bench.data.manifest import COLUMNS, Manifest
from sfic_bench.results.checksums import write_with_checksum
from sfic_bench.training.attention import fakes
from sfic_bench.training.inference import TrainedNetwork, load_input
from sfic_bench.training.runs import VALIDATION, Run
from sfic_bench.training.splits import DataSplits, UnusableData
from sfic_bench.training.thresholds import NoThreshold, chosen_thresholds


@pytest.fixture
def data(tmp_path: Path) -> DataSplits:
    return small_splits(tmp_path)


def test_runs_are_trained_evaluated_and_explained(data: DataSplits, tmp_path: Path) -> None:
    manifest = write_splits(data)
    runs = tmp_path / "runs"
    call = ["accuracy", "--runs", str(runs), "--backbone", "mobilenet", "--seeds", "1,2", "--data", str(manifest),
            "--input-size", str(SIZE), "--epochs", "1", "--batch-size", "8", "--format", "json"]  # fmt: skip
    status, out, _ = run_command(*call)
    assert status == 0
    rows = json.loads(out)["rows"]
    assert [(r["alpha"], r["seeds"]) for r in rows] == [(None, 2), (0.5, 2)]
    assert rows[1]["auc_over_vanilla"]["estimate"] is not None and "auc_printed" not in rows[0]
    before = sorted((p, p.stat().st_mtime_ns) for p in runs.rglob("*") if p.is_file())
    assert run_command(*call)[1] == out or before == sorted(
        (p, p.stat().st_mtime_ns)
        for p in runs.rglob("*")
        if p.is_file() and p.name not in ("config.json", "environment.json")
    )
    status, out, _ = run_command(*call, "--against", "mobilenet")  # each run is finished
    _, sfic_row = json.loads(out)["rows"]
    assert sfic_row == rows[1] | {"against": "mobilenet"}
    (alone,) = json.loads(run_command(*call, "--no-vanilla")[1])["rows"]
    assert alone == {name: value for name, value in rows[1].items() if not name.endswith("_over_vanilla")}
    status, _, err = run_command(*call, "--no-vanilla", "--alpha", "none")
    assert status == 2 and "no network is left to train" in err
    run = runs / "noise" / "mobilenet-seed1"
    assert {p.name for p in run.iterdir()} >= {
        "config.json", "environment.json", "metrics.jsonl", "model.safetensors",
        "predictions.parquet", "result.json", "events",
    }  # fmt: skip
    status, out, _ = run_command("evaluate", run, "--data", manifest, "--format", "json")
    assert status == 0
    auc = Run(run).result().scores["frame"]["auc"]
    assert auc is not None
    assert json.loads(out)["scores"]["frame"]["auc"]["estimate"] == pytest.approx(auc.estimate, abs=1e-6)
    image = data.folder / data.test["path"].iat[0]
    status, out, _ = run_command("predict", run, image, tmp_path / "none.png", "--whole-image", "--format", "json")
    readable, missing = json.loads(out)["rows"]
    assert status == 1 and 0 <= readable["fake"] <= 1
    assert missing["fake"] is None and missing["remark"] == "there is no such file"
    sfic = runs / "noise" / "mobilenet-a0.5-b1-seed1"
    picture = tmp_path / "maps.png"
    status, _, err = run_command("attention", run, sfic, "--data", manifest, "--counts", "1,2", "-o", picture)
    assert status == 0, err
    with Image.open(picture) as drawn:
        assert drawn.size[0] > 300
    status, _, err = run_command("train", "--data", tmp_path / "none.csv", "-o", tmp_path / "x")
    assert status == 2 and err.count("\n") == 1 and "none.csv" in err


def test_a_run_is_exported_by_its_folder(data: DataSplits, tmp_path: Path) -> None:
    manifest, run, file = write_splits(data), tmp_path / "run", tmp_path / "network.pt"
    options = ("--backbone", "mobilenet", "--alpha", ".5", "--beta", ".5", "--epochs", "1", "--input-size", str(SIZE))
    assert run_command("train", *options, "--data", manifest, "-o", run)[0] == 0
    status, _, err = run_command("export", run, "--to", "torchscript", "-o", file)
    assert status == 0 and "its input is RGB, 32×32, in [0, 1]" in err
    exported = torch.jit.load(str(file))  # type: ignore[no-untyped-call]
    trained = TrainedNetwork(Run(run))
    paths = [data.folder / path for path in data.test["path"][:3]]
    images = torch.stack([load_input(path, SIZE) for path in paths])
    fake = exported(trained.augment(images)).softmax(dim=1)[:, 1]
    assert fake.tolist() == pytest.approx([score for _, score, _ in trained.scores(paths)], abs=1e-4)
    status, _, err = run_command("export", run, "--alpha", ".5", "-o", file)
    assert status == 2 and f"{run} says which network it is: leave --alpha out" in err


def test_scores_are_compared_and_reported(tmp_path: Path) -> None:
    images = pictures(tmp_path / "images", {"train": 8, "val": 8, "test": 64})
    manifest, page = write_splits(DataSplits.of(images)), tmp_path / "page.md"
    options = ("--backbone", "mobilenet", "--epochs", "1", "--input-size", str(SIZE), "--data", manifest)
    status, out, _ = run_command("train", *options, "-o", tmp_path / "run", "--format", "json")
    assert status == 0
    trained, evaluated = tmp_path / "trained.json", tmp_path / "evaluated.json"
    trained.write_text(out)
    arguments = ("evaluate", tmp_path / "run", "--data", manifest, "--format", "json", "-o", evaluated)
    assert run_command(*arguments)[0] == 0
    status, out, _ = run_command("compare", trained, evaluated)
    assert status == 0 and "as if of different images" in out
    assert run_command("report", trained, "-o", page)[0] == 0
    text = page.read_text()
    assert "Scores of trained networks" in text and "from trained.json" in text


def test_thresholds_are_chosen_on_validation_and_used(tmp_path: Path) -> None:
    images = pictures(tmp_path / "images", {"train": 8, "val": 30, "test": 64})
    manifest, run = write_splits(DataSplits.of(images)), Run(tmp_path / "run")
    options = ("--backbone", "mobilenet", "--epochs", "1", "--input-size", str(SIZE), "--data", manifest)
    status, out, _ = run_command("train", *options, "-o", run.folder)
    stored = run.result().thresholds
    assert status == 0 and stored is not None and stored == chosen_thresholds(run.predictions(VALIDATION))
    youden = stored.values[ThresholdRule.YOUDEN]
    assert stored.images == 30 and youden is not None and f"youden {youden:.4f}" in out
    network = TrainedNetwork(run)
    assert network.threshold("youden") == ("youden", youden) and network.threshold("0.25") == ("0.25", 0.25)
    again, _ = network.predictions(images.where(split="val"), images.folder)
    assert again["score"].to_numpy() == pytest.approx(run.predictions(VALIDATION)["score"].to_numpy(), abs=1e-6)
    evaluate = ("evaluate", run.folder, "--data", manifest, "--format")
    document = json.loads(run_command(*evaluate, "json")[1])
    tested = run.predictions()
    false_alarms = (tested.query("label == 0")["score"] > youden).mean()
    assert document["at_thresholds"]["youden"]["frame"]["fpr"]["estimate"] == pytest.approx(false_alarms)
    assert sum(of["images"] for of in document["reliability"]) == 64 and "groups" not in document
    lines = pd.read_csv(io.StringIO(run_command(*evaluate, "csv")[1])).set_index(["by", "group", "metric"])
    assert lines.loc[("threshold", "youden", "fpr"), "frame"] == pytest.approx(false_alarms)
    # A run of an older version has none.
    older = json.loads((run.folder / "result.json").read_text())
    del older["thresholds"]
    write_with_checksum(run.folder / "result.json", json.dumps(older).encode())
    document = json.loads(run_command(*evaluate, "json")[1])
    assert "at_thresholds" not in document and document["scores"]["frame"]["ece"]["estimate"] is not None
    with pytest.raises(NoThreshold, match="or by an older version"):
        network.threshold("eer")


def test_without_validation_images_there_are_no_thresholds(tmp_path: Path) -> None:
    images = pictures(tmp_path / "images", {"train": 8, "test": 8})
    manifest, run = write_splits(DataSplits.of(images)), Run(tmp_path / "run")
    options = ("--backbone", "mobilenet", "--epochs", "1", "--input-size", str(SIZE), "--data", manifest)
    status, out, _ = run_command("train", *options, "-o", run.folder)
    assert status == 0 and "thresholds" not in out and run.result().thresholds is None
    assert len(run.predictions(VALIDATION)) == 0


def test_fakes_are_random_of_different_videos_and_all_methods(tmp_path: Path) -> None:
    rows = []
    for method in ("DF", "FS"):
        for video in range(3):
            for compression in ("c23", "c40"):
                for frame in range(5):
                    place = f"{method}/{compression}/{video}"
                    path = f"{place}/{frame}.png"
                    (tmp_path / place).mkdir(parents=True, exist_ok=True)
                    Image.new("RGB", (SIZE, SIZE), (video, frame, method == "DF")).save(tmp_path / path)
                    rows.append((path, 1, "FF++", method, place, "test", compression))
    manifest = Manifest(frame=pd.DataFrame(rows, columns=list(COLUMNS)), folder=tmp_path)
    tensors = fakes(manifest, SIZE, 4)
    seen = [(int(t[2, 0, 0]), int(t[0, 0, 0])) for t in tensors]  # method and video
    assert len(set(seen)) == 4 and [method for method, _ in seen] == [1, 0, 1, 0]
    again, other = (torch.stack(fakes(manifest, SIZE, 4, seed)) for seed in (7, 8))
    assert torch.equal(torch.stack(tensors), again) and not torch.equal(again, other)
    with pytest.raises(UnusableData, match="has fakes of 6 videos, and 7 fakes are to be averaged: give smaller --c"):
        fakes(manifest, SIZE, 7)
    assert len(fakes(tmp_path / "DF/c23/0", SIZE, 5)) == 5
