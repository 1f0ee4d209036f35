"""The command ``predict``, with a network that was trained for a moment and dlib's detector."""

import csv
import io
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.command import run_command
from helpers.films import film, person
from helpers.training import MOBILENET, SIZE, recipe, small_splits
from PIL import Image

from sfic_bench.training.loop import train
from sfic_bench.training.recipe import TrainingDevices
from sfic_bench.training.runs import Run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, and a user's folder with a portrait, a landscape and a video of a person."""
    pytest.importorskip("dlib")
    place = tmp_path_factory.mktemp("predict")
    train(MOBILENET, recipe(epochs=1), small_splits(place), Run(place / "run"), TrainingDevices())
    (place / "user").mkdir()
    Image.fromarray(person(1)).save(place / "user/portrait.jpg", quality=95)
    Image.new("RGB", (640, 480), (90, 120, 90)).save(place / "user/landscape.png")
    film(place / "user/talk.mp4", [np.roll(person(2), i, axis=1) for i in range(6)])
    return place


def test_a_folder_as_json_and_pictures(folder: Path) -> None:
    call = ("predict", folder / "run", folder / "user", "--frames", "3", "--upsample", "0", "--format", "json")
    status, out, err = run_command(*call, "--picture", folder / "pictures", "--attention")
    assert status == 1, err  # the landscape has no face
    result = json.loads(out)
    assert result["schema"] == "sfic-bench/predictions/2" and result["detector"] == "dlib"
    landscape, portrait, talk = result["rows"]
    assert landscape["fake"] is None and landscape["remark"] == "no face found"
    assert portrait["kind"] == "face" and 0 <= portrait["fake"] <= 1
    # The photograph lies at 180–456 × 70–406 of the picture.
    box = portrait["box"]
    assert 150 < box["left"] < box["right"] < 486 and 40 < box["top"] < box["bottom"] < 436
    assert talk["kind"] == "video" and talk["frames"] == 3 and [f["frame"] for f in talk["curve"]] == [1, 3, 5]
    assert talk["fake"] == pytest.approx(np.mean([f["fake"] for f in talk["curve"]]))
    names = sorted(path.name for path in (folder / "pictures").iterdir())
    assert names == ["landscape.png.scores.jpg", "portrait.jpg.scores.jpg", "talk.mp4.scores.jpg"]
    for name in names:
        with Image.open(folder / "pictures" / name) as drawn:
            drawn.load()


def test_a_list_gives_a_line_for_each_row(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = folder / "user"
    lines = f"{user / 'portrait.jpg'}\n{user / 'none.jpg'}\n{user / 'talk.mp4'}\n".encode()
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(lines)))
    call = ("predict", folder / "run", "-", "--frames", "2", "--upsample", "0")
    status, out, _ = run_command(*call, "--format", "jsonl")
    assert status == 1
    rows = [json.loads(line) for line in out.splitlines()]
    assert [(Path(row["path"]).name, row["fake"] is None) for row in rows] == [
        ("portrait.jpg", False), ("none.jpg", True), ("talk.mp4", False),
    ]  # fmt: skip
    assert rows[1]["remark"] == "there is no such file" and len(rows[2]["curve"]) == 2
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(lines)))
    file = folder / "rows.jsonl"
    assert run_command(*call, "--format", "jsonl", "-o", file)[0] == 1
    assert file.read_text() == out
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"\n")))
    status, out, err = run_command(*call, "--format", "jsonl")
    assert status == 0 and out == "" and "names nothing" in err


def test_tables_of_frames(folder: Path) -> None:
    talk = folder / "user/talk.mp4"
    call = ("predict", folder / "run", talk, "--frames", "4", "--per-frame", "--upsample", "0")
    status, out, _ = run_command(*call, "--format", "csv")
    assert status == 0
    video, *frames = csv.DictReader(io.StringIO(out))
    assert [row["kind"] for row in (video, *frames)] == ["video"] + ["frame"] * 4
    assert float(video["fake"]) == pytest.approx(np.mean([float(row["fake"]) for row in frames]))
    assert all(float(video["low"]) <= float(video["fake"]) <= float(video["high"]) for _ in frames)
    lefts = [int(row["box_left"]) for row in frames]
    assert lefts == sorted(lefts) and all(row["path"] == str(talk) for row in frames)
    status, out, _ = run_command(*call)
    assert status == 0 and "Frames" in out and "4/4" in out and "interval is of other frames" in out


@pytest.mark.parametrize(("threshold", "verdict"), [("0", "fake"), ("1", "real")])
def test_verdicts_follow_the_threshold(folder: Path, threshold: str, verdict: str) -> None:
    call = ("predict", folder / "run", folder / "user/portrait.jpg", "--upsample", "0", "--format", "jsonl")
    status, out, _ = run_command(*call, "--threshold", threshold)
    assert status == 0 and json.loads(out)["verdict"] == verdict


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--threshold", "1.5"), "must be a probability from 0 to 1, got 1.5"),
        (("--threshold", "nan"), "must be a probability from 0 to 1, got nan"),
        (("--attention",), "name a folder"),
        (("--like", "deepfakebench"), "--detector FILE.onnx"),
        (("--frames", "5000"), "the number of frames must be at most 4,096"),
        (("--frames", "0"), "the number of frames must be at least 1"),
        (("--enlarge", "9"), "enlarge must be"),
        (("--detector", "none.onnx"), "cannot read the detector none.onnx"),
        (("--picture", "/dev/null/x"), "cannot make the folder"),
    ],
)
def test_options_that_cannot_be(folder: Path, options: tuple[str, ...], message: str) -> None:
    status, out, err = run_command("predict", folder / "run", folder / "user/portrait.jpg", *options)
    assert status == 2 and out == "" and message in err and err.count("\n") == 1


def test_files_of_one_name_have_pictures_of_their_own(folder: Path, tmp_path: Path) -> None:
    for name in ("a/x.png", "b/x.png"):
        (tmp_path / name).parent.mkdir()
        Image.new("RGB", (SIZE, SIZE)).save(tmp_path / name)
    call = ("predict", folder / "run", tmp_path, "--whole-image", "--picture", tmp_path, "--format", "json")
    for _ in range(2):  # pictures in the folder are not taken for photographs
        status, out, _ = run_command(*call)
        assert status == 0 and len(json.loads(out)["rows"]) == 2
        assert sorted(p.name for p in tmp_path.glob("*.jpg")) == ["x.png-2.scores.jpg", "x.png.scores.jpg"]


def test_a_face_is_cut_out_as_for_training(folder: Path, tmp_path: Path) -> None:
    """What `data extract` takes out of a video has the score that the video has itself."""
    film(tmp_path / "in/real/v.mp4", [person(3)])
    options = ("--upsample", "0", "--workers", "1", "--enlarge", "1.3")
    assert run_command("data", "extract", "folder", tmp_path / "in", "-o", tmp_path / "out", *options)[0] == 0
    call = ("predict", folder / "run", "--upsample", "0", "--enlarge", "1.3", "--format", "jsonl")
    _, of_video, _ = run_command(*call, tmp_path / "in")
    _, of_face, _ = run_command(*call, tmp_path / "out/real", "--whole-image")
    assert json.loads(of_video)["fake"] == pytest.approx(json.loads(of_face)["fake"], abs=1e-6)
