"""Self-blended forgeries: a slightly changed copy of an image is pasted into it through a soft mask.

Source: Shiohara & Yamasaki, "Detecting Deepfakes with Self-Blended Images", CVPR 2022, Section 3. Differences: the
mask is a jittered ellipse around the middle, since landmarks are not known, and the changes are four separate methods,
so that a network can be trained without one of them.
"""

import io
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from scipy import ndimage

from sfic_bench.data.images import Pixels, to_pixels

WEIGHTS = (0.25, 0.5, 0.75, 1.0, 1.0, 1.0)
"""The values from which the largest share of the changed image in the result is drawn."""


def _tone(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Change brightness, contrast and gamma."""
    values = image / 255.0
    gain, shift, gamma = rng.uniform(0.8, 1.25), rng.uniform(-0.08, 0.08), np.exp(rng.uniform(-0.3, 0.3))
    mean = values.mean()
    return to_pixels(255 * np.clip((values - mean) * gain + mean + shift, 0, 1) ** gamma)


def _filter(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Blur or sharpen the image."""
    change: ImageFilter.Filter
    if rng.random() < 0.5:
        change = ImageFilter.GaussianBlur(rng.uniform(0.7, 1.5))
    else:
        change = ImageFilter.UnsharpMask(radius=1.5, percent=int(rng.uniform(120, 250)), threshold=0)
    return np.asarray(Image.fromarray(image).filter(change))


def _resample(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Make the image smaller and then large again."""
    height, width = image.shape[:2]
    factor = rng.uniform(0.35, 0.6)
    small = Image.fromarray(image).resize((int(width * factor), int(height * factor)), Image.Resampling.BILINEAR)
    return np.asarray(small.resize((width, height), Image.Resampling.BILINEAR))


METHODS: Mapping[str, Callable[[Pixels, np.random.Generator], Pixels]] = {
    "tone": _tone,
    "filter": _filter,
    "resample": _resample,
    "recompress": lambda image, rng: jpeg(image, int(rng.integers(12, 35))),
}
"""What each method does to the copy of the image before it is pasted."""


def self_blended(image: Pixels, method: str, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    """A forgery of ``image``, H×W×3, and its mask, H×W: 1 where the soft mask exceeds half, else 0.

    The same state of the generator always gives the same forgery.
    """
    source = _displaced(METHODS[method](image, rng), rng)
    soft = _mask(image.shape[0], image.shape[1], rng)
    mask = (soft * rng.choice(WEIGHTS))[:, :, None]
    return to_pixels(mask * source + (1 - mask) * image), (soft > 0.5).astype(np.uint8)


def jpeg(image: Pixels, quality: int) -> Pixels:
    """``image`` after compression as a JPEG of the given quality."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))


def _displaced(image: Pixels, rng: np.random.Generator) -> Pixels:
    """The image moved by up to 3% and scaled by 0.95 to 1.05."""
    height, width = image.shape[:2]
    scale = rng.uniform(0.95, 1.05)
    dy, dx = rng.uniform(-0.03, 0.03, 2) * (height, width)
    cy, cx = height / 2, width / 2
    inverse = (1 / scale, 0, cx - (cx + dx) / scale, 0, 1 / scale, cy - (cy + dy) / scale)
    size, bilinear = (width, height), Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(image).transform(size, Image.Transform.AFFINE, inverse, bilinear))


def _mask(height: int, width: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """A soft, elastically deformed ellipse, between 0 and 1."""
    y, x = np.mgrid[0:height, 0:width]
    dy, dx = (_smooth(height, width, rng) for _ in range(2))
    cy, cx = height * rng.uniform(0.45, 0.6), width * rng.uniform(0.45, 0.55)
    ry, rx = height * rng.uniform(0.22, 0.36), width * rng.uniform(0.22, 0.36)
    inside = ((y + dy - cy) / ry) ** 2 + ((x + dx - cx) / rx) ** 2 <= 1
    soft = ndimage.gaussian_filter(inside.astype(float), rng.uniform(1.0, 3.5))
    return np.asarray(soft / soft.max())


def _smooth(height: int, width: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """A smooth random displacement of up to 6% of the image (Simard et al., ICDAR 2003), by cubic interpolation."""
    coarse = Image.fromarray(rng.normal(size=(7, 6)).astype(np.float32))
    noise = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=float)
    return np.asarray(noise / (np.abs(noise).max() + 1e-12) * 0.06 * min(height, width))
