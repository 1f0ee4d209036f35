"""Faces out of videos."""

import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from helpers.command import run_command
from helpers.datasets import manifest_rows, noise, touch_files, write_file
from helpers.films import film, person

from sfic_bench.data import extract
from sfic_bench.data.choices import DatasetKind
from sfic_bench.data.images import load_image
from sfic_bench.data.importers import BadLayout, import_dataset
from sfic_bench.data.importers.layout import Video
from sfic_bench.data.sampling import ExtractionSettings

BLANK = np.full((120, 160, 3), 128, dtype=np.uint8)


def log(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "extract.jsonl").read_text().splitlines()]


def test_a_frame_without_a_face_is_logged(tmp_path: Path) -> None:
    film(tmp_path / "in/real/a.mp4", [BLANK] * 8)
    options = ("--count", "2", "--workers", "1", "--upsample", "0")
    for _ in range(2):  # known frames are neither looked at nor logged again
        status, _, err = run_command("data", "extract", "folder", tmp_path / "in", "-o", tmp_path / "out", *options)
        assert status == 0 and "wrote 0 faces of 1 videos" in err and "2 frames have no face" in err
        # every second of 8 frames, 4; the middle of each half: 4 · (1, 3) / 4 = 1, 3
        assert log(tmp_path / "out") == [{"video": "real/a.mp4", "frame": i, "problem": "no face"} for i in (2, 6)]


def test_faces_of_ffpp_from_videos_to_manifest(tmp_path: Path) -> None:
    videos = tmp_path / "ff"
    write_file(videos, "train.json", [["001", "002"]])
    write_file(videos, "val.json", [])
    write_file(videos, "test.json", [])
    faces = [person(1)] * 3 + [np.full_like(person(1), 90)] * 3
    film(videos / "original_sequences/youtube/c23/videos/001.mp4", faces)
    film(videos / "manipulated_sequences/Deepfakes/c23/videos/002_001.mp4", [person(2)] * 4)
    out = tmp_path / "faces"
    status, _, err = run_command("data", "extract", "ffpp", videos, "-o", out, "--workers", "2", "--upsample", "0")
    assert status == 0, err
    # Real: frames 0, 2, 4, of which the last is blank; fake: 0, 2.
    real = out / "original_sequences/youtube/c23/frames/001"
    fake = out / "manipulated_sequences/Deepfakes/c23/frames/002_001"
    assert [p.name for p in sorted(real.iterdir())] == ["000000.png", "000002.png"]
    assert [p.name for p in sorted(fake.iterdir())] == ["000000.png", "000002.png"]
    assert log(out) == [{"video": "original_sequences/youtube/c23/videos/001.mp4", "frame": 4, "problem": "no face"}]
    image = load_image(real / "000000.png")
    assert image.shape == (256, 256, 3)
    assert image.std() > 25  # a face, not the grey around it

    frame = import_dataset("ffpp", out)
    assert Counter(zip(frame["label"], frame["split"], strict=True)) == {(0, "train"): 2, (1, "train"): 2}
    with pytest.raises(BadLayout, match="data extract ffpp"):
        import_dataset("ffpp", videos)

    # What is lost is made again, what is there is left alone, and images made otherwise are not mixed in.
    (real / "000002.png").unlink()
    (real / "000000.png").write_bytes(b"mine")
    with (out / "extract.jsonl").open("a") as file:
        file.write('{"video": "origi')  # a run was killed
    status, _, err = run_command("data", "extract", "ffpp", videos, "-o", out, "--workers", "1", "--upsample", "0")
    assert status == 0 and "wrote 1 faces" in err and "3 were there already" in err and "1 frames have no face" in err
    assert (real / "000000.png").read_bytes() == b"mine" and (real / "000002.png").exists()
    status, _, err = run_command("data", "extract", "ffpp", videos, "-o", out, "--upsample", "0", "--size", "128")
    assert status == 2 and "made with size 256, now 128" in err and err.count("\n") == 1


