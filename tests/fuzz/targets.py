"""What is fuzzed: each kind of file that sfic-bench reads, by the function that reads it."""

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from helpers.training import MOBILENET, recipe, small_splits
from msgspec import Struct
from safetensors.torch import save
from torch import nn

from fuzz.mutate import Mutate, mutated_bytes, mutated_json
from sfic_bench.choices import ThresholdRule
from sfic_bench.data.importers import IMPORTERS, import_dataset
from sfic_bench.data.manifest import Manifest, read_manifest
from sfic_bench.networks.weights import load, read_state
from sfic_bench.reporting.page import sections, to_markdown
from sfic_bench.results.audit import AuditResult, AuditRow, ClaimRow, ParityRow, UnprintedRow
from sfic_bench.results.checksums import SUMS, write_with_checksum
from sfic_bench.results.environment import environment
from sfic_bench.results.read import read
from sfic_bench.results.scores import ReliabilityBin, ScoreGroup, ScoresResult, Thresholds
from sfic_bench.results.tables import PaperTableResult, TableCell
from sfic_bench.results.write import to_json
from sfic_bench.statistics.interval import Interval
from sfic_bench.sweeping.kept import DRIVER, PLAN, Plan, kept
from sfic_bench.sweeping.progress import Driver
from sfic_bench.sweeping.spec import read_sweep
from sfic_bench.sweeping.store import Store
from sfic_bench.training.loop import train
from sfic_bench.training.recipe import TrainingDevices
from sfic_bench.training.runs import Run

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Target:
    """One kind of file.

    Attributes:
        content: what is mutated.
        use: takes the path of a mutated file and reads it.
        name: the file's name in a folder of its own.
        write: writes the mutated content to the file's path.
    """

    content: bytes
    use: Callable[[Path], object]
    name: str
    mutate: Mutate
    write: Callable[[Path, bytes], object] = Path.write_bytes


def targets(folder: Path) -> dict[str, Target]:
    """All targets by name; ``folder`` is for what they need beside the mutated file."""
    return {
        **dict(_results()),
        **dict(_tables()),
        **dict(_states()),
        **dict(_runs(folder)),
        **dict(_sweeps(folder)),
        **dict(_data_sets(folder)),
    }


AUDIT = AuditResult(
    environment=environment(),
    rows=[
        AuditRow(
            table="II", model="resnet26", alpha=0.5, beta=1.0, quantity="macs", printed="1.2", measured=12,
            verdict="differs", note="n",
        )
    ],
    unprinted=[UnprintedRow(backbone="alexnet", alpha=None, beta=None, params=1, macs=2)],
    parity=[
        ParityRow(backbone="vgg13", alpha=0.5, beta=1.0, vanilla=1, sfic=2, terms={"MCSConv": 1}, unexplained=0)
    ],
    claims=[ClaimRow(section="I", stated="s", before="a", after="b", reduction_percent=1.0, over_after_percent=2.0)],
)  # fmt: skip
SCORES = ScoresResult(
    environment=environment(), run="r", data="m.csv", split="test", images=9, unreadable=["a.png"], epochs=2,
    scores={
        "frame": {"auc": Interval(estimate=0.9, low=0.8, high=0.95), "eer": Interval(estimate=0.1)},
        "video": {"auc": Interval(estimate=0.9), "eer": None},
    },
    thresholds=Thresholds(images=5, values={ThresholdRule.EER: 0.5, ThresholdRule.FPR_1: None}),
    at_thresholds={ThresholdRule.EER: {"frame": {"acc": Interval(estimate=0.9, low=0.8, high=0.95)}}},
    groups=[ScoreGroup(by="method", name="n", images=4, scores={"frame": {"auc": Interval(estimate=0.9)}})],
    reliability=[ReliabilityBin(low=0.4, high=0.5, images=9, mean=0.45, fakes=0.4)],
)  # fmt: skip


