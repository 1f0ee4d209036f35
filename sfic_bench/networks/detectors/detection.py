"""The interface of detectors that give more than logits, or learn from more than labels.

The trainer accepts two kinds of networks:

- any network that gives logits ``[B, 2]`` (real, fake), the logit of fake ``[B, 1]``, or a `Detection`;
- a `Detector`, which also has a loss of its own, which may need masks, and a forward pass that uses the labels.
"""

from abc import abstractmethod
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F


class Detection(NamedTuple):
    """A detector's result for B images of H×W.

    Attributes:
        logits: ``[B, 2]``: real, fake.
        mask: logits of each pixel, ``[B, 2, H, W]``: unchanged, manipulated.
        reconstruction: the images again, ``[B, 3, H, W]``, in [−1, 1].
    """

    logits: Tensor
    mask: Tensor
    reconstruction: Tensor


class Detector(nn.Module):
    """A network with a loss of its own."""

    @abstractmethod
    def forward_with_labels(self, images: Tensor, labels: Tensor) -> Detection:
        """The forward pass of a training step, for images ``[B, 3, H, W]`` whose labels ``[B]`` are known."""

    @abstractmethod
    def classification_loss(self, detection: Detection, labels: Tensor) -> Tensor:
        """The part of `loss` that needs labels alone."""

    @abstractmethod
    def loss(self, detection: Detection, images: Tensor, labels: Tensor, masks: Tensor) -> Tensor:
        """The number that training minimises, where `forward_with_labels` has given ``detection``.

        ``images`` ``[B, 3, H, W]`` lie in [0, 1]; ``labels`` ``[B]`` are 1 for fake, and ``masks`` ``[B, H, W]`` where
        a pixel was manipulated.
        """


def two_logits(output: Tensor | Detection) -> Tensor:
    """The logits of real and fake ``[B, 2]`` in a network's output; where it is one logit, that of real is 0."""
    logits = output.logits if isinstance(output, Detection) else output
    return F.pad(logits, (1, 0)) if logits.shape[1] == 1 else logits


class TwoLogits(nn.Module):
    """A trained network of any kind, which gives the logits of real and fake ``[B, 2]`` and nothing else."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return two_logits(self.network(images))
