"""DeepfakeBench's LMDB databases: manifests whose paths lead through them, and reading their entries."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.command import run_command
from helpers.datasets import write_file
from PIL import Image

from sfic_bench.data.check import check
from sfic_bench.data.databases import read_entry
from sfic_bench.data.images import MissingImage, load_image
from sfic_bench.data.importers import BadLayout, import_dataset
from sfic_bench.data.loader import Images, Order, batches
from sfic_bench.data.manifest import read_manifest
from sfic_bench.errors import InvalidValue, MissingDependency
from sfic_bench.extras import install_command

lmdb = pytest.importorskip("lmdb")


def png(shade: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), shade, np.uint8)).save(file, "PNG")
    return file.getvalue()


def write_database(folder: Path, entries: dict[str, bytes]) -> None:
    folder.mkdir(parents=True)
    with lmdb.open(str(folder), map_size=2**24) as database, database.begin(write=True) as transaction:
        for key, value in entries.items():
            transaction.put(key.encode(), value)


WINDOWS, LINUX, SLASHES = (
    lambda *parts: "\\".join(parts),
    lambda *parts: f"{parts[0]}\\" + "/".join(parts[1:]),
    lambda *parts: "/".join(parts),
)
"""How the names of entries are written on Windows, by the project's own script on Linux, and with slashes alone."""


@pytest.fixture(params=[WINDOWS, LINUX, SLASHES], ids=["windows", "linux", "slashes"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with lists, and a database with two real frames and two fakes, one of which has a mask."""
    key: Callable[..., str] = request.param
    shades = {("real", "frames", "a", "000.png"): 10, ("real", "frames", "a", "001.png"): 20,
              ("fake", "frames", "b", "000.png"): 30, ("fake", "frames", "b", "001.png"): 40,
              ("fake", "masks", "b", "001.png"): 255}  # fmt: skip
    write_database(tmp_path / "lmdb" / "X_lmdb", {key("X", *parts): png(shade) for parts, shade in shades.items()})
    frames: dict[str, list[str]] = {"a": [], "b": [], "masks": []}
    for parts in shades:
        frames["masks" if parts[1] == "masks" else parts[2]].append(key("X", *parts))
    write_file(tmp_path, "json/X.json", {"X": {
        "X_real": {"test": {"a": {"label": "X_real", "frames": frames["a"]}}},
        "X_fake": {"test": {"b": {"label": "X_fake", "frames": frames["b"], "masks": frames["masks"]}}},
    }})  # fmt: skip
    return tmp_path


def test_images_of_a_database_are_read_as_files_are(folder: Path) -> None:
    arguments = ("data", "import", "deepfakebench", folder / "json", "--lmdb", folder / "lmdb")
    assert run_command(*arguments, "-o", folder / "x.csv")[0] == 0
    frame = read_manifest(folder / "x.csv").frame
    assert dict(zip(frame["path"], frame["label"], strict=True)) == {
        "lmdb/X_lmdb/fake/frames/b/000.png": 1, "lmdb/X_lmdb/fake/frames/b/001.png": 1,
        "lmdb/X_lmdb/real/frames/a/000.png": 0, "lmdb/X_lmdb/real/frames/a/001.png": 0,
    }  # fmt: skip
    assert frame["mask"].tolist() == ["", "lmdb/X_lmdb/fake/masks/b/001.png", "", ""]
    for workers in (0, 2):  # this process has the database open when it is forked
        images = Images(frame, folder, 8, masks=False)
        (batch,) = batches(images, Order(4), 4, workers)
        assert not batch.unreadable and batch.images[:, 0, 0, 0].tolist() == [30, 40, 10, 20]
    assert load_image(folder / frame["mask"][1]).max() == 255
    findings = check(read_manifest(folder / "x.csv"), workers=4)
    assert not findings.missing and not findings.unreadable


def test_what_a_database_lacks_is_missing(folder: Path) -> None:
    missing = folder / "lmdb" / "X_lmdb" / "real" / "frames" / "a" / "002.png"
    assert read_entry(missing) is None and read_entry(folder / "elsewhere" / "000.png") is None
    with pytest.raises(MissingImage, match="there is no such file"):
        load_image(missing)
    with pytest.raises(MissingImage, match="there is no such file"):  # longer than any entry's name may be
        load_image(folder / "lmdb" / "X_lmdb" / ("x" * 200) / ("y" * 200) / ("z" * 200) / "0.png")


def test_databases_that_cannot_be_used(folder: Path) -> None:
    with pytest.raises(BadLayout, match=r"no database in .*elsewhere has X/real/frames/a/000.png: expected X_lmdb"):
        import_dataset("deepfakebench", folder / "json", lmdb=folder / "elsewhere")
    with pytest.raises(InvalidValue, match="--lmdb is not for folder"):
        import_dataset("folder", folder, lmdb=folder / "lmdb")
    broken = folder / "broken" / "X_lmdb"
    broken.mkdir(parents=True)
    (broken / "data.mdb").write_bytes(b"no database" * 1000)
    with pytest.raises(BadLayout, match="cannot read the LMDB database"):
        import_dataset("deepfakebench", folder / "json", lmdb=folder / "broken")


def test_without_the_package_the_message_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "lmdb", None)
    with pytest.raises(MissingDependency, match=re.escape(install_command("lmdb"))):
        load_image(folder / "lmdb" / "X_lmdb" / "real" / "frames" / "a" / "000.png")
