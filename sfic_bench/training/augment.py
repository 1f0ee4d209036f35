"""Augmentation and normalisation of whole batches of decoded images, on the network's device."""

from collections.abc import Callable, Iterator

import torch
from kornia import augmentation
from torch import Tensor, nn
from torch.nn import functional as F

from sfic_bench.networks.normalisation import IMAGENET, Normalisation
from sfic_bench.networks.pixels import Normalise
from sfic_bench.training.recipe import Augmentation

LEAST_SIGMA, LEAST_CUTOUT = 0.1, 0.02
"""The least standard deviation of a blur, pixels, and the least share of an image that a rectangle covers."""


class Augment(nn.Module):
    """Turns bytes N×3×H×W into normalised floats; in training mode it first distorts the images at random.

    Real and fake images are treated alike. Random numbers come from torch's default generators. A rotation
    moves pixels and does not interpolate them, as in torchvision, which the released code uses: interpolation would
    blur every image in training and none in testing, and with it the traces that a detector learns.

    Args:
        settings: the distortions, usually a `Recipe`.
        normalisation: what the network expects of pixels.
    """

    def __init__(self, settings: Augmentation, normalisation: Normalisation = IMAGENET) -> None:
        super().__init__()
        self.moving = nn.Sequential(*_moving(settings))
        self.changing = nn.Sequential(*_changing(settings))
        self.normalise = Normalise(normalisation)

    def forward(self, images: Tensor) -> Tensor:
        return self.normalised(self.augmented(images, None)[0])

    def augmented(self, images: Tensor, masks: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Images in [0, 1], in training mode augmented at random, and masks N×H×W, whose pixels move with them."""
        values = images.float() / 255
        if not self.training:
            return values, masks
        if masks is None:
            return self.changing(self.moving(values)), None
        both = self.moving(torch.cat([values, masks[:, None]], dim=1))
        return self.changing(both[:, :-1]), (both[:, -1] > 0.5).float()

    def normalised(self, values: Tensor) -> Tensor:
        """Images in [0, 1] as the input of a network."""
        normalised: Tensor = self.normalise(values)
        return normalised


def _moving(settings: Augmentation) -> Iterator[nn.Module]:
    """The distortions that move pixels."""
    if settings.flip:
        yield augmentation.RandomHorizontalFlip(p=settings.flip)
    if settings.rotation:
        yield augmentation.RandomRotation(degrees=settings.rotation, p=1.0, resample="nearest")
    if settings.perspective:
        scale, resample = settings.perspective, settings.interpolation.value
        yield augmentation.RandomPerspective(distortion_scale=scale, p=0.5, resample=resample)


def _changing(settings: Augmentation) -> Iterator[nn.Module]:
    """The distortions that change pixels where they are, in the order in which a picture meets them."""
    if settings.resize:
        yield Sometimes(settings.resize, lambda images: _shrunk(images, settings.resize_scale))
    if settings.blur:
        size = 2 * round(3 * settings.blur_sigma) + 1
        sigma = (min(LEAST_SIGMA, settings.blur_sigma), settings.blur_sigma)
        yield augmentation.RandomGaussianBlur((size, size), sigma, p=settings.blur)
    if settings.brightness:
        change = (1 - settings.brightness_change, 1 + settings.brightness_change)
        yield augmentation.RandomBrightness(change, p=settings.brightness)
        yield augmentation.RandomContrast(change, p=settings.brightness)
    if settings.noise:
        yield Sometimes(settings.noise, lambda images: _noisy(images, settings.noise_std))
    if settings.jpeg:
        yield augmentation.RandomJPEG(jpeg_quality=(float(settings.jpeg_quality), 100.0), p=settings.jpeg)
    if settings.cutout:
        share = (min(LEAST_CUTOUT, settings.cutout_share), settings.cutout_share)
        yield augmentation.RandomErasing(share, value=0.5, p=settings.cutout)


class Sometimes(nn.Module):
    """Applies ``distortion`` to images N×3×H×W of a batch, to each with the probability ``p``."""

    def __init__(self, p: float, distortion: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.p, self.distortion = p, distortion

    def forward(self, images: Tensor) -> Tensor:
        chosen = torch.nonzero(torch.rand(len(images)) < self.p)[:, 0]
        if not len(chosen):
            return images
        chosen = chosen.to(images.device, non_blocking=True)
        return images.index_copy(0, chosen, self.distortion(images[chosen]))


def _shrunk(images: Tensor, least: float) -> Tensor:
    """Each image made smaller by a random factor of at least ``least``, and enlarged again."""
    height, width = images.shape[-2:]
    scales = torch.empty(len(images)).uniform_(least, 1).tolist()
    sizes = [(max(1, round(height * scale)), max(1, round(width * scale))) for scale in scales]
    small = [
        F.interpolate(image[None], size, mode="bilinear", antialias=True)
        for image, size in zip(images, sizes, strict=True)
    ]
    return torch.cat([F.interpolate(image, (height, width), mode="bilinear") for image in small])


def _noisy(images: Tensor, largest: float) -> Tensor:
    """Images with Gaussian noise, each with a random standard deviation of at most ``largest``."""
    std = torch.empty(len(images), 1, 1, 1).uniform_(0, largest).to(images.device, non_blocking=True)
    return (images + std * torch.randn_like(images)).clamp(0, 1)
