"""Data sets of Hugging Face's ``datasets``, made of the embedded images; nothing is fetched."""

import io
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from helpers.command import run_command
from PIL import Image

from sfic_bench.data.importers import BadLayout, import_dataset
from sfic_bench.data.importers.grouping import SeededSplit
from sfic_bench.data.manifest import read_manifest
from sfic_bench.data.orl import load_orl, orl
from sfic_bench.errors import InvalidValue, UnknownName

datasets = pytest.importorskip("datasets")


def faces(count: int = 12) -> pd.DataFrame:
    """Images of several people as bytes, PNG and JPEG in turns, with labels, methods and people."""
    manifest = orl().where(split="train", compression="hq")
    rows = []
    for number, row in enumerate(manifest.iloc[:: len(manifest) // count].itertuples()):
        data = io.BytesIO()
        Image.fromarray(load_orl(str(row.path))[0]).save(data, "JPEG" if number % 2 else "PNG")
        person = str(row.path).split("/")[0].removeprefix("orl:")
        rows.append(
            {
                "image": {"bytes": data.getvalue(), "path": None},
                "label": int(row.label),
                "maker": row.method,
                "who": person,
            }
        )
    return pd.DataFrame(rows)


def dataset(frame: pd.DataFrame, names: tuple[str, ...] = ("real", "fake")) -> Any:
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=list(names)),
                "maker": datasets.Value("string"), "who": datasets.Value("string")}  # fmt: skip
    return datasets.Dataset.from_dict(frame.to_dict("list"), features=datasets.Features(features))


@pytest.fixture(autouse=True)
def _offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


def test_a_saved_data_set_is_written_into_files(tmp_path: Path) -> None:
    frame = faces()
    parts = {"train": dataset(frame[:6]), "validation": dataset(frame[6:9]), "test": dataset(frame[9:])}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "saved")
    manifest, images = tmp_path / "m.csv", tmp_path / "images"
    call = ("data", "import", "hf", tmp_path / "saved", "-o", manifest, "--images", images)
    columns = ("--columns", "method=maker,group=who")
    status, _, err = run_command(*call, *columns)
    assert status == 0, err
    read = read_manifest(manifest).frame
    assert read["split"].value_counts().to_dict() == {"train": 6, "val": 3, "test": len(frame) - 9}
    assert read["path"].iat[0].startswith("images/test/00000000-") and set(read["dataset"]) == {"saved"}
    ordered = read.set_index("path").loc[[*sorted(p for p in read["path"] if "/train/" in p)]]
    assert ordered["label"].tolist() == frame["label"][:6].tolist()
    assert (
        ordered["method"].tolist() == frame["maker"][:6].tolist()
        and ordered["group"].tolist() == frame["who"][:6].tolist()
    )
    # The files have the bytes of the data set, and not a second compression.
    assert [(tmp_path / path).read_bytes() for path in ordered.index] == [
        image["bytes"] for image in frame["image"][:6]
    ]
    assert {Path(path).suffix for path in read["path"]} == {".png", ".jpg"}
    # What is there is not written again, and what is missing is.
    before = {path: path.stat().st_mtime_ns for path in images.rglob("*.*")}
    gone = sorted(before)[0]
    gone.unlink()
    unfinished = gone.with_name(f".{gone.name}.abcdefgh")
    unfinished.write_bytes(b"half")
    content = manifest.read_bytes()
    assert run_command(*call, *columns)[0] == 0 and manifest.read_bytes() == content
    assert {path for path in images.rglob("*.*") if before[path] != path.stat().st_mtime_ns} == {gone}
    assert run_command("data", "check", manifest)[0] in (0, 1)


def test_a_folder_of_parquet_is_divided_by_people(tmp_path: Path) -> None:
    folder = tmp_path / "parquet"
    folder.mkdir()
    dataset(faces(60), ("photo", "made")).to_parquet(folder / "train-00000-of-00001.parquet")
    options: dict[str, Any] = {
        "real": ["photo"], "fake": ["made"], "columns": {"method": "maker", "group": "who"},
        "fractions": SeededSplit(shares=(0.5, 0.25, 0.25)),
    }  # fmt: skip
    frame = import_dataset("hf", folder, images=tmp_path / "images", **options)
    assert (frame.groupby("group")["split"].nunique() == 1).all() and set(frame["split"]) == {"train", "val", "test"}
    shutil.rmtree(tmp_path / "images")
    assert frame.equals(import_dataset("hf", folder, images=tmp_path / "images", **options))


def test_labels_are_numbers_or_truth_values_and_several_fakes_are_methods(tmp_path: Path) -> None:
    frame = faces(6)[["image", "label"]]
    kinds = {"number": [3, 1, 2] * 2, "truth": [True, False] * 3, "name": ["real", "gan", "swap"] * 2}
    given: dict[str, tuple[dict[str, Any], list[str]]] = {
        "number": ({"real": ["3"], "fake": ["1", "2"]}, ["", "1", "2"]),
        "truth": ({"real": ["false"], "fake": ["true"]}, ["unknown", "", "unknown"]),
        "name": ({"fake": ["gan", "swap"]}, ["", "gan", "swap"]),
    }
    for kind, (classes, methods) in given.items():
        made = datasets.Dataset.from_dict({"image": list(frame["image"])[:6], "is": kinds[kind]})
        made.cast_column("image", datasets.Image()).save_to_disk(tmp_path / kind)
        read = import_dataset(
            "hf", tmp_path / kind, images=tmp_path / "i", columns={"label": "is"}, split="test", **classes
        )
        assert read["method"].tolist()[:3] == methods and set(read["split"]) == {"test"}


def test_rows_without_an_image_are_left_out_and_named(tmp_path: Path) -> None:
    frame = faces(6)
    frame.at[1, "image"], frame.at[2, "image"] = None, {"bytes": b"no image", "path": None}
    dataset(frame).save_to_disk(tmp_path / "saved")
    read = import_dataset("hf", tmp_path / "saved", images=tmp_path / "images", split="train")
    assert len(read) == len(frame) - 2
    assert read.attrs["notes"] == ["2 rows of all have no image that can be read, the first 1"]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"images": None}, InvalidValue, "--images DIR"),
        ({"columns": {"label": "lable"}}, UnknownName, "unknown column of the split all 'lable'"),
        ({"columns": {"picture": "image"}}, UnknownName, "unknown use of a column 'picture'"),
        ({"real": ["photo"]}, BadLayout, "has the label 'real', expected photo, fake"),
        ({"split": None}, BadLayout, "the split 'all' is none of train"),
    ],
)
def test_nothing_is_written_for_options_that_do_not_fit(
    tmp_path: Path, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    dataset(faces(6)).save_to_disk(tmp_path / "saved")
    with pytest.raises(error, match=words):
        import_dataset("hf", tmp_path / "saved", **{"images": tmp_path / "images", "split": "test", **options})
    assert not (tmp_path / "images").exists()


def test_a_data_set_that_is_nowhere_is_one_line(tmp_path: Path) -> None:
    call = ("data", "import", "hf", "nobody/nothing", "-o", tmp_path / "m.csv", "--images", tmp_path / "images")
    status, _, err = run_command(*call)
    assert status == 2 and err.count("\n") == 1 and "neither a folder nor can be fetched from the Hub" in err, err
