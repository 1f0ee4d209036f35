"""M2TR (Wang et al., "M2TR: Multi-modal Multi-scale Transformers for Deepfake Detection", ICMR 2022).

Input 320×320, in its released form on EfficientNet-B4. Its frequency filters are as large as its features, which
have a fourth of the input's height and width; the input must be a multiple of 32. This is written from the paper:
a count of the released code may differ by a few thousand parameters. The source's losses on masks and its
pretrained weights are left out.
"""

import torch
from torch import Tensor, nn

from sfic_bench.errors import InvalidValue
from sfic_bench.networks.backbones.efficientnet import efficientnet_b4

LAYERS = 4
"""Number of transformer layers."""

SCALES = (1, 2, 4, 8)
"""The height of the feature over the height of a patch, for each group of channels."""

CHANNELS, STRIDE = 32, 4
"""Channels of the feature that is transformed, the third of EfficientNet's, and the input's height over its height."""


def _norm(channels: int) -> list[nn.Module]:
    return [nn.BatchNorm2d(channels), nn.LeakyReLU(0.2, inplace=True)]


def _feed_forward(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=2, dilation=2),
        *_norm(channels),
        nn.Conv2d(channels, channels, 3, padding=1),
        *_norm(channels),
    )


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention of ``[B, n, d]`` to ``[B, m, d]`` (Vaswani et al., NeurIPS 2017, equation 1)."""
    scores = torch.matmul(query, key.transpose(1, 2)) / query.shape[2] ** 0.5
    return torch.matmul(scores.softmax(dim=-1), value)


def patches(x: Tensor, size: int) -> Tensor:
    """``[B, c, H, W]`` to ``[B, patches, c·size·size]``."""
    b, c, h, w = x.shape
    x = x.reshape(b, c, h // size, size, w // size, size)
    return x.permute(0, 2, 4, 1, 3, 5).reshape(b, -1, c * size * size)


def from_patches(x: Tensor, size: int, shape: torch.Size) -> Tensor:
    """The tensor of that ``shape`` from its `patches`."""
    b, c, h, w = shape
    x = x.reshape(b, h // size, w // size, c, size, size)
    return x.permute(0, 3, 1, 4, 2, 5).reshape(b, c, h, w)


@torch.fx.wrap
def filtered(x: Tensor, learned: Tensor) -> Tensor:
    """``x`` ``[B, c, H, W]`` with its spectrum times ``learned`` ``[c, H, W//2 + 1, 2]``, real and imaginary parts."""
    wide = x if x.dtype == torch.float64 else x.float()  # torch has no transform in half precision
    # In a network that is channels last, the filter's last dimension is not its innermost one.
    spectrum = torch.fft.rfft2(wide, norm="ortho") * torch.view_as_complex(learned.to(wide.dtype).contiguous())
    result: Tensor = torch.fft.irfft2(spectrum, s=x.shape[2:], norm="ortho").to(x.dtype)
    return result


class MultiScale(nn.Module):
    """Attention between patches of four sizes, each in a fourth of the channels. Source: Section 3.2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Conv2d(channels, channels, 1) for _ in range(3))
        self.out = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), *_norm(channels))
        self.feed_forward = _feed_forward(channels)

    def forward(self, x: Tensor) -> Tensor:
        projected = (self.query(x), self.key(x), self.value(x))
        attended = []
        for i, scale in enumerate(SCALES):
            size = x.shape[2] // scale
            query, key, value = (part.chunk(len(SCALES), dim=1)[i] for part in projected)
            values = attend(patches(query, size), patches(key, size), patches(value, size))
            attended.append(from_patches(values, size, query.shape))
        x = x + self.out(torch.cat(attended, dim=1))
        result: Tensor = x + self.feed_forward(x)
        return result


class FrequencyFilter(nn.Module):
    """A learned filter of the feature's spectrum. Source: Section 3.3."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.filter = nn.Parameter(0.02 * torch.randn(channels, size, size // 2 + 1, 2))
        self.feed_forward = _feed_forward(channels)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.feed_forward(filtered(x, self.filter))
        return result


class CrossModality(nn.Module):
    """Attention of pixels to the frequency feature. Source: Section 3.4."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Conv2d(channels, channels, 1, bias=False) for _ in range(3))
        self.out = nn.Sequential(nn.Conv2d(channels, channels, 1, bias=False), *_norm(channels))

    def forward(self, pixels: Tensor, frequencies: Tensor) -> Tensor:
        projected = (self.query(pixels), self.key(frequencies), self.value(frequencies))
        attended = attend(*(part.flatten(2).transpose(1, 2) for part in projected))
        result: Tensor = pixels + self.out(attended.transpose(1, 2).reshape(pixels.shape))
        return result


class TransformerLayer(nn.Module):
    """``[B, c, H, H]`` to the same shape: attention between patches and a filter of frequencies, then joined."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.multi_scale, self.frequency = MultiScale(channels), FrequencyFilter(channels, size)
        self.cross = CrossModality(channels)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.cross(self.multi_scale(x), self.frequency(x))
        return result


class M2TR(nn.Module):
    """``[B, 3, input_size, input_size]`` to logits ``[B, classes]``.

    Raises:
        InvalidValue: for an input size that is not a multiple of 32.
    """

    def __init__(self, classes: int, input_size: int) -> None:
        super().__init__()
        if input_size % (STRIDE * SCALES[-1]):
            raise InvalidValue(f"m2tr needs an input size that 32 divides, got {input_size}")
        net = efficientnet_b4(classes)
        self.before, self.after = net.features[:3], net.features[3:]
        self.transformer = nn.Sequential(*(TransformerLayer(CHANNELS, input_size // STRIDE) for _ in range(LAYERS)))
        self.avgpool = net.avgpool
        *_, last = net.classifier.children()
        self.classifier = nn.Sequential(nn.Dropout(0.5), last)

    def forward(self, x: Tensor) -> Tensor:
        x = self.after(self.transformer(self.before(x)))
        logits: Tensor = self.classifier(self.avgpool(x).flatten(1))
        return logits
