"""A Y-shaped autoencoder, called Multi-task.

Source: Nguyen et al., "Multi-task Learning for Detecting and Segmenting Manipulated Facial Images and Videos",
BTAS 2019.

Input 256×256; it must be a multiple of 16, so that masks and reconstructions have the size of the images. There is
no classifier: the latent code has one half for real images and one for fakes, and the half with the larger mean is
the answer. The source weighs its losses alike and trains by Adam at 1e-3 with weight decay 5e-4; here the recipe's
optimiser is used, as for every network.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sfic_bench.errors import InvalidValue
from sfic_bench.networks.detectors.detection import Detection, Detector

ENCODER = ((8, 1), (8, 2), (16, 1), (16, 2), (32, 1), (32, 2), (64, 1), (64, 2), (128, 1))
SHARED = ((64, 1), (64, 2), (32, 1), (32, 2))
HEAD = ((16, 1), (16, 2), (8, 1), (8, 2))
"""Output channels and stride of each convolution."""

LATENT = ENCODER[-1][0]


def _convolutions(c_in: int, widths: tuple[tuple[int, int], ...], *, transposed: bool) -> list[nn.Module]:
    parts: list[nn.Module] = []
    for c_out, stride in widths:
        if transposed:
            parts.append(nn.ConvTranspose2d(c_in, c_out, 3, stride, padding=1, output_padding=stride - 1))
        else:
            parts.append(nn.Conv2d(c_in, c_out, 3, stride, padding=1))
        parts += [nn.BatchNorm2d(c_out), nn.ReLU(inplace=True)]
        c_in = c_out
    return parts


class MultiTask(Detector):
    """``[B, 3, H, W]`` to a `Detection` with logits, masks and reconstructions.

    Raises:
        InvalidValue: for other than two classes.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        if classes != 2:
            raise InvalidValue(f"multi-task tells real from fake, got {classes} classes")
        self.encoder = nn.Sequential(*_convolutions(3, ENCODER, transposed=False))
        self.shared = nn.Sequential(*_convolutions(LATENT, SHARED, transposed=True))
        width, last = SHARED[-1][0], HEAD[-1][0]
        self.segment, self.reconstruct = (
            nn.Sequential(*_convolutions(width, HEAD, transposed=True), nn.ConvTranspose2d(last, n, 3, padding=1))
            for n in (2, 3)
        )

    def forward(self, x: Tensor) -> Detection:
        halves, logits = self._encoded(x)
        return self._decoded(halves, logits, logits.argmax(dim=1))

    def forward_with_labels(self, images: Tensor, labels: Tensor) -> Detection:
        return self._decoded(*self._encoded(images), labels)

    def _encoded(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Both halves of the latent code, and the mean absolute value of each, which are the logits."""
        halves = self.encoder(x).unflatten(1, (2, LATENT // 2))
        return halves, halves.abs().mean(dim=(2, 3, 4))

    def _decoded(self, halves: Tensor, logits: Tensor, chosen: Tensor) -> Detection:
        # Only the half that the image belongs to is decoded.
        kept = F.one_hot(chosen, 2).to(halves.dtype)
        decoded = self.shared((halves * kept[:, :, None, None, None]).flatten(1, 2))
        return Detection(logits, self.segment(decoded), torch.tanh(self.reconstruct(decoded)))

    def classification_loss(self, detection: Detection, labels: Tensor) -> Tensor:
        target = F.one_hot(labels, 2).to(detection.logits.dtype)
        return (detection.logits - target).abs().sum(dim=1).mean()

    def loss(self, detection: Detection, images: Tensor, labels: Tensor, masks: Tensor) -> Tensor:
        segmentation = F.cross_entropy(detection.mask, masks.long())
        reconstruction = F.mse_loss(detection.reconstruction, 2 * images - 1)
        return self.classification_loss(detection, labels) + segmentation + reconstruction
