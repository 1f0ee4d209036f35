"""A network between whose convolutions is code that goes by sizes, in the styles of other people's networks."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Layer = Callable[..., Tensor]
Code = Callable[[Layer, Tensor], Tensor]


class BySize(nn.Module):
    """Four convolutions and a classifier, with code between them that goes by sizes."""

    def __init__(self, code: Code) -> None:
        super().__init__()
        self.a, self.b, self.c, self.d = (nn.Conv2d(n, 6, 3, padding=1) for n in (3, 6, 6, 6))
        self.head = nn.Linear(6, 2)
        self.code = code

    def forward(self, x: Tensor, logits: bool = True) -> Tensor:
        x = self.d(self.code(self.c, self.b(self.a(x)))).mean((2, 3))
        result: Tensor = self.head(x) if logits else x
        return result


def condition(layer: Layer, x: Tensor) -> Tensor:
    return layer(F.pad(x, (0, 1, 0, 1)) if x.shape[-1] % 2 else x)


def assertion(layer: Layer, x: Tensor) -> Tensor:
    assert x.shape[1] == 6, f"got {x.shape[1]} channels"
    if not isinstance(x, Tensor) or x.dim() != 4 or len(x.shape) != 4 or torch.jit.is_scripting():  # type: ignore[attr-defined]
        raise ValueError
    return layer(x)


def integer(layer: Layer, x: Tensor) -> Tensor:
    if x.shape[2] > 4:
        x = F.interpolate(x, size=(int(x.shape[2] / 2), int(float(x.shape[3]) * 0.5)))
    return layer(x)


def rounding(layer: Layer, x: Tensor) -> Tensor:
    size = math.ceil(x.shape[2] / 2), round(x.shape[3] / 2)
    return layer(F.adaptive_avg_pool2d(x, size) if min(size) > 2 else x)


def same_padding(layer: Layer, x: Tensor) -> Tensor:
    total = max((math.ceil(x.shape[-1] / 2) - 1) * 2 + 3 - x.shape[-1], 0)
    if total >= 0:
        x = F.pad(x, (total // 2, total - total // 2))
    return layer(x)


def channel_range(layer: Layer, x: Tensor) -> Tensor:
    return layer(torch.cat([x[:, i : i + 1] / (i + 1) for i in range(x.shape[1])], 1))


def size_loop(layer: Layer, x: Tensor) -> Tensor:
    places = 1
    for length in x.shape[2:]:
        places *= length
    return layer(x * (places / 100) if places > 9 else x)


def list_of_inputs(layer: Layer, x: Tensor) -> Tensor:
    maps = [x, layer(F.avg_pool2d(x, 2))]
    maps = [y if y.shape[-2:] == maps[0].shape[-2:] else F.interpolate(y, size=maps[0].shape[-2:]) for y in maps]
    return maps[0] + maps[1]


def keyword(layer: Layer, x: Tensor) -> Tensor:
    return layer(input=x) if x.shape[1] == 6 else x


def batch_kept(layer: Layer, x: Tensor) -> Tensor:
    if x.shape[-1] > 2:
        x = layer(x).mean((2, 3)).reshape(len(x), 6, 1, 1) * x
    return x


def gate_of_zeros(layer: Layer, x: Tensor) -> Tensor:
    b, c, h, w = x.size()
    if h * w > 4:
        x = x + torch.zeros(b, c, 1, 1, dtype=x.dtype, device=x.device) + torch.arange(w).to(x.dtype) / w
    return layer(x)


def kernel_of_size(layer: Layer, x: Tensor) -> Tensor:
    quarter, _ = divmod(x.shape[2], 4)
    return layer(F.avg_pool2d(x, (quarter, x.shape[3] // 4)) if x.shape[2] >= 4 else x)


def table(layer: Layer, x: Tensor) -> Tensor:
    return layer(x * {6: 2.0, 12: 3.0}[x.shape[1]])


def made_on_the_way(layer: Layer, x: Tensor) -> Tensor:
    return layer(nn.Upsample(size=(x.shape[2] // 2, x.shape[3] // 2))(x) if x.shape[2] > 3 else x)
