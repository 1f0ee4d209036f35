"""Photographs and videos scored as they are: which files, which faces, which scores, and what is said without any."""

import io
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from helpers.films import film
from PIL import Image
from torch import Tensor

from sfic_bench.data.faces import Box, Face, FaceCrop
from sfic_bench.data.images import Pixels
from sfic_bench.data.sources import MediaFile, MediaKind, listed, media_files
from sfic_bench.results.predictions import Prediction
from sfic_bench.training.inference import TrainedNetwork
from sfic_bench.training.predict import Predictor
from sfic_bench.training.sheets import picture

SIDE = 32


class Brightness:
    """Stands for a network: the probability of fake is the mean brightness."""

    recipe = SimpleNamespace(input_size=SIDE)

    def probabilities(self, images: Tensor) -> Tensor:
        return images.float().mean(dim=(1, 2, 3)) / 255


@dataclass
class Squares:
    """Stands for a detector: bright pixels, of over half of the range, are one face; others are at fixed places."""

    boxes: Sequence[Box] = ()

    def faces(self, image: Pixels) -> list[Face]:
        if self.boxes:
            return [Face(box=box, confidence=1.0) for box in self.boxes]
        rows, columns = np.nonzero(image[:, :, 0] > 127)
        if not rows.size:
            return []
        box = (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
        return [Face(box=box, confidence=0.9)]


def predictor(finder: Squares | None, frames: int = 8) -> Predictor:
    network = cast(TrainedNetwork, Brightness())
    return Predictor(network=network, finder=finder, crop=FaceCrop(size=SIDE), frames=frames)


def rows_of(path: Path, finder: Squares | None, frames: int = 8) -> tuple[Prediction, ...]:
    (file,) = media_files([str(path)])
    return predictor(finder, frames).scored(file).rows


def test_files_of_folders_and_lists(tmp_path: Path) -> None:
    for name in ("b/2.MP4", "b/1.jpg", "a.png", ".hidden/x.png", "b/.x.png", "notes.txt", "b/1.jpg.scores.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    found = [(f.path.relative_to(tmp_path).as_posix(), f.kind) for f in media_files([str(tmp_path)])]
    assert found == [("a.png", "photograph"), ("b/1.jpg", "photograph"), ("b/2.MP4", "video")]
    lines = [f"{tmp_path}/b\r\n".encode(), b"\n", b"x.mkv\0-\0", "ü\n".encode()]
    names = [(f.path.name, f.kind.value) for f in media_files(["-", "y"], lines)]
    assert names == [
        ("1.jpg", "photograph"), ("2.MP4", "video"), ("x.mkv", "video"), ("-", "photograph"), ("ü", "photograph"),
        ("y", "photograph"),
    ]  # fmt: skip
    assert list(listed([b"-"])) == ["./-"]  # a file of that name, not the list again
    (empty,) = media_files([str(tmp_path / "empty")])
    assert "no photographs and no videos" in empty.problem
    (nameless,) = media_files([""])  # which is not the folder that the user is in
    assert "an empty name" in nameless.problem
    assert predictor(Squares()).scored(empty).rows[0].remark == empty.problem


def test_each_face_of_a_photograph_has_its_own_score(tmp_path: Path) -> None:
    image = np.zeros((700, 600, 3), np.uint8)
    image[100:200, 100:200], image[300:340, 300:340] = 255, 51
    Image.fromarray(image).save(tmp_path / "two.png")
    boxes = ((100, 100, 200, 200), (300, 300, 340, 340))
    large, small = rows_of(tmp_path / "two.png", Squares(boxes))
    # The whole of each box is of one value: 255 of 255, and 51 of 255.
    assert [(r.face, r.kind, r.fake, r.verdict) for r in (large, small)] == [
        (1, "face", 1.0, "fake"), (2, "face", pytest.approx(0.2), "real"),
    ]  # fmt: skip
    assert large.box is not None and (large.box.left, large.box.bottom) == (100, 200) and not large.remark
    (whole,) = rows_of(tmp_path / "two.png", None)
    assert whole.kind == "photograph" and whole.fake == pytest.approx(image.mean() / 255, abs=0.01)


def test_boxes_are_of_the_upright_picture(tmp_path: Path) -> None:
    upright = np.zeros((600, 900, 3), np.uint8)
    upright[50:150, 700:800] = 255
    stored = Image.fromarray(upright).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x112] = 6  # "turn by 90° clockwise to show"
    stored.save(tmp_path / "phone.png", exif=exif)
    (row,) = rows_of(tmp_path / "phone.png", Squares())
    assert row.box is not None
    assert (row.box.left, row.box.top, row.box.right, row.box.bottom) == (700, 50, 800, 150) and row.fake == 1


@pytest.mark.parametrize(("side", "has_hint"), [(128, True), (900, False)])
def test_without_a_face_there_is_no_score(tmp_path: Path, side: int, has_hint: bool) -> None:
    Image.new("RGB", (side, side), (40, 40, 40)).save(tmp_path / "none.png")
    (row,) = rows_of(tmp_path / "none.png", Squares())
    assert row.fake is None and row.verdict is None and row.remark.startswith("no face found")
    assert ("--whole-image scores it" in row.remark) == has_hint


def test_a_face_that_fills_a_small_picture_is_told_of(tmp_path: Path) -> None:
    Image.new("RGB", (256, 256), "white").save(tmp_path / "crop.png")
    (row,) = rows_of(tmp_path / "crop.png", Squares())
    assert row.fake == 1 and "--whole-image scores it as it is" in row.remark


def test_a_video_that_was_filmed_sideways_is_turned(tmp_path: Path) -> None:
    upright = np.zeros((96, 64, 3), np.uint8)
    upright[8:40, 4:36] = 255
    path = tmp_path / "phone.mp4"
    film(path, [np.ascontiguousarray(np.rot90(upright))] * 2)
    # In the track's header of an MP4 file is a matrix, here that of a turn by 90° clockwise (ISO 14496-12, 8.3.2).
    data, one = path.read_bytes(), 0x10000
    plain, turned = (
        struct.pack(">9i", *values, 0, 0, 0, 0x40000000) for values in ((one, 0, 0, 0, one), (0, one, 0, -one, 0))
    )
    place = data.index(plain, data.index(b"tkhd"))
    path.write_bytes(data[:place] + turned + data[place + len(turned) :])
    (row,) = rows_of(path, Squares(), frames=1)
    assert row.curve[0].box is not None
    box = row.curve[0].box
    assert (box.left, box.top, box.right, box.bottom) == pytest.approx((4, 8, 36, 40), abs=1)


def shades(count: int, *, faces: int | None = None) -> list[Pixels]:
    """Frames with a square of brightness 130, 131, …; those from ``faces`` on have none."""
    frames = np.zeros((count, 64, 96, 3), np.uint8)
    for i in range(count if faces is None else faces):
        frames[i, 16:48, 32:64] = 130 + i
    return list(frames)


def test_a_video_is_the_mean_of_its_frames(tmp_path: Path) -> None:
    film(tmp_path / "v.mkv", shades(64))
    (row,) = rows_of(tmp_path / "v.mkv", Squares(), frames=8)
    assert [f.frame for f in row.curve] == [4, 12, 20, 28, 36, 44, 52, 60]  # the middles of eight parts of 8
    assert row.curve[1].time_s == pytest.approx(12 / 25)
    scores = [f.fake for f in row.curve if f.fake is not None]
    assert len(scores) == row.frames == 8 and scores == sorted(scores)
    assert scores[0] == pytest.approx(134 / 255, abs=0.02)
    assert row.low is not None and row.high is not None
    assert row.fake == pytest.approx(np.mean(scores)) and row.fake is not None
    assert row.low < row.fake < row.high and not row.remark and not row.cut_off


def test_a_video_says_which_frames_have_no_face(tmp_path: Path) -> None:
    film(tmp_path / "half.mkv", shades(16, faces=8))
    (row,) = rows_of(tmp_path / "half.mkv", Squares(), frames=8)
    assert row.frames == 4 and row.asked == 8 and row.remark == "4 of 8 frames have no face"
    assert [f.fake is None for f in row.curve] == [False] * 4 + [True] * 4
    film(tmp_path / "none.mkv", shades(8, faces=0))
    (row,) = rows_of(tmp_path / "none.mkv", Squares(), frames=4)
    assert row.fake is None and row.frames == 0 and row.remark == "no face in any of 4 frames"


@pytest.mark.parametrize("name", ["cut.mkv", "cut.ts.mpg"])
def test_a_video_that_is_cut_off_has_the_score_of_what_is_left(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    film(path, shades(100))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (row,) = rows_of(path, Squares(), frames=4)
    assert row.fake is not None and row.frames and row.fake < 180 / 255
    if name == "cut.mkv":  # the other kind has no header that tells its length
        assert row.cut_off and "the file is cut off" in row.remark


def test_an_index_that_promises_more_than_there_is(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    film(tmp_path / "v.mp4", shades(60))
    path = tmp_path / "fast.mp4"  # with the index in front, as on the web
    with av.open(str(tmp_path / "v.mp4")) as old, av.open(str(path), "w", options={"movflags": "faststart"}) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(old.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    (row,) = rows_of(path, Squares(), frames=6)
    assert row.cut_off and row.frames and row.frames < 6 and row.asked == 6
    assert row.remark.startswith(f"only {len(row.curve)} of 6 frames could be decoded") and "of 60" in row.remark
    path.write_bytes(path.read_bytes()[:300])
    (row,) = rows_of(path, Squares())
    assert row.fake is None and row.kind == "video" and row.remark


@pytest.mark.parametrize("content", [b"", b"text", b"\0" * 5000])
def test_no_video_at_all(tmp_path: Path, content: bytes) -> None:
    pytest.importorskip("av")
    (tmp_path / "x.mp4").write_bytes(content)
    os.mkfifo(tmp_path / "pipe.mp4")
    for name in ("x.mp4", "missing.mp4", "missing.jpg", "pipe.mp4"):
        (row,) = rows_of(tmp_path / name, Squares())
        assert row.fake is None and row.remark and str(tmp_path) not in row.remark


def test_pictures_show_every_frame_and_face(tmp_path: Path) -> None:
    film(tmp_path / "v.mkv", shades(12, faces=6))
    for name, finder in (("v.mkv", Squares()), ("p.png", Squares(((-9, 5, 300, 40), (1, 1, 9, 9)))), ("p.png", None)):
        Image.new("RGB", (200, 100), "white").save(tmp_path / "p.png")
        given = predictor(finder, frames=12)
        kind = MediaKind.VIDEO if name == "v.mkv" else MediaKind.PHOTOGRAPH
        scored = given.scored(MediaFile(path=tmp_path / name, kind=kind))
        (tmp_path / "out.jpg").write_bytes(picture(scored, given, attention=False))
        with Image.open(tmp_path / "out.jpg") as drawn:
            shown = np.asarray(drawn.convert("RGB")).astype(int)
        # Everything is brighter than the threshold, so that captions are red; on a photograph so is the box.
        red = shown[:, :, 0] - shown[:, :, 1] > 60
        assert red.any(axis=1).sum() > (30 if finder and finder.boxes else 5)
        assert shown.shape[0] > 180 and shown.shape[1] >= 200


def test_a_sheet_of_many_frames_shows_some(tmp_path: Path) -> None:
    film(tmp_path / "v.mkv", shades(100))
    given = predictor(Squares(), frames=100)
    (file,) = media_files([str(tmp_path / "v.mkv")])
    with Image.open(io.BytesIO(picture(given.scored(file), given, attention=False))) as sheet:
        # Eight rows of eight faces, of 160 pixels, a line of 20 and a gap of 8; above them another gap and the title.
        assert sheet.height == 8 + 8 * 188 + 20 + 2 * 8
