"""The commands that are killed, and how to see that nothing of theirs is lost."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.command import run_command
from helpers.films import film, person
from helpers.training import SIZE, pictures, write_splits

from sfic_bench.data.images import UnreadableImage, load_image
from sfic_bench.training.splits import DataSplits

OLD = "an old file"


@dataclass(frozen=True, kw_only=True)
class Victim:
    """A command that goes on when it is started again.

    Attributes:
        arguments: of ``sfic-bench``.
        folder: what the command writes is in it.
        prepare: makes the folder as the first start needs it.
        kept: how much is finished, which never becomes less.
        problem: what is wrong with the files in the folder; ``""`` if nothing is.
        outcome: the result, equal for any two runs that have ended.
    """

    name: str
    arguments: Sequence[str | Path]
    folder: Path
    prepare: Callable[[], object]
    kept: Callable[[], int]
    problem: Callable[[], str]
    outcome: Callable[[], object]


def victims(folder: Path) -> Iterator[Victim]:
    """All commands that write; ``folder`` is for their input and output."""
    manifest = write_splits(DataSplits.of(pictures(folder / "images", {"train": 16, "val": 6, "test": 8})))
    small = ("--backbone", "mobilenet", "--data", manifest, "--input-size", str(SIZE), "--batch-size", "8")
    yield _training("train", folder / "train", (*small, "--epochs", "4"))
    yield _training("train on two devices", folder / "two", (*small, "--epochs", "2", "--devices", "2"))
    yield _accuracy(folder / "accuracy", small)
    yield _extraction(folder)
    yield _sweep(folder)
    report = folder / "counts.json"
    run_command("flops", "--backbone", "mobilenet", "--format", "json", "-o", report)
    for label in ("real", "fake"):
        pictures(folder / "classes" / label, {"test": 4})
    run = folder / "trained"
    run_command("train", *small, "--epochs", "1", "-o", run)
    image = folder / "images" / "test000.png"
    few = ("--backbone", "mobilenet,vgg13", "--alpha", ".5", "--beta", ".5,1")
    layer = ("--batch-size", "1", "--max-seconds", "5", "--alpha", ".5", "--beta", "1")
    tiny = ("--input-size", "48", *layer)
    for name, arguments in {
        "flops": ("flops", *few, "--format", "json"),
        "latency": ("latency", "--backbone", "mobilenet,vgg13", *tiny, "--format", "json"),
        "audit": ("audit", "--format", "json"),
        "data check": ("data", "check", manifest, "--format", "json"),
        "data import": ("data", "import", "folder", folder / "classes"),
        "export": ("export", "--backbone", "mobilenet", "--input-size", "48", "--to", "torchscript"),
        "report": ("report", report, "--format", "html"),
        "compare": ("compare", report, report, "--format", "json"),
        "stage2": ("stage2", "--channels", "8", "--size", "8", *layer, "--format", "json"),
        "list": ("list", "--format", "json"),
        "env": ("env", "--format", "json"),
        "explain": ("explain", "--backbone", "mobilenet", "--format", "json"),
        "evaluate": ("evaluate", run, "--data", manifest, "--format", "json"),
        "predict": ("predict", run, image, "--whole-image", "--format", "json"),
        "attention": ("attention", run, "--data", manifest, "--counts", "1,2"),
    }.items():
        yield _output(name, folder, arguments)


def _digests(folder: Path, pattern: str) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob(pattern))
    }


def _epochs(folder: Path) -> int:
    """The finished epochs of all runs in a folder."""
    return sum(path.read_text().count("\n") for path in folder.rglob("metrics.jsonl"))


def _nothing_is_wrong() -> str:
    return ""


def _training(name: str, folder: Path, options: Sequence[str | Path]) -> Victim:
    def outcome() -> object:
        epochs = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        rows = [(epoch["epoch"], epoch["loss"], epoch["val"]) for epoch in epochs]
        return _digests(folder, "model.safetensors"), rows, json.loads((folder / "result.json").read_text())["scores"]

    return Victim(
        name=name, arguments=("train", *options, "-o", folder, "--resume"), folder=folder, prepare=lambda: None,
        kept=lambda: _epochs(folder), problem=_nothing_is_wrong, outcome=outcome,
    )  # fmt: skip


def _accuracy(folder: Path, options: Sequence[str | Path]) -> Victim:
    output = folder / "accuracy.json"
    arguments = ("accuracy", *options, "--epochs", "2", "--runs", folder / "runs", "--format", "json", "-o", output)
    return Victim(
        name="accuracy", arguments=arguments, folder=folder, prepare=folder.mkdir, kept=lambda: _epochs(folder),
        problem=lambda: _old_or_whole(output),
        outcome=lambda: (_digests(folder, "model.safetensors"), json.loads(output.read_text())["rows"]),
    )  # fmt: skip


def _extraction(folder: Path) -> Victim:
    videos, output = folder / "videos", folder / "faces"
    for label in ("real", "fake"):
        for i in range(3):
            film(videos / label / f"{i}.mp4", [person(i + 1)] * 4)

    def problem() -> str:
        for path in output.rglob("*.png"):
            try:
                load_image(path)
            except UnreadableImage as error:
                return str(error)
        return ""

    options = ("--count", "2", "--workers", "2", "--upsample", "0")
    return Victim(
        name="data extract", arguments=("data", "extract", "folder", videos, "-o", output, *options), folder=output,
        prepare=lambda: None, kept=lambda: len(list(output.rglob("*.png"))), problem=problem,
        outcome=lambda: _digests(output, "*.png"),
    )  # fmt: skip


SWEEP = """[[cost]]
backbone = "mobilenet"
alpha = [0.25, 0.5]
beta = [0.5, 1.0]

