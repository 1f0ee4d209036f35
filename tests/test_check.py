"""The check of a manifest."""

import json
from collections import Counter
from pathlib import Path

import pandas as pd
from helpers.bad_images import bad_files
from helpers.command import run_command
from helpers.datasets import Row, manifest_of, noise, save_image
from PIL import Image

from sfic_bench.data.check import check
from sfic_bench.data.importers import import_dataset
from sfic_bench.data.manifest import COLUMNS, Manifest, write_manifest


def good(folder: Path) -> list[Row]:
    """Rows of six different images that have no problems."""
    lines: list[Row] = []
    for seed, (split, label) in enumerate((s, n) for s in ("train", "val", "test") for n in (0, 1)):
        save_image(folder / f"{seed}.png", Image.fromarray(noise(4, 4, 3, seed=seed)))
        lines.append((f"{seed}.png", label, "mine", "swap" if label else "", f"v{seed}", split, ""))
    return lines


def test_check_of_what_is_good(tmp_path: Path) -> None:
    read: list[int] = []
    findings = check(manifest_of(tmp_path, *good(tmp_path)), progress=read.append, workers=2)
    assert findings.problems == () and findings.images == 6 and sum(read) == 6
    assert [(b.split, b.real, b.fake, b.real_videos, b.fake_videos) for b in findings.balance] == [
        ("train", 1, 1, 1, 1), ("val", 1, 1, 1, 1), ("test", 1, 1, 1, 1),
    ]  # fmt: skip
    assert findings.notes == ("the names of videos do not say who is in them for mine",)


def test_check_names_bad_files(tmp_path: Path) -> None:
    lines = good(tmp_path)
    for name, (content, _) in bad_files().items():
        (tmp_path / name).write_bytes(content)
        lines.append((name, 0, "mine", "", name, "train", ""))
    lines.append(("gone.png", 0, "mine", "", "gone", "train", ""))
    findings = check(manifest_of(tmp_path, *lines))
    assert findings.missing == ("gone.png",)
    assert {
        u.path: message in u.reason for u, (_, message) in zip(findings.unreadable, bad_files().values(), strict=True)
    } == dict.fromkeys(bad_files(), True)
    assert Counter(p.what for p in findings.problems) == {
        "missing file": 1,
        "unreadable file": len(bad_files()),
    }


def test_check_of_classes_and_splits(tmp_path: Path) -> None:
    lines = good(tmp_path)
    findings = check(manifest_of(tmp_path, *lines[:2], lines[3]))
    assert (findings.empty, findings.one_class) == (("test",), ("val",))
    assert [(p.what, p.path, p.detail) for p in findings.problems] == [
        ("empty split", "m.csv", "test has no images"),
        ("one class", "m.csv", "val has only fake images"),
    ]
    only_test = check(manifest_of(tmp_path, *lines[4:]))  # there is nothing to train, so nothing lacks
    assert only_test.empty == ("train", "val") and only_test.problems == ()
    assert only_test.notes[0] == "m.csv has only test images: there is nothing to train on"


def test_check_finds_leaks(tmp_path: Path) -> None:
    lines = good(tmp_path)
    for name in ("a", "b", "c", "d"):
        save_image(tmp_path / f"{name}.png", Image.fromarray(noise(4, 4, 3, seed=ord(name))))
    (tmp_path / "copy.png").write_bytes((tmp_path / "0.png").read_bytes())
    lines += [
        ("copy.png", 1, "mine", "swap", "v9", "test", ""),
        ("a.png", 0, "FF++", "", "youtube/c23/071", "train", "c23"),
        ("b.png", 1, "FF++", "FaceSwap", "FaceSwap/c23/054_071", "test", "c23"),
        ("c.png", 0, "other", "", "v0", "test", ""),  # another data set's v0
        ("d.png", 0, "mine", "", "v0", "val", ""),
    ]
    findings = check(manifest_of(tmp_path, *lines))
    assert [(s.dataset, s.name, s.splits, s.paths) for s in findings.videos] == [
        ("mine", "v0", ("train", "val"), ("0.png", "d.png"))
    ]
    assert [(s.dataset, s.name, s.splits, s.paths) for s in findings.identities] == [
        ("FF++", "071", ("train", "test"), ("a.png", "b.png"))
    ]
    assert [(s.splits, s.paths) for s in findings.identical] == [(("train", "test"), ("0.png", "copy.png"))]
    assert [(p.what, p.path, p.detail) for p in findings.problems] == [
        ("video in splits", "0.png", "mine v0 in train and val"),
        ("identity in splits", "a.png", "FF++ 071 in train and test"),
        ("identical files", "0.png", "in train, has the same bytes as copy.png (test)"),
    ]


