"""Where detectors find faces, how faces are cut out and aligned, and how their places are steadied."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.command import run_command
from helpers.films import film, person
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sfic_bench.data.choices import DatasetKind
from sfic_bench.data.faces import (
    TEMPLATE,
    Face,
    FaceCrop,
    NoLandmarks,
    UnusableDetector,
    overlap,
    shrunk,
    similarity,
    steadied,
)
from sfic_bench.data.finders import DlibFinder, FinderSettings, finder
from sfic_bench.data.images import load_image
from sfic_bench.data.sampling import ExtractionSettings
from sfic_bench.errors import InvalidValue, UnknownName
from sfic_bench.statistics.series import mean_of_series

Array = NDArray[np.float32]


def face_at(left: float, top: float, side: float = 20) -> Face:
    return Face(box=(left, top, left + side, top + side), confidence=1)


# Places from frame to frame


@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(30, 90))
def test_a_steady_movement_is_left_as_it_is(dx: float, dy: float, side: float) -> None:
    before, face, after = (face_at(9 + i * dx, 9 + i * dy, side) for i in range(3))
    assert steadied(face, (before, after)).box == pytest.approx(face.box)


@given(st.floats(-6, 6), st.floats(30, 36))
def test_a_jump_is_dropped(jump: float, side: float) -> None:
    calm = face_at(50, 50, 30)
    assert steadied(face_at(50 + jump, 50, side), (calm, calm)).box == pytest.approx(calm.box)


def test_another_face_or_none_does_not_count() -> None:
    face, far = face_at(10, 10), face_at(200, 10)
    assert steadied(face, (None, far)).box == face.box
    assert overlap(face.box, far.box) == 0 and overlap(face.box, face.box) == 1
    assert overlap((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(50 / 150)


# Crops


@given(st.floats(-3, 3), st.floats(0.2, 5), st.floats(-50, 50), st.floats(-50, 50))
def test_a_similarity_is_recovered(angle: float, scale: float, dx: float, dy: float) -> None:
    expected = np.array([[np.cos(angle), -np.sin(angle), dx], [np.sin(angle), np.cos(angle), dy]])
    expected[:, :2] *= scale
    moved = TEMPLATE @ expected[:, :2].T + expected[:, 2]
    np.testing.assert_allclose(similarity(TEMPLATE, moved), expected, atol=1e-6)
    assert np.isfinite(similarity(np.zeros((5, 2)), moved)).all()  # five equal points have no direction


@pytest.mark.parametrize("enlarge", [1.0, 1.3])
def test_an_aligned_face_has_its_landmarks_in_place(enlarge: float) -> None:
    """A face that lies on its side, with a white disc at each landmark."""
    turned = (TEMPLATE - 0.5) @ np.array([[0.0, 1.0], [-1.0, 0.0]]) * 150 + (200, 180)
    rows, columns = np.mgrid[:400, :420]
    near = [np.hypot(columns + 0.5 - x, rows + 0.5 - y) < 6 for x, y in turned]
    image = np.repeat(np.any(near, axis=0)[:, :, None], 3, axis=2).astype(np.uint8) * 255
    face = Face(box=(0, 0, 9, 9), confidence=1, landmarks=turned)
    crop = FaceCrop(enlarge=enlarge, align=True, size=128).of(image, face)
    expected = ((TEMPLATE - 0.5) / enlarge + 0.5) * 128
    for x, y in expected:
        assert crop[int(y), int(x), 0] == 255
    white = crop[:, :, 0] > 127
    assert white.sum() == pytest.approx(5 * np.pi * (6 * 128 / 150 / enlarge) ** 2, rel=0.15)


def test_a_face_without_landmarks_cannot_be_aligned() -> None:
    crop = FaceCrop(align=True)
    with pytest.raises(NoLandmarks, match="--detector"):
        crop.of(np.zeros((9, 9, 3), np.uint8), face_at(1, 1))
    with pytest.raises(NoLandmarks, match="name a network's file with --detector"):
        ExtractionSettings(kind=DatasetKind.FOLDER, align=True)
    with pytest.raises(InvalidValue, match="upsample must be from 0 to 3"):
        FinderSettings(upsample=4)
    with pytest.raises(UnknownName, match="dlib"):
        finder(FinderSettings(detector="dlb"))


# Detectors


def test_dlib_finds_the_same_face_in_a_shrunk_picture() -> None:
    pytest.importorskip("dlib")
    image = person(1)
    (face,) = DlibFinder(upsample=0).faces(image)
    large = np.repeat(np.repeat(image, 3, axis=0), 3, axis=1)
    (same,) = DlibFinder(upsample=0, longest=640).faces(large)
    assert same.box == pytest.approx([3 * value for value in face.box], abs=1)
    assert shrunk(image, 640)[0] is image


@pytest.mark.parametrize("points", [68, 5])
def test_a_shape_predictor_gives_dlib_landmarks(tmp_path: Path, points: int) -> None:
    """A predictor that has only ever seen one shape gives it for every face: a slope over the whole box."""
    dlib = pytest.importorskip("dlib")
    box = dlib.rectangle(0, 0, 79, 79)
    shape = dlib.full_object_detection(box, [dlib.point(10 + i % 60, 20 + i % 50) for i in range(points)])
    options = dlib.shape_predictor_training_options()
    options.cascade_depth, options.num_trees_per_cascade_level, options.tree_depth = 2, 5, 2
    options.oversampling_amount, options.feature_pool_size, options.num_test_splits, options.num_threads = 2, 20, 5, 1
    noise = [np.random.default_rng(seed).integers(0, 255, (80, 80), dtype=np.uint8) for seed in range(3)]
    dlib.train_shape_predictor(noise, [[shape]] * 3, options).save(str(tmp_path / "shape.dat"))
    settings = FinderSettings(detector=str(tmp_path / "shape.dat"), upsample=0, longest=640)
    if points == 5:
        with pytest.raises(UnusableDetector, match="of 5 points, expected one of 68 or 81"):
            finder(settings)
        return
    large = np.repeat(np.repeat(person(1), 2, axis=0), 2, axis=1)  # searched at half its size
    (face,) = finder(settings).faces(large)
    left, top, right, _ = face.box
    chosen = [(10 + i % 60, 20 + i % 50) for i in (37, 44, 30, 49, 55)]
    expected = np.array(chosen) / 79 * (right - left) + (left, top)
    assert face.landmarks is not None
    np.testing.assert_allclose(face.landmarks, expected, atol=4)  # whole pixels of the half size, two ways rounded


def onnx_file(path: Path, outputs: dict[str, Array], shape: list[int | str]) -> Path:
    """A network that answers every picture with ``outputs``."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [
        helper.make_node("Constant", [], [name], value=onnx.numpy_helper.from_array(values, name))
        for name, values in outputs.items()
    ]
    given = [helper.make_tensor_value_info("input", kind, shape)]
    results = [helper.make_tensor_value_info(name, kind, values.shape) for name, values in outputs.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "faces", given, results), opset_imports=[helper.make_opsetid("", 17)]
    )
    model.ir_version = 8
    onnx.save(model, path)
    return path


