"""Pixels as a network's input."""

import torch
from torch import Tensor, nn

from sfic_bench.networks.normalisation import Normalisation


class Normalise(nn.Module):
    """Images in [0, 1], ``[B, 3, H, W]``, as the input of a network that expects them so."""

    mean: Tensor
    std: Tensor

    def __init__(self, normalisation: Normalisation) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(normalisation.mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(normalisation.std).view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std
