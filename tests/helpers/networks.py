"""Small networks to convert and fuse, and changes to networks that make their outputs comparable."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from sfic_bench import api
from sfic_bench.convert import to_sfic
from sfic_bench.nn import Stage1


class Chain(nn.Module):
    """A head, four convolutions and a classifier, as a user's own network may have."""

    def __init__(self, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.Conv2d(6, 10, 3, padding=1),
            nn.BatchNorm2d(10),
            nn.SiLU(),
            nn.Conv2d(10, 10, 3, stride=stride, padding=2, dilation=2),
            nn.LeakyReLU(),
            nn.AvgPool2d(2),
            nn.Conv2d(10, 20, 3, padding=1, groups=10, bias=False),
            nn.Conv2d(20, 8, 1),
        )
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body(x).mean((2, 3)))
        return logits


Combine = Callable[[Tensor, Tensor, Tensor], Tensor]


class Residual(nn.Module):
    """Four convolutions; ``combine`` takes two pairs and the single tensor in front of Stage 1, which is ``b``."""

    def __init__(self, combine: Combine, channels: int = 8) -> None:
        super().__init__()
        inputs = (3, channels, channels, channels)
        self.a, self.b, self.c, self.d = (nn.Conv2d(c, channels, 3, padding=1) for c in inputs)
        self.combine = combine

    def forward(self, x: Tensor) -> Tensor:
        first = self.a(x)
        pair = self.b(first)
        last: Tensor = self.d(self.combine(self.c(pair), pair, first))
        return last


class Body(nn.Module):
    """A stem, Stage 1 with ``channels``, the module under test, two more convolutions and a classifier.

    ``middle`` gives ``out`` channels, or as many as it takes.
    """

    def __init__(self, middle: nn.Module, channels: int = 12, out: int | None = None) -> None:
        super().__init__()
        self.stem, self.first = same_size(3, 8), same_size(8, channels)
        self.middle = middle
        self.next, self.last = same_size(out or channels, 10), same_size(10, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.middle(self.first(self.stem(x)))
        logits: Tensor = self.head(self.last(self.next(x)).mean((2, 3)))
        return logits


def normed(alpha: float | None = None, beta: float = 1.0) -> nn.Module:
    """A network with norms of all kinds that counters know, which they build in processes of their own."""
    norms = (nn.GroupNorm(3, 12), nn.GroupNorm(1, 12, affine=False), nn.InstanceNorm2d(12), nn.BatchNorm2d(12))
    vanilla = Body(nn.Sequential(*norms, nn.InstanceNorm2d(12, affine=True)))
    return vanilla if alpha is None else to_sfic(vanilla, alpha, beta)


class Applied(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def same_size(c_in: int, c_out: int, k: int = 3, *, groups: int = 1, stride: int = 1) -> nn.Conv2d:
    """A convolution whose padding keeps height and width."""
    return nn.Conv2d(c_in, c_out, k, padding=k // 2, groups=groups, stride=stride)


def randomised(model: nn.Module, seed: int = 0) -> nn.Module:
    """The model in float64 and with random norms, so that no errors cancel by chance; it is changed in place."""
    torch.manual_seed(seed)
    for m in model.modules():
        if isinstance(m, nn.BatchNorm2d) and m.running_mean is not None and m.running_var is not None:
            m.running_mean.normal_()
            m.running_var.uniform_(0.5, 2)
            nn.init.uniform_(m.weight, 0.5, 1.5)
            nn.init.normal_(m.bias)
    return model.double().eval()


def with_identity_mcs(sfic: nn.Module) -> nn.Module:
    """``sfic`` with the identity in place of MCSConv, the only part without a vanilla counterpart."""
    for m in sfic.modules():
        if isinstance(m, Stage1) and m.mcs is not None:
            m.set_submodule("mcs", nn.Identity())
    return sfic


def small(beta: float = 0.3) -> nn.Module:
    """A fused SFIC network of four convolutions, for inputs of 48×48 pixels."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for i, (channels, wider) in enumerate(pairwise((3, 16, 24, 24, 32))):
        layers += [nn.Conv2d(channels, wider, 3, 1 + i % 2, 1), nn.BatchNorm2d(wider), nn.ReLU()]
    vanilla = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 2))
    return api.fuse(api.to_sfic(vanilla, alpha=0.5, beta=beta).eval())