def test_the_papers_split_is_reported_as_leaking(tmp_path: Path) -> None:
    for i in range(12):
        save_image(
            tmp_path / f"original_sequences/youtube/c23/frames/071/{i}.png",
            Image.fromarray(noise(4, 4, 3, seed=i)),
        )
    frame = import_dataset("ffpp", tmp_path, draw="paper")
    findings = check(Manifest(frame=frame, folder=tmp_path))
    assert [s.name for s in findings.videos] == ["youtube/c23/071"] and [s.name for s in findings.identities] == ["071"]
    assert not findings.frames


def test_a_frame_that_is_in_two_splits_in_two_compressions_is_named(tmp_path: Path) -> None:
    lines = [
        (f"youtube/{c}/{frame}.png", 0, "FF++", "", f"youtube/{c}/071", split, c)
        for c, frame, split in (
            ("c23", "1", "train"), ("c40", "1", "test"), ("c23", "2", "train"), ("c40", "2", "train"),
        )
    ]  # fmt: skip
    findings = check(manifest_of(tmp_path, *lines), read=False)
    assert [shared.paths for shared in findings.frames] == [("youtube/c23/1.png", "youtube/c40/1.png")]
    assert "frame in splits" in {problem.what for problem in findings.problems}


def test_check_command(tmp_path: Path) -> None:
    frame = pd.DataFrame(good(tmp_path), columns=list(COLUMNS))
    path = tmp_path / "m.csv"
    frame.to_csv(path, index=False)
    status, out, _ = run_command("data", "check", path)
    assert status == 0 and "nothing is wrong" in out
    (tmp_path / "3.png").write_bytes(b"")
    (tmp_path / "4.png").unlink()
    status, out, _ = run_command("data", "check", path, "--format", "json")
    document = json.loads(out)
    assert status == 1 and document["schema"] == "sfic-bench/data-check/2"
    assert document["counts"] == {"missing file": 1, "unreadable file": 1}
    assert document["findings"]["missing"] == ["4.png"]
    assert document["findings"]["unreadable"][0]["path"] == "3.png"
    status, _, _ = run_command("data", "check", path, "--format", "csv", "--output", tmp_path / "found.csv")
    assert status == 1
    assert pd.read_csv(tmp_path / "found.csv")["path"].tolist() == ["4.png", "3.png"]
    status, out, _ = run_command("data", "check", path, "--format", "markdown")
    assert status == 1 and "unreadable file: 1" in out and "3.png" in out
    for arguments in ([tmp_path / "none.csv"], [path, "--workers", "0"]):
        status, _, err = run_command("data", "check", *map(str, arguments))
        assert status == 2 and err.count("\n") == 1


def test_images_made_on_the_fly_are_not_read(tmp_path: Path) -> None:
    findings = check(manifest_of(tmp_path, ("orl:s01/01/real/hq", 0, "orl", "", "s01-real-hq", "test", "hq")))
    assert not findings.missing and "1 images are made on the fly and were not read" in findings.notes


def test_a_table_is_checked_without_its_images(tmp_path: Path) -> None:
    lines = [(f"{i}.png", i % 2, "mine", "swap" if i % 2 else "", "v", "train", "") for i in range(4)]
    path = tmp_path / "manifest.csv"
    write_manifest(manifest_of(tmp_path, *lines), path)
    status, out, _ = run_command("data", "check", path, "--format", "json")
    assert status == 1 and json.loads(out)["counts"] == {"missing file": 4, "empty split": 2}
    status, out, _ = run_command("data", "check", path, "--no-read", "--format", "json")
    document = json.loads(out)
    assert status == 1 and document["counts"] == {"empty split": 2}
    assert "no image was read" in document["findings"]["notes"][0]


def test_a_group_in_two_splits_is_named(tmp_path: Path) -> None:
    rows = [("a.png", 0, "x", "", "a", "train", "", "g"), ("b.png", 1, "x", "m", "b", "test", "", "g")]
    frame = pd.DataFrame(rows, columns=[*COLUMNS, "group"])
    findings = check(Manifest(frame=frame, folder=tmp_path), read=False)
    assert [(shared.name, shared.dataset) for shared in findings.identities] == [("g", "x")]
    assert not check(Manifest(frame=frame.assign(group=["g", ""]), folder=tmp_path), read=False).identities
