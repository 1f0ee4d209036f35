"""Training and scoring, on images small enough for a few seconds each."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file
from sklearn import metrics as sklearn_metrics
from test_compare import run as command

from sfic_bench.data.loader import Order
from sfic_bench.data.manifest import COLUMNS, Manifest, write_manifest
from sfic_bench.data.orl import load_orl, orl
from sfic_bench.errors import InvalidValue, UnknownName
from sfic_bench.spec import Variant
from sfic_bench.train.loop import Machine, train
from sfic_bench.train.protocols import experiments
from sfic_bench.train.recipe import Recipe
from sfic_bench.train.runs import Run, UnusableRun
from sfic_bench.train.scores import metrics, over_seeds, summary
from sfic_bench.train.splits import Data, UnreadableData
from sfic_bench.train.use import Trained

SIZE = 32
PLAIN = {"flip": 0.0, "rotation": 0.0, "perspective": 0.0}
MOBILENET = Variant(backbone="mobilenet")


def pictures(folder: Path, counts: dict[str, int], watermark: bool = False, seed: int = 0) -> Manifest:
    """Faint noise on a shade of its own, labels in turn; fakes may have one white pixel."""
    rng = np.random.default_rng(seed)
    rows = []
    for split, count in counts.items():
        for i in range(count):
            image = (rng.integers(40, 160) + rng.integers(0, 8, (SIZE, SIZE, 3))).astype(np.uint8)
            if watermark and i % 2:
                image[9, 9] = 255
            name = f"{split}{i:03}.png"
            Image.fromarray(image).save(folder / name)
            rows.append(
                (name, i % 2, "noise", "mark" if i % 2 else "", f"{split}-v{i // 4}-{i % 2}", split, "")
            )
    return Manifest(frame=pd.DataFrame(rows, columns=list(COLUMNS)), folder=folder)


def recipe(**more: object) -> Recipe:
    given = {"epochs": 2, "batch_size": 8, "input_size": SIZE, "learning_rate": 1e-3, **more}
    return Recipe(**given)  # type: ignore[arg-type]


@pytest.fixture
def data(tmp_path: Path) -> Data:
    folder = tmp_path / "images"
    folder.mkdir()
    return Data.of(pictures(folder, {"train": 13, "val": 5, "test": 7}))


@pytest.mark.parametrize("variant", [MOBILENET, Variant(backbone="mobilenet", alpha=0.5, beta=0.5)])
def test_the_same_seed_gives_the_same_weights(data: Data, tmp_path: Path, variant: Variant) -> None:
    results = [train(variant, recipe(), data, Run(tmp_path / name), Machine()) for name in "ab"]
    a, b = (load_file(tmp_path / name / "model.safetensors") for name in "ab")
    assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
    assert results[0] == results[1]
    train(variant, recipe(seed=8), data, Run(tmp_path / "c"), Machine())
    # Weights and not scores: on seven images two networks that have learnt little may well score the same.
    other = load_file(tmp_path / "c" / "model.safetensors")
    assert all(not torch.equal(a[k], other[k]) for k in a if a[k].dim() == 4)


def test_half_precision_trains(data: Data, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    train(MOBILENET, recipe(precision="bf16"), data, run, Machine())
    assert [np.isfinite(e["loss"]) and e["loader_images_per_s"] > 0 for e in run.epochs()] == [True, True]
    weights = load_file(run.folder / "model.safetensors")
    assert {t.dtype for t in weights.values()} == {torch.float32, torch.int64}  # bf16 are the products alone
    assert Trained(run).predictions(data.test, data.folder)[0]["score"].between(0, 1).all()


def test_a_killed_run_goes_on_as_if_it_had_not_been(data: Data, tmp_path: Path) -> None:
    """Killed at many moments, among them while files are written."""
    whole = Run(tmp_path / "whole")
    train(MOBILENET, recipe(epochs=4), data, whole, Machine())
    manifest = tmp_path / "images" / "manifest.csv"
    write_manifest(Manifest(frame=pd.concat([data.train, data.val, data.test]), folder=data.folder), manifest)
    killed = Run(tmp_path / "killed")
    call = [sys.executable, "-m", "sfic_bench", "train", "--backbone", "mobilenet", "--data", str(manifest),
            "--epochs", "4", "--batch-size", "8", "--input-size", str(SIZE), "--learning-rate", "1e-3",
            "-o", str(killed.folder), "--resume"]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    kills = 0
    for delay in (0.0, 0.05, 0.3):
        process = subprocess.Popen(
            call, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        before = len(killed.epochs()) if (killed.folder / "config.json").exists() else 0
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline and len(killed.epochs()) <= before:
            time.sleep(0.005)
        time.sleep(delay)
        kills += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert kills >= 2
    done = subprocess.run(call, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    a, b = (load_file(run.folder / "model.safetensors") for run in (whole, killed))
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert [e["epoch"] for e in killed.epochs()] == [1, 2, 3, 4]
    assert [e["val"] for e in killed.epochs()] == [e["val"] for e in whole.epochs()]
    assert killed.result()["scores"] == whole.result()["scores"]
    assert not list(killed.folder.glob(".*"))


def test_two_processes_score_as_one(tmp_path: Path) -> None:
    (tmp_path / "marked").mkdir()
    data = Data.of(pictures(tmp_path / "marked", {"train": 40, "val": 4, "test": 15}, watermark=True))
    run = Run(tmp_path / "run")
    # Learnt well enough that no two scores are closer than rounding.
    train(MOBILENET, recipe(epochs=6, decay=0.9, learning_rate=3e-4, **PLAIN), data, run, Machine())
    expected, _ = Trained(run).predictions(data.test, data.folder)
    script = tmp_path / "two.py"
    script.write_text(f"""