TABLE = PaperTableResult(
    environment=environment(), table="V", recipe={"epochs": 20}, seeds=[7], notes=["n"],
    rows=[
        TableCell(
            model="M2TR", alpha=None, beta=None, train_on="HFF", test_on="HFF", metric="AUC", printed=99.0, seeds=1,
            measured=Interval(estimate=98.0, low=97.0, high=99.5), verdict="reproduced",
        )
    ],
)  # fmt: skip
RESULTS: dict[str, Struct] = {"audit": AUDIT, "scores": SCORES, "table": TABLE}


def _results() -> Iterator[tuple[str, Target]]:
    def report(path: Path) -> None:
        to_markdown(sections([read(path)]))

    files = sorted((ROOT / "tests" / "golden" / "v1").glob("*.json")) + sorted((ROOT / "reports").glob("*.json"))
    for path in files:
        if path.stat().st_size < 200_000:
            content = path.read_bytes()
            yield f"result {path.stem}", Target(content=content, use=read, name="r.json", mutate=mutated_json)
    documents = {
        name: (ROOT / "reports" / f"{name}.json").read_bytes() for name in ("detectors-cost-299", "detectors-accuracy")
    }
    documents |= {name: to_json(result).encode() for name, result in RESULTS.items()}
    for name, content in documents.items():
        yield f"report {name}", Target(content=content, use=report, name="r.json", mutate=mutated_json)


MANIFEST = (
    "path,label,dataset,method,video,split,compression\n"
    "a.png,0,FF++,,000,train,c23\n"
    "b.png,1,FF++,Deepfakes,000_003,train,c23\n"
    "c.png,1,FF++,FaceSwap,001_004,test,c40\n"
)


def _tables() -> Iterator[tuple[str, Target]]:
    def use(path: Path) -> Manifest:
        return read_manifest(path).of_compression("c23")

    yield "manifest csv", Target(content=MANIFEST.encode(), use=use, name="m.csv", mutate=mutated_bytes)
    lines = [line.split(",") for line in MANIFEST.splitlines()]
    parquet = pd.DataFrame(lines[1:], columns=lines[0]).to_parquet(index=False)
    yield "manifest parquet", Target(content=parquet, use=use, name="m.parquet", mutate=mutated_bytes)


def _states() -> Iterator[tuple[str, Target]]:

    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))

    def use(path: Path) -> None:
        load(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), read_state(path), str(path))

    for name, content, legacy in (
        ("state dict", model.state_dict(), False),
        ("old state dict", model.state_dict(), True),
        ("checkpoint", {"state_dict": model.state_dict(), "epoch": 3}, False),
    ):
        buffer = io.BytesIO()
        torch.save(content, buffer, _use_new_zipfile_serialization=not legacy)
        yield name, Target(content=buffer.getvalue(), use=use, name="w.pt", mutate=mutated_bytes)
    tensors = save({name: tensor.contiguous() for name, tensor in model.state_dict().items()})
    yield "safetensors", Target(content=tensors, use=use, name="w.safetensors", mutate=mutated_bytes)


def _runs(folder: Path) -> Iterator[tuple[str, Target]]:
    run = Run(folder / "run")
    data = small_splits(folder)
    train(MOBILENET, recipe(epochs=1), data, run, TrainingDevices())

    def use_all(path: Path) -> None:
        damaged = Run(path.parent)
        damaged.check()
        damaged.config(), damaged.result(), damaged.epochs(), damaged.predictions()

    def use_config(path: Path) -> object:
        return Run(path.parent).config()

    def use_result(path: Path) -> object:
        return Run(path.parent).result()

    def use_epochs(path: Path) -> object:
        return Run(path.parent).epochs()

    def use_predictions(path: Path) -> object:
        return Run(path.parent).predictions()

    for name, use, mutate in (
        ("config.json", use_config, mutated_json),
        ("result.json", use_result, mutated_json),
        ("metrics.jsonl", use_epochs, mutated_bytes),
        ("predictions.parquet", use_predictions, mutated_bytes),
    ):
        content = (run.folder / name).read_bytes()
        # A stranger's run has checksums that hold, whatever is in it.
        yield f"run {name}", Target(content=content, use=use, name=name, mutate=mutate, write=write_with_checksum)
    content = (run.folder / SUMS).read_bytes()
    yield f"run {SUMS}", Target(content=content, use=use_all, name=SUMS, mutate=mutated_bytes)


