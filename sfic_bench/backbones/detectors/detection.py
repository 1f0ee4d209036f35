"""What a detector may give beside logits, and what it may want to learn from beside labels.

The one interface that the trainer knows:

- a network gives logits ``[B, 2]`` (real, fake), the logit of fake ``[B, 1]``, or a `Detection`;
- a `Detector` also has a loss of its own, which may need masks, and a way to be taught, which knows the labels.
"""

from abc import abstractmethod
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F


class Detection(NamedTuple):
    """What a network says of B images of H×W.

    Attributes:
        logits: ``[B, 2]``: real, fake.
        mask: logits of each pixel, ``[B, 2, H, W]``: as it was, manipulated.
        reconstruction: the images again, ``[B, 3, H, W]``, in [−1, 1].
    """

    logits: Tensor
    mask: Tensor
    reconstruction: Tensor


class Detector(nn.Module):
    """A network with a loss of its own."""

    @abstractmethod
    def taught(self, images: Tensor, labels: Tensor) -> Detection:
        """The forward pass of a training step: of images ``[B, 3, H, W]`` whose labels ``[B]`` are known."""

    @abstractmethod
    def loss(self, found: Detection, images: Tensor, labels: Tensor, masks: Tensor) -> Tensor:
        """One number to make small.

        Args:
            found: of ``images`` with their ``labels``.
            images: ``[B, 3, H, W]``, in [0, 1].
            labels: ``[B]``; 1 for fake.
            masks: ``[B, H, W]``; 1 where a pixel was manipulated.
        """


def two_logits(found: Tensor | Detection) -> Tensor:
    """Logits of real and fake, ``[B, 2]``, of whatever a network gave: with one logit, real has 0."""
    logits = found.logits if isinstance(found, Detection) else found
    return F.pad(logits, (1, 0)) if logits.shape[1] == 1 else logits
