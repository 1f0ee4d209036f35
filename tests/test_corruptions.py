"""What corruptions do to images, whichever process does it."""

import pickle
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from helpers.datasets import manifest_of, noise, save_image
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from sfic_bench.data.corruptions import CORRUPTIONS, Corruption, corruptions
from sfic_bench.data.images import Pixels
from sfic_bench.data.loader import Batch, Images, Order, batches
from sfic_bench.errors import InvalidValue, UnknownName
from sfic_bench.extras import install_command

NAMES = ("jpeg", "blur", "noise", "resize", "brightness", "h264")
ALL = pytest.mark.parametrize("corruption", CORRUPTIONS.values(), ids=lambda corruption: corruption.name)


def picture(height: int = 96, width: int = 80) -> Pixels:
    """Shades, edges and fine texture in three colours."""
    y, x = np.mgrid[0:height, 0:width]
    shades = 60 + x[:, :, None] * (1.0, 0.5, 0.2) + 30 * ((x // 9 + y // 13) % 2)[:, :, None]
    return np.asarray(np.clip(shades + noise(height, width, 3) / 12, 0, 255), np.uint8)


def distance(image: Pixels, other: Pixels) -> float:
    """The root of the mean square of differences."""
    return float(np.sqrt(((image.astype(float) - other) ** 2).mean()))


def test_the_corruptions_that_users_ask_for_are_there() -> None:
    assert tuple(CORRUPTIONS) == NAMES
    assert [c.name for c in corruptions(["blur", "jpeg", "blur"])] == ["blur", "jpeg"]
    with pytest.raises(UnknownName, match=r"unknown corruption 'jpg'; did you mean 'jpeg'"):
        corruptions(["jpg"])


@ALL
@given(st.integers(1, 40), st.integers(1, 40), st.data())
def test_shape_and_type_stay_and_the_image_is_left_alone(
    corruption: Corruption, height: int, width: int, data: st.DataObject
) -> None:
    image = noise(height, width, 3)
    before = image.copy()
    severity = data.draw(st.sampled_from([corruption.least, *corruption.severities, corruption.most]))
    corrupted = corruption.at(severity)(image, 3)
    assert corrupted.shape == image.shape and corrupted.dtype == np.uint8
    np.testing.assert_array_equal(image, before)


@ALL
def test_an_image_stays_as_it_is_at_the_weakest_end_if_there_is_one(corruption: Corruption) -> None:
    image = picture()
    if corruption.untouched is not None:
        np.testing.assert_array_equal(corruption.at(corruption.untouched)(image, 0), image)
    else:
        mildest = corruption.most if corruption.name == "jpeg" else corruption.least
        assert 0 < distance(corruption.at(mildest)(image, 0), image) < 6


@ALL
def test_the_stronger_the_further_from_the_clean_image(corruption: Corruption) -> None:
    image = picture()
    far = {s: distance(corruption.at(s)(image, 0), image) for s in corruption.severities}
    darker = [s for s in corruption.severities if corruption.name == "brightness" and s < 1]
    ordered = [far[s] for s in corruption.severities if s not in darker]
    assert ordered == sorted(ordered) and len(set(ordered)) == len(ordered) and ordered[0] > 0
    assert [far[s] for s in darker] == sorted((far[s] for s in darker), reverse=True)


def test_the_severity_is_what_it_says() -> None:
    """A blurred line is a bell of width σ, noise its standard deviation, and brightness its factor."""
    line = np.zeros((61, 61, 3), np.uint8)
    line[:, 30] = 255
    for sigma in (0.5, 1, 3):
        bell = np.exp(-((np.arange(61) - 30.0) ** 2) / (2 * sigma**2))
        blurred = CORRUPTIONS["blur"].at(sigma)(line, 0)
        np.testing.assert_allclose(blurred[20, :, 1], 255 * bell / bell.sum(), atol=0.6)
    grey = np.full((200, 200, 3), 128, np.uint8)
    for deviation in (2, 30):
        difference = CORRUPTIONS["noise"].at(deviation)(grey, 0).astype(float) - 128
        # Rounding adds a variance of 1/12; 120,000 values know a standard deviation to 0.2%.
        assert difference.std() == pytest.approx(np.sqrt(deviation**2 + 1 / 12), rel=0.01)
        assert abs(difference.mean()) < 0.02 * deviation
        red, green = difference[:, :, 0].ravel(), difference[:, :, 1].ravel()
        assert abs(np.corrcoef(red, green)[0, 1]) < 0.02
    assert (CORRUPTIONS["brightness"].at(0.75)(grey, 0) == 96).all()
    assert (CORRUPTIONS["brightness"].at(2)(grey, 0) == 255).all()
    stripes = np.repeat(np.array([[[0] * 3, [255] * 3] * 40], np.uint8), 80, axis=0)
    halved = CORRUPTIONS["resize"].at(2)(stripes, 0)[:, 8:-8]
    assert abs(halved.astype(float) - 127.5).max() < 40  # stripes of one pixel are gone
    wide = picture(50, 90)
    small = Image.fromarray(wide).resize((30, 17), Image.Resampling.BILINEAR)
    expected = np.asarray(small.resize((90, 50), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(CORRUPTIONS["resize"].at(3)(wide, 0), expected)


def test_colours_survive_h264() -> None:
    """The red of a plain image would be blue if planes or colour matrices were mixed up."""
    red = np.broadcast_to(np.array([200, 40, 30], np.uint8), (33, 47, 3)).copy()
    assert distance(CORRUPTIONS["h264"].at(18)(red, 0), red) < 4


@pytest.mark.parametrize(
    ("name", "severity", "words"),
    [
        ("jpeg", 0, "must be a whole number from 1 to 100, got 0"),
        ("jpeg", 49.5, "whole number"),
        ("h264", 52, "from 0 to 51"),
        ("blur", -1, r"blur \(σ in pixels\) must be from 0 to 100"),
        ("noise", float("nan"), "got nan"),
        ("resize", 0.5, "from 1 to"),
        ("brightness", float("inf"), "got inf"),
    ],
)
def test_a_severity_out_of_range_is_named(name: str, severity: float, words: str) -> None:
    with pytest.raises(InvalidValue, match=words):
        CORRUPTIONS[name].at(severity)


def loaded(images: Images, workers: int) -> NDArray[np.uint8]:
    found: list[Batch] = list(batches(images, Order(len(images)), 3, workers))
    assert not any(batch.unreadable for batch in found)
    return np.concatenate([batch.images.numpy() for batch in found])


def test_worker_processes_give_the_same_pixels_and_noise_is_of_image_and_severity(tmp_path: Path) -> None:
    grey = np.full((16, 16, 3), 128, np.uint8)
    rows = []
    for i in range(5):
        save_image(tmp_path / f"{i}.png", Image.fromarray(grey))
        rows.append((f"{i}.png", i % 2, "d", "m" if i % 2 else "", f"v{i}", "test", ""))
    frame = manifest_of(tmp_path, *rows).frame

    def images(severity: float) -> Images:
        return Images(frame, tmp_path, 16, corrupt=CORRUPTIONS["noise"].at(severity))

    here = loaded(images(10), 0)
    np.testing.assert_array_equal(here, loaded(images(10), 2))
    assert len({image.tobytes() for image in here}) == 5
    other = loaded(images(10.5), 0)
    assert abs(np.corrcoef(here[0].ravel(), other[0].ravel())[0, 1]) < 0.2
    assert (loaded(Images(frame, tmp_path, 16), 0) == 128).all()
    corrupt = pickle.loads(pickle.dumps(CORRUPTIONS["noise"].at(10)))
    np.testing.assert_array_equal(corrupt(grey, 1).transpose(2, 0, 1), here[1])


def test_an_image_is_corrupted_as_it_is_stored(tmp_path: Path) -> None:
    """Resizing first and corrupting then would give other pixels."""
    image = picture(64, 64)
    save_image(tmp_path / "a.png", Image.fromarray(image))
    frame = manifest_of(tmp_path, ("a.png", 0, "d", "", "v", "test", "")).frame
    corrupt = CORRUPTIONS["blur"].at(2)
    (pixels,) = loaded(Images(frame, tmp_path, 32, corrupt=corrupt), 0)
    stored = Image.fromarray(corrupt(image, 0)).resize((32, 32), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(pixels.transpose(1, 2, 0), np.asarray(stored))


def test_an_image_that_cannot_be_corrupted_is_named(tmp_path: Path) -> None:
    """JPEG has at most 65,500 pixels on a side, and H.264 fewer."""
    save_image(tmp_path / "wide.png", Image.new("RGB", (66_000, 1)))
    frame = manifest_of(tmp_path, ("wide.png", 0, "d", "", "v", "test", "")).frame
    for name, words in (("jpeg", "cannot be written as JPEG"), ("h264", "cannot be encoded by x264")):
        corruption = CORRUPTIONS[name]
        images = Images(frame, tmp_path, 8, corrupt=corruption.at(corruption.severities[0]))
        (batch,) = batches(images, Order(1), 1, 0)
        (unreadable,) = batch.unreadable
        assert "wide.png" in unreadable.reason and words in unreadable.reason


def test_h264_says_what_is_lacking(monkeypatch: pytest.MonkeyPatch) -> None:
    assert CORRUPTIONS["h264"].lack() == ""
    monkeypatch.setattr(av, "codecs_available", frozenset({"mpeg4"}))
    assert "without the encoder libx264" in CORRUPTIONS["h264"].lack()
    monkeypatch.setitem(sys.modules, "av", None)
    assert install_command("faces") in CORRUPTIONS["h264"].lack()
