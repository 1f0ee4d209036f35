"""Images drawn as the paper draws them, from made-up trees whose counts are known."""

import dataclasses
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from helpers.command import run_command
from helpers.datasets import manifest_rows, touch_files, write_file
from helpers.films import film, person

from sfic_bench.data import draws
from sfic_bench.data.choices import DatasetKind
from sfic_bench.data.draws import as_printed
from sfic_bench.data.importers import import_dataset
from sfic_bench.data.manifest import Manifest
from sfic_bench.errors import InvalidValue, UnknownName
from sfic_bench.training.protocols import experiments

METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")


def smaller(monkeypatch: pytest.MonkeyPatch, kind: DatasetKind, images: int) -> None:
    """Let the paper draw fewer images of a data set."""
    rule = dataclasses.replace(draws.PAPER_DRAWS[kind], images=images)
    monkeypatch.setitem(draws.PAPER_DRAWS, kind, rule)


def ffpp_frames(compression: str) -> Iterator[str]:
    """Two frames of each of the 1,000 and 363 real videos, and one of each fake."""
    for i in range(1000):
        for frame in (0, 2):
            yield f"original_sequences/youtube/{compression}/frames/{i:03}/{frame:06}.png"
        for method in METHODS:
            yield f"manipulated_sequences/{method}/{compression}/frames/{i:03}_{(i + 1) % 1000:03}/000000.png"
    for i in range(363):
        for frame in (0, 2):
            yield f"original_sequences/actors/{compression}/frames/{i % 28 + 1:02}__scene_{i}/{frame:06}.png"


def places(frame: pd.DataFrame, split: str, compression: str) -> set[str]:
    """The frames of a split in one compression, from their paths alone."""
    rows = frame[(frame["split"] == split) & (frame["compression"] == compression)]
    return {path.replace(f"/{compression}/", "/") for path in rows["path"]}


def test_ffpp_of_the_paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1,363 real videos, 4 methods, both compressions; 2,400 real and 2,400 fake frames of 2,726 and 4,000."""
    smaller(monkeypatch, DatasetKind.FFPP, 4800)
    touch_files(tmp_path, *ffpp_frames("c23"), *ffpp_frames("c40"))
    touch_files(tmp_path, "manipulated_sequences/FaceShifter/c23/frames/000_001/000000.png")  # is not the paper's
    frame = import_dataset("ffpp", tmp_path, draw="paper")
    manifest_rows(frame)
    assert Counter(zip(frame["label"], frame["compression"], frame["split"], strict=True)) == {
        (label, compression, split): count
        for label in (0, 1) for compression in ("c23", "c40") for split, count in (("train", 2000), ("test", 400))
    }  # fmt: skip
    for split in ("train", "test"):
        assert places(frame, split, "c23") == places(frame, split, "c40")
    assert not places(frame, "train", "c23") & places(frame, "test", "c23")
    assert {path.split("/")[1] for path in frame["path"]} == {"youtube", "actors", *METHODS}
    assert set(frame["dataset"]) == {"FF++ (paper-120k)"}
    assert frame.attrs["notes"] == ["frames of one video are on both sides of this split: it leaks"]
    assert frame.equals(import_dataset("ffpp", tmp_path, draw="paper"))


def test_what_is_short_is_said_and_is_not_the_papers(tmp_path: Path) -> None:
    names = [f"original_sequences/youtube/{c}/frames/071/{i:06}.png" for c in ("c23", "c40") for i in range(12)]
    fakes = [f"manipulated_sequences/Deepfakes/{c}/frames/071_054/{i:06}.png" for c in ("c23", "c40") for i in range(6)]
    touch_files(tmp_path, *names[:-1], *fakes)
    frame = import_dataset("ffpp", tmp_path, draw="paper")
    assert set(frame["dataset"]) == {"FF++ (paper-120k, 119,983 short)"}
    assert frame.attrs["notes"][:3] == [
        "1 images have no counterpart in the other compressions and were not drawn",
        "the paper draws 60,000 real images, and there are 59,989 fewer",
        "the paper has 1,363 real videos, and this folder has images of 1",
    ]
    assert as_printed("FF++ (paper-120k, 119,983 short) HQ") is None
    assert as_printed("FF++ HQ") is None and as_printed("FF++ (paper-120k) HQ without DF") == "FF++ HQ without DF"


def test_dfdc_celebdf_and_hff_of_the_paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind, images in ((DatasetKind.DFDC, 24), (DatasetKind.CELEBDF, 20)):
        smaller(monkeypatch, kind, images)
    dfdc, celeb, hff = (tmp_path / name for name in ("dfdc", "celeb", "hff"))
    labels = {f"{i}.mp4": {"label": "FAKE" if i % 2 else "REAL", "split": "train"} for i in range(8)}
    write_file(dfdc, "dfdc_train_part_0/metadata.json", labels)
    touch_files(dfdc, *(f"dfdc_train_part_0/frames/{i}/{f:06}.png" for i in range(8) for f in range(4)))
    frame = import_dataset("dfdc", dfdc, draw="paper")
    # 16 real and 16 fake frames, of which 12 each are drawn: 2 of them to test.
    assert Counter(zip(frame["label"], frame["split"], strict=True)) == {
        (0, "train"): 10, (0, "test"): 2, (1, "train"): 10, (1, "test"): 2,
    }  # fmt: skip
    assert any("2,891 real videos, and this folder has images of 4" in note for note in frame.attrs["notes"])

    write_file(celeb, "List_of_testing_videos.txt", "1 Celeb-real/id0_0000.mp4\n")
    touch_files(celeb, *(f"Celeb-real/frames/id{i}_0000/{f:06}.png" for i in range(5) for f in range(3)))
    touch_files(celeb, *(f"Celeb-synthesis/frames/id{i}_id9_0000/{f:06}.png" for i in range(5) for f in range(3)))
    frame = import_dataset("celebdf", celeb, draw="paper")
    assert Counter(zip(frame["label"], frame["split"], strict=True)) == {(0, "test"): 10, (1, "test"): 10}

    touch_files(hff, *(f"train/real/{i}.png" for i in range(10)), *(f"test/fake/m/{i}.png" for i in range(20)))
    frame = import_dataset("hff", hff, draw="paper")
    assert Counter(zip(frame["label"], frame["split"], strict=True)) == {
        (0, "train"): 8, (0, "test"): 2, (1, "train"): 16, (1, "test"): 4,
    }  # fmt: skip
    assert set(frame["dataset"]) == {"HFF (paper-155k)"} and as_printed("HFF (paper-155k)") == "HFF"


def test_leaving_a_method_out_as_the_paper_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fakes of the method and as many real images come from the training images; the test split is tested besides."""
    smaller(monkeypatch, DatasetKind.FFPP, 4800)
    touch_files(tmp_path, *ffpp_frames("c23"))
    manifest = Manifest(frame=import_dataset("ffpp", tmp_path, draw="paper"), folder=tmp_path)
    selected = experiments("leave-one-out", [manifest])
    names = [(as_printed(e.train_on), e.test_on) for e in selected]
    assert names[:2] == [
        ("FF++ HQ without DF", "FF++ (paper-120k) HQ DF"),
        ("FF++ HQ without DF", "FF++ (paper-120k) HQ DF, test split"),
    ]
    assert len(selected) == 8
    paper, strict = selected[:2]
    trained, tested = set(paper.data.train["path"]), set(paper.data.test["path"])
    of_train = set(manifest.where(split="train")["path"])
    assert not trained & tested and trained | tested == of_train
    fakes = paper.data.test[paper.data.test["label"] == 1]
    assert set(fakes["method"]) == {"Deepfakes"} and len(fakes) == len(paper.data.test) / 2
    assert strict.test_manifest is not None and not set(strict.test_manifest.frame["path"]) & of_train