import sys
from pathlib import Path
import pandas as pd
from lightning_fabric import Fabric
from sfic_bench.data.loader import Images, Order, batches
from sfic_bench.train.augment import Augment
from sfic_bench.train.loop import new_network
from sfic_bench.train.predict import predict
from sfic_bench.train.runs import Run
from sfic_bench.train.use import Trained

fabric = Fabric(accelerator="cpu", devices=2, strategy="ddp")
fabric.launch()
run = Run(Path({str(run.folder)!r}))
trained = Trained(run)
model = new_network(trained.variant, trained.recipe)
run.load_model(model)
model = fabric.setup(model)
frame = pd.read_csv({str(tmp_path / "test.csv")!r}, keep_default_na=False)
order = Order(len(frame), rank=fabric.global_rank, of=fabric.world_size)
loader = batches(Images(frame, Path({str(data.folder)!r}), {SIZE}), order, 2, 0)
found = predict(fabric, model, Augment(trained.recipe), frame, loader, lambda *_: None)
found.to_parquet(Path({str(tmp_path)!r}) / f"rank{{fabric.global_rank}}.parquet")
""")
    data.test.to_csv(tmp_path / "test.csv", index=False)
    done = torchrun(str(script))
    assert done.returncode == 0, done.stderr
    assert np.diff(np.sort(expected["score"])).min() > 1e-6
    for rank in range(2):  # 15 images on two processes: uneven shares
        found = pd.read_parquet(tmp_path / f"rank{rank}.parquet")
        assert found["path"].tolist() == expected["path"].tolist()
        assert found["score"].to_numpy() == pytest.approx(expected["score"].to_numpy(), abs=1e-6)
        theirs, ours = summary(found)["frame"], summary(expected)["frame"]
        assert all(theirs[k].value == pytest.approx(ours[k].value, abs=1e-6) for k in ours)


def torchrun(*arguments: str) -> subprocess.CompletedProcess[str]:
    call = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        *arguments,
    ]
    return subprocess.run(
        call, capture_output=True, text=True, timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


def test_two_processes_train(data: Data, tmp_path: Path) -> None:
    manifest = tmp_path / "images" / "manifest.csv"
    write_manifest(Manifest(frame=pd.concat([data.train, data.val, data.test]), folder=data.folder), manifest)
    done = torchrun("-m", "sfic_bench", "train", "--backbone", "mobilenet", "--data", str(manifest), "--epochs", "1",
                    "--batch-size", "4", "--input-size", str(SIZE), "--devices", "2", "-o", str(tmp_path / "run"))  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert Run(tmp_path / "run").result()["images"] == 7
    assert done.stdout.count("after 1 epochs") == 1  # one of the processes speaks


@pytest.mark.parametrize("shuffled", [False, True])
@given(length=st.integers(1, 40), of=st.integers(1, 4))
def test_shares_of_an_epoch(shuffled: bool, length: int, of: int) -> None:
    orders = [Order(length, rank=rank, of=of, seed=3 if shuffled else None) for rank in range(of)]
    shares = [list(order) for order in orders]
    assert [len(share) for share in shares] == [len(order) for order in orders]
    seen = sorted(i for share in shares for i, _ in share)
    assert len(set(seen)) == len(seen)
    orders[0].epoch = 2
    assert {take for _, take in orders[0]} <= {2}
    if shuffled:
        assert len({len(share) for share in shares}) == 1 and len(seen) > length - of
    else:
        assert seen == list(range(length))


def test_random_labels_cannot_be_learnt(tmp_path: Path) -> None:
    data = Data.of(pictures(tmp_path, {"train": 60, "val": 20, "test": 120}))
    found = train(MOBILENET, recipe(epochs=3), data, Run(tmp_path / "run"), Machine())["scores"]["frame"][
        "auc"
    ]
    low, high = found["ci95"]
    assert low <= 0.5 <= high


def test_a_watermark_of_one_pixel_is_found(tmp_path: Path) -> None:
    data = Data.of(pictures(tmp_path, {"train": 160, "val": 20, "test": 80}, watermark=True))
    found = train(MOBILENET, recipe(epochs=8, decay=0.9, **PLAIN), data, Run(tmp_path / "run"), Machine())
    assert found["scores"]["frame"]["auc"]["value"] > 0.99


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=60))
def test_metrics_are_scikit_learns(pairs: list[tuple[int, bool]]) -> None:
    score = np.array([s / 6 for s, _ in pairs])  # many ties
    label = np.array([float(fake) for _, fake in pairs])
    found = metrics(score, label)
    if len(set(label)) < 2:
        assert set(found.values()) == {None}
        return
    assert found["auc"] == pytest.approx(sklearn_metrics.roc_auc_score(label, score), abs=1e-6)
    assert found["ap"] == pytest.approx(sklearn_metrics.average_precision_score(label, score), abs=1e-6)
    assert found["bacc"] == pytest.approx(
        sklearn_metrics.balanced_accuracy_score(label, score > 0.5), abs=1e-6
    )
    fpr, tpr, _ = sklearn_metrics.roc_curve(label, score, drop_intermediate=False)
    assert found["tpr_at_fpr_1e-2"] == pytest.approx(max(tpr[fpr <= 0.01]), abs=1e-6)
    curve = np.linspace(0, 1, 100_001)
    misses = 1 - np.interp(curve, fpr, tpr)
    assert found["eer"] is not None
    assert min(abs(misses - curve)[abs(curve - found["eer"]) < 2e-5], default=0) < 0.6  # on the curve
    # The bootstrap's own AUC and balanced accuracy are the same.
    frame = pd.DataFrame({"score": score, "label": label, "dataset": "x", "video": np.arange(len(score))})
    assert over_seeds([frame])["auc"].value == pytest.approx(found["auc"], abs=1e-6)
    assert over_seeds([frame])["bacc"].value == pytest.approx(found["bacc"], abs=1e-6)


def test_equal_error_rate() -> None:
    score, label = np.array([0.1, 0.4, 0.35, 0.8]), np.array([0.0, 0.0, 1.0, 1.0])
    assert metrics(score, label)["eer"] == pytest.approx(0.5)
    assert metrics(label * 0.8 + 0.1, label)["eer"] == 0


def test_videos_are_scored_by_the_mean_of_their_images_and_resampled_whole() -> None:
    rng = np.random.default_rng(0)
    rows = [(f"v{v}", v % 2, np.clip(0.5 + 0.1 * (v % 2) + centre + rng.normal(0, 0.01), 0, 1))
            for v in range(20) for centre in [rng.normal(0, 0.1)] for _ in range(30)]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["video", "label", "score"]).assign(dataset="x")
    found = summary(frame)
    assert found["video"]["auc"].value == pytest.approx(
        sklearn_metrics.roc_auc_score(*frame.groupby("video")[["label", "score"]].mean().to_numpy().T)
    )
    # 600 images are no more than 20 videos: taking them for independent would give a fifth of this.
    low, high = found["frame"]["auc"].low, found["frame"]["auc"].high
    assert low is not None and high is not None and high - low > 0.2


def test_seeds_and_a_baseline() -> None:
    rng = np.random.default_rng(1)
    label = np.arange(200) % 2

    def run(lift: float) -> pd.DataFrame:
        return pd.DataFrame({"score": np.clip(rng.normal(0.5, 0.15, 200) + lift * label, 0, 1), "label": label,
                             "dataset": "x", "video": np.arange(200)})  # fmt: skip

    better, worse = [run(0.3) for _ in range(3)], [run(0.05) for _ in range(3)]
    gain = over_seeds(better, worse)["auc"]
    assert gain.low is not None and gain.low > 0
    same = over_seeds(worse, worse)["auc"]
    assert same.value == 0 and same.low == same.high == 0


def test_images_that_cannot_be_read(data: Data, tmp_path: Path) -> None:
    bad = data.folder / data.train["path"].iat[3]
    bad.write_bytes(bad.read_bytes()[:60])
    with pytest.raises(UnreadableData, match=bad.name) as told:
        train(MOBILENET, recipe(epochs=1), data, Run(tmp_path / "a"), Machine())
    assert "--skip-unreadable" in str(told.value)
    (data.folder / data.test["path"].iat[0]).unlink()
    found = train(MOBILENET, recipe(epochs=1), data, Run(tmp_path / "b"), Machine(skip_unreadable=True))
    assert found["unreadable"] == [data.test["path"].iat[0], data.train["path"].iat[3]]
    assert found["images"] == 6
    with pytest.raises(UnreadableData, match=bad.name):  # of a worker process, too
        train(MOBILENET, recipe(epochs=1), data, Run(tmp_path / "c"), Machine(workers=1))


def test_data_that_cannot_be_trained_with(data: Data, tmp_path: Path) -> None:
    manifest = pictures(tmp_path, {"train": 4, "val": 2})
    with pytest.raises(UnreadableData, match="the split test is empty"):
        Data.of(manifest)
    real = data.train[data.train["label"] == 0]
    with pytest.raises(UnreadableData, match=r"real images alone, such as train000\.png"):
        Data(train=real, val=data.val, test=data.test, folder=data.folder, name="x")


def test_runs_are_not_mixed_up(data: Data, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    with pytest.raises(UnusableRun, match=r"has no config\.json"):
        Trained(run)
    train(MOBILENET, recipe(epochs=1), data, run, Machine())
    with pytest.raises(UnusableRun, match="--resume"):
        train(MOBILENET, recipe(epochs=1), data, run, Machine())
    with pytest.raises(UnusableRun, match=r"recipe was .* and is"):
        train(MOBILENET, recipe(epochs=2), data, run, Machine(), resume=True)
    again = train(MOBILENET, recipe(epochs=1), data, run, Machine(), resume=True)
    assert again == run.result()


def test_weights_are_never_code(data: Data, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    train(MOBILENET, recipe(epochs=1), data, run, Machine())

    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "owned",))

    torch.save(Evil(), run.folder / "model.safetensors")
    with pytest.raises(UnusableRun, match="cannot read"):
        Trained(run)
    assert not (tmp_path / "owned").exists()


def test_the_embedded_data_are_hard_enough() -> None:
    manifest = orl()
    frame = manifest.frame
    assert len(frame) == 2 * (220 * 2 + 180 * 5)
    assert manifest.where(split="train")["label"].mean() == 0.5
    people = {split: {v[:3] for v in rows["video"]} for split, rows in frame.groupby("split")}
    assert not people["train"] & people["test"] and not people["val"] & people["test"]
    some = frame.sample(400, random_state=0)
    images, masks = zip(*(load_orl(path) for path in some["path"]), strict=True)
    assert images[0].shape == (112, 92, 3) and np.array_equal(images[0], load_orl(some["path"].iat[0])[0])
    assert [mask.any() for mask in masks] == list(some["label"] == 1)
    for made, alike in (("real", True), ("tone", False)):
        path = f"orl:s01/01/{made}/hq"
        first, again, other = (load_orl(path, take)[0] for take in (1, 1, 0))
        assert np.array_equal(first, again) and np.array_equal(first, other) == alike
    for feature in (np.mean, np.std):
        auc = sklearn_metrics.roc_auc_score(some["label"], [feature(image) for image in images])
        assert 0.4 < auc < 0.6
    with pytest.raises(InvalidValue, match="got 'orl:s41"):
        load_orl("orl:s41/01/real/hq")


def test_protocols() -> None:
    manifest = orl()
    intra = experiments("intra", [manifest])
    assert [(e.train_on, e.test_on) for e in intra] == [("orl hq", "orl hq"), ("orl lq", "orl lq")]
    out = experiments("leave-one-out", [manifest])
    assert len(out) == 8 and out[0].train_on == "orl hq without filter"
    assert "filter" not in set(out[0].data.train["method"]) and set(out[0].data.test["method"]) == {
        "",
        "filter",
    }
    cross = experiments("cross", [manifest])
    assert [(e.train_on, e.test_on) for e in cross] == [("orl hq", "orl lq"), ("orl lq", "orl hq")]
    (only,) = experiments("intra", [manifest.of_compression("lq")])
    assert only.train_on == "orl lq" and only.data.name == "orl lq"
    with pytest.raises(UnknownName, match="known: hq, lq"):
        manifest.of_compression("hq", "c23")
    assert cross[0].elsewhere is not None and set(cross[0].elsewhere.frame["compression"]) == {"lq"}
    # A data set may be there to be tested on alone, as Celeb-DF in the paper.
    frame = manifest.where(compression="lq", split="test").assign(dataset="Celeb-DF v2", compression="")
    celeb = Manifest(frame=frame.assign(path=frame["path"] + "x"), folder=manifest.folder)
    assert len(celeb.of_compression("hq")) == len(celeb)  # it has one only
    hq = Manifest(frame=manifest.where(compression="hq"), folder=manifest.folder)
    (only,) = experiments("cross", [hq, celeb])
    assert (only.train_on, only.test_on) == ("orl hq", "CelebDF") and len(only.elsewhere) == len(frame)
    with pytest.raises(InvalidValue, match="nothing to do"):
        only = Manifest(frame=manifest.where(compression="hq"), folder=manifest.folder)
        experiments("cross", [only])


def test_the_commands(data: Data, tmp_path: Path) -> None:
    manifest = data.folder / "manifest.csv"
    write_manifest(Manifest(frame=pd.concat([data.train, data.val, data.test]), folder=data.folder), manifest)
    common = ("--data", manifest, "--input-size", SIZE, "--epochs", 1, "--batch-size", 8)
    runs = tmp_path / "runs"
    call = (
        "accuracy",
        "--runs",
        runs,
        "--backbone",
        "mobilenet",
        "--seeds",
        "1,2",
        *common,
        "--format",
        "json",
    )
    status, out, _ = command(*map(str, call))
    assert status == 0
    rows = json.loads(out)["rows"]
    assert [(r["alpha"], r["seeds"]) for r in rows] == [(None, 2), (0.5, 2)]
    assert rows[1]["auc_over_vanilla"]["value"] is not None and rows[0]["auc_printed"] is None
    before = sorted((p, p.stat().st_mtime_ns) for p in runs.rglob("*") if p.is_file())
    assert command(*map(str, call))[1] == out or before == sorted(
        (p, p.stat().st_mtime_ns)
        for p in runs.rglob("*")
        if p.is_file() and p.name not in ("config.json", "environment.json")
    )
    run = runs / "noise" / "mobilenet-seed1"
    assert {p.name for p in run.iterdir()} >= {
        "config.json", "environment.json", "metrics.jsonl", "checkpoint.safetensors", "model.safetensors",
        "predictions.parquet", "result.json", "events",
    }  # fmt: skip
    status, out, _ = command("evaluate", str(run), "--data", str(manifest), "--format", "json")
    assert status == 0
    assert json.loads(out)["scores"]["frame"]["auc"]["value"] == pytest.approx(
        Run(run).result()["scores"]["frame"]["auc"]["value"], abs=1e-6
    )
    image = data.folder / data.test["path"].iat[0]
    status, out, _ = command("predict", str(run), str(image), str(tmp_path / "none.png"), "--format", "json")
    found = json.loads(out)["rows"]
    assert (
        status == 1
        and 0 <= found[0]["fake"] <= 1
        and found[1]["fake"] is None
        and "none.png" in found[1]["reason"]
    )
    sfic = runs / "noise" / "mobilenet-a0.5-b1-seed1"
    picture = tmp_path / "maps.png"
    status, _, err = command(
        "attention", str(run), str(sfic), "--data", str(manifest), "--counts", "1,2", "-o", str(picture)
    )
    assert status == 0, err
    with Image.open(picture) as drawn:
        assert drawn.size[0] > 300
    status, _, err = command("train", "--data", str(tmp_path / "none.csv"), "-o", str(tmp_path / "x"))
    assert status == 2 and err.count("\n") == 1 and "none.csv" in err


@pytest.mark.parametrize(
    "bad", [{"epochs": 0}, {"learning_rate": -1.0}, {"precision": "fp8"}, {"decay": 2.0}, {"flip": 1.5}]
)
def test_recipes_are_checked(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError if "precision" not in bad else LookupError):
        recipe(**bad)
