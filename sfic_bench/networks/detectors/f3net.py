"""F3-Net (Qian et al., "Thinking in Frequency: Face Forgery Detection by Mining Frequency-aware Clues", ECCV 2020).

Input 299×299, the size of its learned filters. This is the branch of frequency-aware decomposition (FAD) alone, which
is what has been released and what has the paper's 21.17M parameters; the source's local frequency statistics and the
attention between both branches are not part of it. An unused classifier of its Xception (2,049 parameters) is left out.
It gives one logit, of fake.
"""

import math

import torch
from torch import Tensor, nn

from sfic_bench.errors import InvalidValue
from sfic_bench.networks.detectors.xception import TAIL, Xception


def dct_matrix(n: int) -> Tensor:
    """The matrix D ``[n, n]`` of the orthonormal DCT-II in float64: ``D @ x`` transforms columns, ``x @ D.T`` rows."""
    k, i = torch.arange(n, dtype=torch.float64)[:, None], torch.arange(n)[None, :]
    matrix = torch.cos(math.pi * k * (2 * i + 1) / (2 * n)) * math.sqrt(2 / n)
    matrix[0] /= math.sqrt(2)
    return matrix


class Decomposition(nn.Module):
    """``[B, 3, n, n]`` to ``[B, 12, n, n]``: an image in four bands of frequencies.

    Each band is a fixed mask on the sum of both frequencies plus a learned part within (−1, 1). Source: Section 3.1.
    """

    def __init__(self, n: int) -> None:
        super().__init__()
        bands = ((0, n / 2.82), (n / 2.82, n / 2), (n / 2, 2 * n), (0, 2 * n))
        total = torch.arange(n)[:, None] + torch.arange(n)[None, :]
        fixed = torch.stack([((total >= low) & (total <= high)).float() for low, high in bands])
        self.register_buffer("dct", dct_matrix(n).float(), persistent=False)
        self.register_buffer("fixed", fixed, persistent=False)
        self.learned = nn.ParameterList([nn.Parameter(0.1 * torch.randn(n, n)) for _ in bands])

    def forward(self, x: Tensor) -> Tensor:
        dct, fixed = self.dct, self.fixed
        assert isinstance(dct, Tensor) and isinstance(fixed, Tensor)
        spectrum = torch.matmul(torch.matmul(dct, x), dct.T)
        bands = []
        for i, learned in enumerate(self.learned):
            kept = spectrum * (fixed[i] + (2 * torch.sigmoid(learned) - 1))
            bands.append(torch.matmul(torch.matmul(dct.T, kept), dct))
        return torch.cat(bands, dim=1)


class F3Net(nn.Module):
    """``[B, 3, input_size, input_size]`` to the logit of fake, ``[B, 1]``.

    Raises:
        InvalidValue: for other than two classes.
    """

    def __init__(self, classes: int, input_size: int) -> None:
        super().__init__()
        if classes != 2:
            raise InvalidValue(f"f3net tells real from fake by one logit, got {classes} classes")
        self.decomposition = Decomposition(input_size)
        self.xception = Xception(1, channels=12)
        self.xception.classifier = nn.Identity()  # the classifier below takes its place
        self.classifier = nn.Sequential(nn.ReLU(), nn.Dropout(0.2), nn.Linear(TAIL[-1], 1))

    def forward(self, x: Tensor) -> Tensor:
        logit: Tensor = self.classifier(self.xception(self.decomposition(x)))
        return logit