def _sweeps(folder: Path) -> Iterator[tuple[str, Target]]:
    from helpers.sweeps import COST, TRAINING, run_sweep

    place = folder / "sweep"
    place.mkdir()
    assert run_sweep(place, COST)[0] == 0
    root = place / "out"
    result = next((root / "results").iterdir())

    def use_result(path: Path) -> object:
        return kept(Store(str(path.parents[1])), path.stem)

    def use_plan(path: Path) -> object:
        return Store(str(path.parents[1])).read(PLAN, Plan)

    def use_driver(path: Path) -> object:
        return Store(str(path.parents[1])).read(DRIVER, Driver)

    name = f"results/{result.name}"
    yield "sweep result", Target(content=result.read_bytes(), use=use_result, name=name, mutate=mutated_json)
    plan, driver = (root / PLAN).read_bytes(), (root / DRIVER).read_bytes()
    yield "sweep plan", Target(content=plan, use=use_plan, name=PLAN, mutate=mutated_json)
    yield "sweep driver", Target(content=driver, use=use_driver, name=DRIVER, mutate=mutated_json)
    latency = '[[latency]]\nbackbone = "vgg13"\nalpha = [0.25, 0.5]\ndtype = ["bf16"]\npath = ["fused"]\n'
    table = '[[table]]\nnumber = "IX"\ndata = ["none.csv"]\nepochs = 1\n'
    spec = (COST + latency + TRAINING + table).encode()
    yield "sweep file", Target(content=spec, use=read_sweep, name="spec.toml", mutate=mutated_bytes)


BENCH = {
    "FaceForensics++": {
        "FF-real": {"train": {"c23": {"000": {"label": "FF-real", "frames": ["a/000/000.png", "a/000/001.png"]}}}},
        "FF-DF": {"test": {"c23": {"000_003": {"label": "FF-DF", "frames": ["a\\000_003\\000.png"]}}}},
    }
}


def _data_sets(folder: Path) -> Iterator[tuple[str, Target]]:
    def importer(kind: str, **options: object) -> Callable[[Path], object]:
        def use(path: Path) -> object:
            return import_dataset(kind, path.parent, **options)  # type: ignore[arg-type]

        return use

    def use_bench(path: Path) -> object:
        return import_dataset("deepfakebench", path)

    assert set(IMPORTERS) >= {"deepfakebench", "dfdc", "ffpp", "celebdf", "released"}
    bench = json.dumps(BENCH).encode()
    yield "DeepfakeBench", Target(content=bench, use=use_bench, name="b.json", mutate=mutated_json)
    splits = json.dumps([["000", "003"], ["001", "870"]]).encode()
    for name in ("train.json", "val.json", "test.json"):
        yield f"FF++ {name}", Target(content=splits, use=importer("ffpp"), name=name, mutate=mutated_json)
    metadata = json.dumps({"a.mp4": {"label": "FAKE", "split": "train", "original": "b.mp4"}}).encode()
    yield "DFDC", Target(content=metadata, use=importer("dfdc"), name="metadata.json", mutate=mutated_json)
    labels = b"filename,label\na.mp4,1\nb.mp4,0\n"
    yield "DFDC labels", Target(content=labels, use=importer("dfdc"), name="labels.csv", mutate=mutated_bytes)
    listed = b"1 YouTube-real/00170.mp4\n0 Celeb-synthesis/id0_id1_0000.mp4\n"
    name = "List_of_testing_videos.txt"
    yield "Celeb-DF", Target(content=listed, use=importer("celebdf"), name=name, mutate=mutated_bytes)
    lines = b"/data/a.png 0\n/data/b.png 1\n"
    yield "released list", Target(content=lines, use=importer("released"), name="train.txt", mutate=mutated_bytes)
