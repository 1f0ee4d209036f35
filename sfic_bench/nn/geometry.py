"""The size that a replaced convolution would give, and how a pool and a stride-1 convolution give the same."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from sfic_bench.nn.split import Size, apply_to, size_of


@dataclass(frozen=True, slots=True)
class Geometry:
    """Kernel, stride, padding and dilation of the convolution that a stage stands for, each per axis.

    A stage pools by the stride and convolves with stride 1. Where padding keeps the size
    (2·padding = dilation·(kernel − 1)) that gives the size of the strided convolution, ceil(n / s).
    For any other padding `fitted` adds or cuts rows and columns in front of the stride-1 convolution, so that
    it gives the strided convolution's size.

    Attributes:
        rounds_down: the pool gives floor(n / s), as in the authors' released networks, for padding that keeps the size.
    """

    kernel: Size
    stride: Size
    padding: Size
    dilation: Size
    rounds_down: bool = False

    def __post_init__(self) -> None:
        if self.rounds_down and self.growth != (0, 0):
            raise ValueError(f"rounding down needs padding that keeps the size, got {self}")

    @property
    def growth(self) -> Size:
        """How many rows and columns the convolution adds at stride 1; a negative number where it takes some away."""
        (kh, kw), (ph, pw), (dh, dw) = self.kernel, self.padding, self.dilation
        return 2 * ph - dh * (kh - 1), 2 * pw - dw * (kw - 1)

    @property
    def is_fitted(self) -> bool:
        """Whether `fitted` does all the padding, and the stride-1 convolution none."""
        return self.stride != (1, 1) and self.growth != (0, 0)

    @property
    def own_padding(self) -> Size:
        """The padding of the stride-1 convolution itself."""
        return (0, 0) if self.is_fitted else self.padding

    def output(self, size: Size) -> Size:
        """The size that the replaced convolution gives for an input of ``size``; at least 1, even for a tiny branch."""
        (gh, gw), (sh, sw) = self.growth, self.stride
        return max(1, (size[0] + gh - 1) // sh + 1), max(1, (size[1] + gw - 1) // sw + 1)

    def after(self, x: Tensor) -> Size:
        """Height and width that the stride-1 convolution gives for a `fitted` ``x``."""
        (height, width), (kh, kw), (ph, pw), (dh, dw) = size_of(x), self.kernel, self.own_padding, self.dilation
        return height + 2 * ph - dh * (kh - 1), width + 2 * pw - dw * (kw - 1)

    def fitted(self, x: Tensor, size: Size) -> Tensor:
        """``x`` with rows and columns added or cut, so that the stride-1 convolution gives ``output(size)``.

        ``x`` is the input pooled by the stride, and ``size`` its height and width before.
        """
        (height, width), (taller, wider) = size_of(x), self.growth
        if not self.is_fitted and height + taller >= 1 and width + wider >= 1:
            return x
        missing = [due - given for due, given in zip(self.output(size), self.after(x), strict=True)]
        if missing == [0, 0]:
            return x
        (above, below), (left, right) = ((n // 2, n - n // 2) for n in missing)
        return apply_to(lambda t: F.pad(t, (left, right, above, below)), x)