[[accuracy]]
backbone = "mobilenet"
alpha = "none"
data = ["images/manifest.csv"]
input_size = 32
epochs = 2
batch_size = 8
"""


def _sweep(folder: Path) -> Victim:
    spec, output = folder / "sweep.toml", folder / "swept"
    spec.write_text(SWEEP)

    def results() -> list[Path]:
        return sorted((output / "results").glob("*.json"))

    def outcome() -> object:
        documents: list[dict[str, Any]] = [json.loads(path.read_text()) for path in results()]
        rows = [{k: v for k, v in d.items() if k not in ("environment", "cell")} for d in documents]
        return rows, _digests(output, "model.safetensors")

    return Victim(
        name="sweep", arguments=("sweep", spec, "--engine", "local", "-o", output), folder=output,
        prepare=lambda: None, kept=lambda: len(results()) + _epochs(output),
        problem=lambda: next(filter(None, map(_old_or_whole, results())), ""), outcome=outcome,
    )  # fmt: skip


def _old_or_whole(path: Path) -> str:
    """What is wrong with a JSON file that is old, whole or absent."""
    if path.exists() and (text := path.read_text()) != OLD:
        try:
            json.loads(text)
        except ValueError as error:
            return f"{path.name} is neither old nor whole: {error}"
    return ""


ENDS: Mapping[str, tuple[str, bytes]] = {
    "report": (".html", b"</html>"), "export": (".pt", b"PK"),
    "data import": (".csv", b"\n"), "attention": (".png", b"IEND"),
}  # fmt: skip


def _output(name: str, folder: Path, arguments: Sequence[str | Path]) -> Victim:
    place = folder / f"output {name}"
    suffix, end = ENDS.get(name, (".json", b"}"))
    file = place / f"f{suffix}"

    def prepare() -> None:
        place.mkdir()
        file.write_text(OLD)

    def problem() -> str:
        data = file.read_bytes()
        if data == OLD.encode():
            return ""
        if suffix == ".json":
            return _old_or_whole(file)
        return "" if end in data[-4096:] and len(data) > 100 else f"{file.name} is neither old nor whole"

    def outcome() -> object:
        if suffix != ".json":
            return file.read_bytes() != OLD.encode()
        document = json.loads(file.read_text())
        if name in ("latency", "stage2"):
            return [(row["backbone"], row["path"], row["status"]) for row in document["rows"]]
        return document.get("rows", document.get("findings", document.get("scores")))

    return Victim(
        name=f"{name} --output", arguments=(*arguments, "-o", file), folder=place, prepare=prepare,
        kept=lambda: int(file.exists()), problem=problem, outcome=outcome,
    )  # fmt: skip