def test_layouts_of_extracted_faces_are_what_importers_read(tmp_path: Path) -> None:
    one, out = [person(1)], tmp_path / "out"
    dfdc, celebdf, plain = tmp_path / "dfdc", tmp_path / "celebdf", tmp_path / "plain"
    write_file(
        dfdc,
        "dfdc_train_part_0/metadata.json",
        {"a.mp4": {"label": "FAKE", "split": "train"}, "b.mp4": {"label": "REAL"}},
    )
    film(dfdc / "dfdc_train_part_0/a.mp4", one)
    write_file(celebdf, "List_of_testing_videos.txt", "1 Celeb-real/id0_0000.mp4\n")
    film(celebdf / "Celeb-real/id0_0000.mp4", one)
    film(plain / "train/fake/swap/a.mp4", one)
    for folder, kind, expected in (
        (
            dfdc,
            "dfdc",
            ("dfdc_train_part_0/frames/a/000000.jpg", 1, "DFDC", "unknown", "dfdc_train_part_0/a", "train", ""),
        ),
        (
            celebdf,
            "celebdf",
            ("Celeb-real/frames/id0_0000/000000.jpg", 0, "Celeb-DF", "", "Celeb-real/id0_0000", "test", ""),
        ),
        (plain, "folder", ("train/fake/swap/a/000000.jpg", 1, "plain", "swap", "fake/swap/a", "train", "")),
    ):
        target = out / folder.name
        options = ("--workers", "1", "--upsample", "0", "--image", "jpeg", "--enlarge", "1.3", "--size", "64")
        status, _, err = run_command("data", "extract", kind, folder, "-o", target, *options)
        assert status == 0 and "wrote 1 faces" in err
        assert manifest_rows(import_dataset(kind, target)) == {expected}
        assert load_image(target / expected[0]).shape == (64, 64, 3)


def test_videos_that_cannot_be_read(tmp_path: Path) -> None:
    film(tmp_path / "in/real/good.mkv", [BLANK] * 4)  # whose header does not count its frames
    film(tmp_path / "in/real/cut.mp4", [noise(120, 160, 3, seed=i) for i in range(8)])
    cut = tmp_path / "in/real/cut.mp4"
    cut.write_bytes(cut.read_bytes()[:2000])
    touch_files(tmp_path / "in", "fake/text.mp4")
    (tmp_path / "in/fake/empty.mp4").write_bytes(b"")
    for _ in range(2):
        options = ("--workers", "1", "--upsample", "0")
        status, _, err = run_command("data", "extract", "folder", tmp_path / "in", "-o", tmp_path / "out", *options)
        assert status == 1 and "3 videos cannot be read, the first fake/empty.mp4" in err
        logged = log(tmp_path / "out")
        assert sorted((str(entry["video"]), entry.get("frame")) for entry in logged) == [
            ("fake/empty.mp4", None), ("fake/text.mp4", None), ("real/cut.mp4", None),
            ("real/good.mkv", 0), ("real/good.mkv", 2),
        ]  # fmt: skip


def test_videos_with_one_place_for_their_frames(tmp_path: Path) -> None:
    pytest.importorskip("dlib")
    touch_files(tmp_path, "real/a.mp4", "real/a.avi")
    status, _, err = run_command("data", "extract", "folder", tmp_path, "-o", tmp_path / "out")
    assert status == 2 and "in one folder" in err
    (tmp_path / "real/a.mp4").unlink()
    (tmp_path / "real/a.avi").unlink()
    status, _, err = run_command("data", "extract", "folder", tmp_path, "-o", tmp_path / "out")
    assert status == 2 and "has no videos where folder keeps them" in err


def end_process(job: extract.ExtractionJob) -> None:
    os._exit(job.video.label)


def test_a_killed_worker_is_no_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extract, "take_faces", end_process)
    settings = ExtractionSettings(kind=DatasetKind.FOLDER)
    video = Video(path=tmp_path, frames=tmp_path, label=1)
    job = extract.ExtractionJob(video=video, name="a", target=tmp_path, settings=settings)
    with pytest.raises(extract.FailedExtraction, match="fewer --workers continues from here"):
        list(extract._in_processes([job], 1))
