"""From decoded bytes to what a network reads, on the batch and on its device."""

import torch
from kornia import augmentation
from torch import Tensor, nn

from sfic_bench.train.recipe import Recipe

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet, by channel, for values in [0, 1]."""


class Augment(nn.Module):
    """Bytes N×3×H×W → normalised floats; in training mode flipped, rotated and seen from aside.

    Real and fake images are treated alike. Draws from torch's default generator of the CPU. Pixels are moved, not
    interpolated, which would blur every image in training, none in testing, and with it the traces that a detector is
    to find (torchvision, which the released code uses, rotates in this way too).
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        steps: list[nn.Module] = []
        if recipe.flip:
            steps.append(augmentation.RandomHorizontalFlip(p=recipe.flip))
        if recipe.rotation:
            steps.append(augmentation.RandomRotation(degrees=recipe.rotation, p=1.0, resample="nearest"))
        if recipe.perspective:
            steps.append(
                augmentation.RandomPerspective(distortion_scale=recipe.perspective, p=0.5, resample="nearest")
            )
        self.steps = nn.Sequential(*steps)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return self.normalised(self.moved(images, None)[0])

    def moved(self, images: Tensor, masks: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Images in [0, 1], and with them their masks N×H×W, if there are any."""
        values = images.float() / 255
        if not self.training:
            return values, masks
        if masks is None:
            return self.steps(values), None
        both = self.steps(torch.cat([values, masks[:, None]], dim=1))
        return both[:, :-1], both[:, -1]

    def normalised(self, values: Tensor) -> Tensor:
        """What a network reads, of images in [0, 1]."""
        assert isinstance(self.mean, Tensor) and isinstance(self.std, Tensor)
        return (values - self.mean) / self.std