def test_faces_of_the_paper_from_videos_to_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smaller(monkeypatch, DatasetKind.FFPP, 8)
    videos, out, manifest = tmp_path / "ff", tmp_path / "faces", tmp_path / "faces" / "m.csv"
    for compression in ("c23", "c40"):
        for real in ("youtube/{}/videos/001", "actors/{}/videos/01__hugging_happy"):
            film(videos / "original_sequences" / f"{real.format(compression)}.mp4", [person(1)] * 3)
        film(videos / f"manipulated_sequences/Deepfakes/{compression}/videos/002_001.mp4", [person(2)] * 7)
    status, _, err = run_command("data", "extract", "ffpp", videos, "-o", out, "--workers", "1", "--upsample", "0")
    assert status == 0, err
    status, _, err = run_command("data", "import", "ffpp", out, "-o", manifest, "--draw", "paper")
    assert status == 0 and "8 real and 8 fake images" in err
    frame = pd.read_csv(manifest)
    assert Counter(zip(frame["compression"], frame["label"], frame["split"], strict=True)) == {
        (c, label, split): n for c in ("c23", "c40") for label in (0, 1) for split, n in (("train", 3), ("test", 1))
    }  # fmt: skip
    status, out_text, _ = run_command("data", "check", manifest)
    assert status == 1 and "frame in splits" not in out_text and "video in splits" in out_text


def test_other_data_sets_have_no_draw(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="the paper draws from ffpp, dfdc, celebdf, hff, not from folder"):
        import_dataset("folder", tmp_path, draw="paper")
    with pytest.raises(UnknownName, match="did you mean 'paper'"):
        import_dataset("ffpp", tmp_path, draw="papr")


def test_a_data_set_of_one_method_has_none_to_leave_out(tmp_path: Path) -> None:
    touch_files(tmp_path, "train/real/1.png", "train/fake/2.png", "test/real/3.png", "test/fake/4.png")
    manifest = Manifest(frame=import_dataset("folder", tmp_path), folder=tmp_path)
    with pytest.raises(InvalidValue, match="leave-one-out has nothing to do"):
        experiments("leave-one-out", [manifest])
