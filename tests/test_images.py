"""Reading image files, and files that are no images."""

import contextlib
import pickle
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.bad_images import bad_files, jpeg_bytes, png_header
from helpers.datasets import noise, save_image
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sfic_bench.data.extract import check_installed
from sfic_bench.data.finders import FinderSettings, _frontal_face_detector, finder
from sfic_bench.data.images import MissingImage, UnreadableImage, decode_image, load_image
from sfic_bench.errors import MissingDependency
from sfic_bench.extras import install_command


def test_rgb_is_read_unchanged(tmp_path: Path) -> None:
    pixels = noise(5, 7, 3)
    loaded = load_image(save_image(tmp_path / "a.png", Image.fromarray(pixels)))
    assert loaded.dtype == np.uint8 and loaded.flags.writeable
    np.testing.assert_array_equal(loaded, pixels)


def test_other_modes_become_rgb(tmp_path: Path) -> None:
    grey = noise(5, 7)
    for mode in ("L", "P"):
        image = Image.fromarray(grey).convert(mode)
        np.testing.assert_array_equal(
            load_image(save_image(tmp_path / f"{mode}.png", image)), np.stack([grey] * 3, axis=2)
        )
    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # magenta and yellow: red
    red = load_image(save_image(tmp_path / "cmyk.jpg", cmyk, quality=95))
    assert red.shape == (16, 16, 3)
    np.testing.assert_allclose(red[8, 8], (255, 0, 0), atol=6)
    bits = load_image(save_image(tmp_path / "1.png", Image.fromarray(grey > 127)))
    np.testing.assert_array_equal(bits[:, :, 0], (grey > 127) * 255)


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_16_bits_are_scaled_not_clipped(tmp_path: Path, suffix: str) -> None:
    values = np.array([[0, 128, 129], [257, 32896, 65535]], dtype=np.uint16)
    # 128 / 257 = 0.498; 129 / 257 = 0.502; 257 / 257 = 1; 32896 / 257 = 128; 65535 / 257 = 255
    loaded = load_image(save_image(tmp_path / f"a.{suffix}", Image.fromarray(values)))
    np.testing.assert_array_equal(loaded[:, :, 1], [[0, 0, 1], [1, 128, 255]])


def test_alpha_is_laid_on_black(tmp_path: Path) -> None:
    pixels = np.array([[[200, 100, 50, 255], [200, 100, 50, 0], [200, 100, 50, 51]]], dtype=np.uint8)
    loaded = load_image(save_image(tmp_path / "a.png", Image.fromarray(pixels)))
    # 51 / 255 = 1/5
    np.testing.assert_array_equal(loaded, [[[200, 100, 50], [0, 0, 0], [40, 20, 10]]])
    grey = Image.new("LA", (1, 1), (200, 51))
    np.testing.assert_array_equal(load_image(save_image(tmp_path / "la.png", grey)), [[[40, 40, 40]]])
    palette = Image.fromarray(np.array([[0, 200]], dtype=np.uint8)).convert("P")
    np.testing.assert_array_equal(
        load_image(save_image(tmp_path / "p.png", palette, transparency=200)), np.zeros((1, 2, 3))
    )


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    pixels = noise(4, 6, 3)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise
    loaded = load_image(save_image(tmp_path / "a.png", Image.fromarray(pixels), exif=exif))
    np.testing.assert_array_equal(loaded, np.rot90(pixels, -1))


@pytest.mark.parametrize("name", bad_files())
def test_bad_files_are_named_with_the_reason(tmp_path: Path, name: str) -> None:
    content, message = bad_files()[name]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UnreadableImage) as caught:
        load_image(path)
    assert str(path) in str(caught.value) and message in caught.value.reason and "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_large_image_is_refused_by_its_header(tmp_path: Path) -> None:
    (tmp_path / "large.png").write_bytes(png_header(10_000, 8_950))
    with pytest.raises(UnreadableImage, match="10,000×8,950 pixels, more than 89,478,485"):
        load_image(tmp_path / "large.png")


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(MissingImage, match=r"nowhere\.png: there is no such file") as caught:
        load_image(tmp_path / "nowhere.png")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    with pytest.raises(UnreadableImage, match="directory"):
        load_image(tmp_path)


@given(st.data())
def test_damaged_files_are_either_read_or_refused(data: st.DataObject) -> None:
    content = bytearray(jpeg_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, 700))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(UnreadableImage):
        image = decode_image(bytes(content[: data.draw(st.integers(0, len(content)))]), Path("x.jpg"))
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package, check in (("dlib", lambda: finder(FinderSettings(longest=7))), ("av", check_installed)):
        _frontal_face_detector.cache_clear()
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(MissingDependency, match=re.escape(install_command("faces"))):
            check()
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    path = tmp_path / "a.png"
    path.write_bytes(b"x")
    with pytest.raises(MissingDependency, match=re.escape(install_command("train"))):
        load_image(path)


def test_a_jpeg_is_decoded_no_smaller_than_needed(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, 256).astype(np.uint8)
    image = np.dstack([np.tile(ramp, (200, 1)), np.tile(ramp[::-1], (200, 1)), np.full((200, 256), 90, np.uint8)])
    path = save_image(tmp_path / "a.jpg", Image.fromarray(image), quality=95)
    assert load_image(path).shape == (200, 256, 3)
    for at_least, shape in (
        (201, (200, 256)),
        (200, (200, 256)),
        (101, (200, 256)),
        (100, (100, 128)),
        (50, (50, 64)),
        (9, (25, 32)),
    ):
        drafted = load_image(path, at_least)
        assert drafted.shape[:2] == shape
        expected = np.asarray(Image.fromarray(image).resize(shape[::-1], Image.Resampling.BOX))
        assert np.abs(drafted.astype(int) - expected).mean() < 2
    png = save_image(tmp_path / "a.png", Image.fromarray(image))
    assert load_image(png, 9).shape == (200, 256, 3)
    turned = save_image(tmp_path / "b.jpg", Image.fromarray(image), exif=exif_of(6))
    assert load_image(turned, 100).shape == (128, 100, 3)


def exif_of(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif
