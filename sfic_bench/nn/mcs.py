"""Multi-channel constrained separable convolution, the high-pass filter in front of Stage 1."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sfic_bench.choices import McsMode

KERNEL_SIZE = 5


class MCSConv(nn.Module):
    """One constrained 5×5 kernel per channel: ``[B, C, H, W]`` to ``[B, C, H, W]``.

    Equation (1) of Guo et al., IEEE TIFS 2024: the centre of each kernel is −1 and the other 24 weights
    sum to 1, so that the layer predicts a pixel from its neighbours and returns the error. The
    constraint is part of the forward pass: whatever an optimiser does to ``weight``, the layer applies
    its orthogonal projection onto the constraint. This *subtracts* the excess instead of dividing by the
    sum, so a sum near 0 is harmless and gradients stay bounded.

    Bayar and Stamm, whose constraint it is (IEEE TIFS 2018), divide after each step. Projecting and dividing both
    satisfy Eq. (1); with the projection 23 of the 25 weights of a kernel have an effect.

    Args:
        channels: C.
        mode: ``"learned"``, as in the paper, or ``"frozen"``, as in the authors' released code: a
            random kernel that satisfies the constraint and is never trained. It is applied as it is stored.

    Attributes:
        weight: ``[C, 1, 5, 5]``, 25·C parameters; use `kernel` for what the layer applies.
    """

    _ring: Tensor

    def __init__(
        self,
        channels: int,
        mode: McsMode | str = McsMode.LEARNED,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if channels < 1:
            raise ValueError(f"MCSConv needs at least 1 channel, got {channels}")
        if mode not in [*McsMode]:
            raise ValueError(f"mode must be 'learned' or 'frozen', got {mode!r}")
        self.mode = McsMode(mode)
        weight = torch.empty(channels, 1, KERNEL_SIZE, KERNEL_SIZE, device=device, dtype=dtype)
        self.weight = nn.Parameter(weight, requires_grad=self.mode is McsMode.LEARNED)
        ring = torch.ones(1, 1, KERNEL_SIZE, KERNEL_SIZE, device=device, dtype=dtype)
        ring[..., KERNEL_SIZE // 2, KERNEL_SIZE // 2] = 0
        self.register_buffer("_ring", ring, persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights.

        If they are learned, they are uniform in ±1/√25, as those of a depthwise `torch.nn.Conv2d`. If they are frozen,
        they are drawn as in the released code: standard normal, divided by the sum of the 24 that are not the centre.
        """
        if self.mode is McsMode.LEARNED:
            nn.init.uniform_(self.weight, -1 / KERNEL_SIZE, 1 / KERNEL_SIZE)
            return
        with torch.no_grad():
            ring = nn.init.normal_(self.weight) * self._ring
            self.weight.copy_(ring / ring.sum(dim=(2, 3), keepdim=True) - (1 - self._ring))

    def kernel(self) -> Tensor:
        """The constrained kernels ``[C, 1, 5, 5]``: centre −1, the other 24 weights sum to 1."""
        if self.mode is McsMode.FROZEN:
            return self.weight
        ring = self.weight * self._ring
        excess = (ring.sum(dim=(2, 3), keepdim=True) - 1) / (KERNEL_SIZE**2 - 1)
        return ring - excess * self._ring - (1 - self._ring)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.kernel(), padding=KERNEL_SIZE // 2, groups=x.shape[1])

    def as_convolution(self) -> nn.Conv2d:
        """A plain depthwise convolution that computes the same, with the constrained kernel as its untrained weight."""
        kernel = self.kernel().detach()
        n = len(kernel)
        conv = nn.Conv2d(n, n, KERNEL_SIZE, padding=KERNEL_SIZE // 2, groups=n, bias=False, device="meta")
        conv.weight = nn.Parameter(kernel, requires_grad=False)
        return conv.train(self.training)

    def extra_repr(self) -> str:
        return f"{self.weight.shape[0]}, mode={self.mode.value!r}"