def yunet(side: int, cell: int, stride: int = 16) -> dict[str, Array]:
    """One face in a cell of a grid, and a fainter one beside it that overlaps."""
    outputs: dict[str, Array] = {}
    for grid in (8, 16, 32):
        count = (side // grid) ** 2
        for name, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
            outputs[f"{name}_{grid}"] = np.zeros((1, count, width), np.float32)
    for at, confidence in ((cell, 0.81), (cell + 1, 0.64)):
        outputs[f"cls_{stride}"][0, at] = confidence
        outputs[f"obj_{stride}"][0, at] = 1
        outputs[f"bbox_{stride}"][0, at] = (0.5, 0.5, np.log(2), np.log(3))
        outputs[f"kps_{stride}"][0, at] = np.arange(10) / 10
    return outputs


def test_yunet_by_hand(tmp_path: Path) -> None:
    """A cell of the second row and third column of a grid of 16 in 64×64; the picture is twice as large."""
    path = onnx_file(tmp_path / "y.onnx", yunet(64, cell=1 * 4 + 2), [1, 3, 64, 64])
    (face,) = finder(FinderSettings(detector=str(path))).faces(np.zeros((128, 100, 3), np.uint8))
    # Centre (2.5, 1.5) · 16, size (2, 3) · 16, all times 2; √(.81 · 1) = .9
    assert face.box == pytest.approx((48, 0, 112, 96)) and face.confidence == pytest.approx(0.9)
    assert face.landmarks is not None
    np.testing.assert_allclose(
        face.landmarks[[0, 4]], [(2 * 32 + 0, 2 * 16 + 3.2), (2 * 32 + 25.6, 2 * 16 + 28.8)], rtol=1e-5
    )


def centerface() -> dict[str, Array]:
    shapes = {"537": 1, "538": 2, "539": 2, "540": 10}
    outputs = {name: np.zeros((1, channels, 16, 16), np.float32) for name, channels in shapes.items()}
    outputs["537"][0, 0, 5, 3] = 0.9
    outputs["538"][0, :, 5, 3] = np.log(6), np.log(4)  # height and width, in steps of 4 pixels
    outputs["539"][0, :, 5, 3] = 0.25, 0.5  # down and right
    outputs["540"][0, :, 5, 3] = [0.25, 0.5] * 5
    return outputs


def test_centerface_by_hand(tmp_path: Path) -> None:
    """The file fixes another size than the picture's, as the published file does."""
    path = onnx_file(tmp_path / "c.onnx", centerface(), [10, 3, 32, 32])
    (face,) = finder(FinderSettings(detector=str(path))).faces(np.zeros((64, 64, 3), np.uint8))
    # Centre ((3 + .5 + .5) · 4, (5 + .25 + .5) · 4) = (16, 23), size 16 × 24
    assert face.box == pytest.approx((8, 11, 24, 35)) and face.confidence == pytest.approx(0.9)
    assert face.landmarks is not None
    np.testing.assert_allclose(face.landmarks, [(16, 17)] * 5, rtol=1e-5)  # half the width, a quarter of the height


def test_files_that_are_no_detectors(tmp_path: Path) -> None:
    other = onnx_file(tmp_path / "o.onnx", {"logits": np.zeros((1, 2), np.float32)}, ["n", 3, "h", "w"])
    (tmp_path / "text.onnx").write_text("text")
    (tmp_path / "empty.onnx").touch()
    (tmp_path / "text.dat").write_text("text")
    for path, message in (
        (other, "expected CenterFace or YuNet, got the outputs logits"), (tmp_path / "text.onnx", "no usable ONNX"),
        (tmp_path / "empty.onnx", "no usable ONNX"), (tmp_path / "none.onnx", "No such file"),
        (tmp_path / "text.dat", "no usable shape predictor"), (tmp_path / "none.dat", "there is no such file"),
    ):  # fmt: skip
        with pytest.raises(UnusableDetector, match=message):
            finder(FinderSettings(detector=str(path)))


def test_faces_are_extracted_with_a_network_and_aligned(tmp_path: Path) -> None:
    path = onnx_file(tmp_path / "y.onnx", yunet(640, cell=12 * 40 + 20), [1, 3, 640, 640])
    film(tmp_path / "in/real/a.mp4", [person(1)] * 2)
    call: list[Any] = ["data", "extract", "folder", tmp_path / "in", "-o", tmp_path / "out", "--workers", "1"]
    status, _, err = run_command(*call, "--detector", path, "--align", "--enlarge", "1.3", "--size", "64")
    assert status == 0 and "wrote 1 faces" in err
    assert load_image(tmp_path / "out/real/a/000000.png").shape == (64, 64, 3)
    status, _, err = run_command(*call, "--detector", path, "--enlarge", "1.3", "--size", "64")
    assert status == 2 and "made with align True, now False" in err


# The mean of a series


@pytest.mark.parametrize("correlation", [0.0, 0.6, 0.8])
def test_the_interval_of_a_mean_holds_the_true_mean(correlation: float) -> None:
    random = np.random.default_rng(0)
    draws, held = 400, 0
    noise = random.normal(size=(draws, 132)) * np.sqrt(1 - correlation**2)
    for i in range(1, noise.shape[1]):
        noise[:, i] += correlation * noise[:, i - 1]
    for series in noise[:, 100:]:
        held += mean_of_series(series, -99, 99).contains(0)
    assert 0.87 <= held / draws <= 0.99  # 95% is the aim, and independent draws would be held in under 70% at .8


def test_the_interval_stays_in_range_and_needs_three_values() -> None:
    assert mean_of_series([0.2, 0.4], 0, 1).low is None
    wide = mean_of_series([0.0, 0.0, 1.0, 1.0], 0, 1)
    assert (wide.low, wide.estimate, wide.high) == (0, 0.5, 1)
    point = mean_of_series([0.3] * 5, 0, 1)
    assert point.low == pytest.approx(0.3) and point.high == pytest.approx(0.3)
    with pytest.raises(ValueError, match="at least one"):
        mean_of_series([], 0, 1)
