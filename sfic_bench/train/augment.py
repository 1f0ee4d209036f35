"""Augmentation and normalisation of whole batches of decoded images, on the network's device."""

import torch
from kornia import augmentation
from torch import Tensor, nn

from sfic_bench.train.recipe import Recipe

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation of ImageNet by channel, for values in [0, 1]."""


class Augment(nn.Module):
    """Turns bytes N×3×H×W into normalised floats; in training mode it first flips, rotates and distorts the images.

    Real and fake images are treated alike. Random numbers come from torch's default generator of the CPU. A rotation
    moves pixels and does not interpolate them, as in torchvision, which the released code uses: interpolation would
    blur every image in training and none in testing, and with it the traces that a detector learns.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        steps: list[nn.Module] = []
        if recipe.flip:
            steps.append(augmentation.RandomHorizontalFlip(p=recipe.flip))
        if recipe.rotation:
            steps.append(augmentation.RandomRotation(degrees=recipe.rotation, p=1.0, resample="nearest"))
        if recipe.perspective:
            scale, resample = recipe.perspective, recipe.interpolation.value
            steps.append(augmentation.RandomPerspective(distortion_scale=scale, p=0.5, resample=resample))
        self.steps = nn.Sequential(*steps)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return self.normalised(self.augmented(images, None)[0])

    def augmented(self, images: Tensor, masks: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Images in [0, 1], in training mode augmented at random, and masks N×H×W that are augmented with them."""
        values = images.float() / 255
        if not self.training:
            return values, masks
        if masks is None:
            return self.steps(values), None
        both = self.steps(torch.cat([values, masks[:, None]], dim=1))
        return both[:, :-1], (both[:, -1] > 0.5).float()

    def normalised(self, values: Tensor) -> Tensor:
        """Images in [0, 1] as the input of a network."""
        assert isinstance(self.mean, Tensor) and isinstance(self.std, Tensor)
        return (values - self.mean) / self.std
