"""The three stages of space-frequency interactive convolution (SFIConv).

Guo et al., "Constructing New Backbone Networks via Space-Frequency Interactive Convolution for
Deepfake Detection", IEEE TIFS 2024, Section III. A pair is two tensors, the spatial branch S and the
frequency branch F. Stage 1 turns a tensor into a pair, Stage 2 a pair into a pair, Stage 3 a pair into
a tensor; each stands for a vanilla convolution:

>>> split = Split.of(64, alpha=0.5)
>>> stages = torch.nn.Sequential(
...     Stage1(64, split, 3, beta=0.5, padding=1),
...     Stage2(split, split, 3, padding=1),
...     Stage3(split, 128, 3, padding=1, stride=2),
... )
>>> stages(torch.randn(1, 64, 56, 56)).shape
torch.Size([1, 128, 28, 28])
"""

from math import gcd
from typing import TypedDict, Unpack

import torch
from torch import Tensor, nn

from sfic_bench.choices import McsMode
from sfic_bench.modules import meta_conv
from sfic_bench.nn.geometry import Geometry
from sfic_bench.nn.mcs import MCSConv
from sfic_bench.nn.per_branch import PerBranch
from sfic_bench.nn.split import Pair, Size, Split, check_beta, resize, scaled_size, size_of

PerAxis = int | tuple[int, ...]
"""One number for both height and width, or one for each."""


class ConvOptions(TypedDict, total=False):
    """Options of the convolution that a stage stands for, as in `torch.nn.Conv2d` except for two of them.

    stride: default 1. A stride s becomes an s×s average pool in front of a convolution with stride 1,
        padded so that the size is the strided convolution's, see `sfic_bench.nn.geometry.Geometry`.
    rounds_down: default ``False``; with ``True`` the pool drops the last row and column of an odd size, as in the
        authors' released networks, and the size is not the strided convolution's.
    bias: default ``False``, as in the paper; with ``True`` each branch's output gets a bias.
    """

    stride: PerAxis
    rounds_down: bool
    padding: PerAxis
    dilation: PerAxis
    groups: int
    bias: bool
    device: torch.device | str | None
    dtype: torch.dtype | None


def _two(value: PerAxis) -> Size:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


class StageBase(nn.Module):
    """The base of all stages: geometry, pool and bias of the convolution that a stage stands for.

    Attributes:
        blocks: names of the convolutions that tile the vanilla weight, rows for outputs and columns for inputs.
        reads_pair: whether the stage's input is a pair; otherwise it is a tensor.
        pool: the average pool that stands for the stride, if there is one.
    """

    blocks: tuple[tuple[str, ...], ...] = ()
    reads_pair = True

    def __init__(self, kernel_size: PerAxis, options: ConvOptions) -> None:
        super().__init__()
        self.geometry = Geometry(
            _two(kernel_size),
            _two(options.get("stride", 1)),
            _two(options.get("padding", 0)),
            _two(options.get("dilation", 1)),
            options.get("rounds_down", False),
        )
        self._bias, self._device, self._dtype = options.get("bias", False), options.get("device"), options.get("dtype")
        self.pool: nn.Module | None = None
        if self.geometry.stride != (1, 1):
            # ceil_mode, because an odd size must give what the strided convolution would have given.
            pool = nn.AvgPool2d(self.geometry.stride, ceil_mode=not self.geometry.rounds_down)
            self.pool = PerBranch(pool) if self.reads_pair else pool

    def _conv(self, inputs: int, outputs: int, groups: int = 1, *, has_bias: bool = True) -> nn.Conv2d | None:
        """One branch's convolution, stride 1; ``None`` where either side has no channels."""
        if not inputs or not outputs:
            return None
        geometry, bias = self.geometry, self._bias and has_bias
        if self._device is not None and torch.device(self._device).type == "meta":
            return meta_conv(
                inputs, outputs, geometry.kernel, padding=geometry.own_padding, dilation=geometry.dilation,
                groups=groups, bias=bias, dtype=self._dtype or torch.get_default_dtype(),
            )  # fmt: skip
        return nn.Conv2d(
            inputs, outputs, geometry.kernel, padding=geometry.own_padding, dilation=geometry.dilation, groups=groups,
            bias=bias, device=self._device, dtype=self._dtype,
        )  # fmt: skip

    def _pooled(self, x: Tensor) -> Tensor:
        """``x``, pooled by the stride."""
        return x if self.pool is None else self.pool(x)

    def _shrunk(self, x: Tensor) -> Tensor:
        """``x``, pooled by the stride and padded, as the convolutions read it."""
        return self.geometry.fitted(self._pooled(x), size_of(x))

    def _shrunk_pair(self, pair: Pair) -> Pair:
        s, f = pair if self.pool is None else self.pool(pair)
        return Pair(self.geometry.fitted(s, size_of(pair.spatial)), self.geometry.fitted(f, size_of(pair.frequency)))

    def _sum(self, x: Tensor, size: Size, *terms: tuple[nn.Conv2d | None, Tensor]) -> Tensor:
        """Σ resize(conv(t), size) over the ``(conv, t)`` in ``terms`` whose convolution exists.

        If none exists, the branch has no channels, and the sum is an empty tensor for the batch of ``x``.
        """
        summands = [resize(conv(t), size) for conv, t in terms if conv is not None]
        if not summands:
            return x.new_empty(x.shape[0], 0, *size)
        return summands[0] if len(summands) == 1 else summands[0] + summands[1]


def stages_in(module: nn.Module) -> list[StageBase]:
    """All stages in ``module``, itself included."""
    found = [module] if isinstance(module, StageBase) else []
    for child in module._modules.values():
        if child is not None:
            found += stages_in(child)
    return found


class Stage1(StageBase):
    """Initial stage: ``[B, in_channels, H, W]`` to a pair with ``out`` channels.

    ``S = f_s(x)``, ``F = resize(f_f(MCSConv(x)), β)``. Both convolutions run at full size, and the
    resize comes after them (Section III-B). Each uses ``gcd(groups, its outputs)`` groups. The pool of a stride comes
    before MCSConv, as in the authors' released code.

    Args:
        in_channels, out, kernel_size, options: the convolution that this stage stands for, see `ConvOptions`.
        beta: height and width of F over those of S, in (0, 1].
        mcs: whether MCSConv is trained, see `MCSConv`.

    Raises:
        ValueError: for β outside (0, 1].
    """

    blocks = (("spatial",), ("frequency",))
    reads_pair = False

    def __init__(
        self,
        in_channels: int,
        out: Split,
        kernel_size: PerAxis,
        *,
        beta: float,
        mcs: McsMode | str = McsMode.LEARNED,
        **options: Unpack[ConvOptions],
    ) -> None:
        super().__init__(kernel_size, options)
        check_beta(beta)
        self.beta = beta
        groups, s, f = options.get("groups", 1), out.spatial, out.frequency
        self.mcs = MCSConv(in_channels, mcs, device=self._device, dtype=self._dtype) if f else None
        self.spatial = self._conv(in_channels, s, gcd(groups, s))
        self.frequency = self._conv(in_channels, f, gcd(groups, f))

    def forward(self, x: Tensor) -> Pair:
        pooled = self._pooled(x)
        filtered = pooled if self.mcs is None else self.mcs(pooled)
        shrunk, filtered = (self.geometry.fitted(t, size_of(x)) for t in (pooled, filtered))
        size = self.geometry.after(shrunk)
        frequency = self._sum(x, size, (self.frequency, filtered))
        return Pair(self._sum(x, size, (self.spatial, shrunk)), resize(frequency, scaled_size(size, self.beta)))


class Stage2(StageBase):
    """Interactive stage, a pair with ``inputs`` channels to a pair with ``outputs``: equations (2)–(5) and (8).

    ``S' = f_ss(S) + enlarge(f_fs(F))`` and ``F' = f_ff(F) + reduce(f_sf(S))``. ``f_sf`` runs at the
    size of S and its output is reduced; ``f_fs`` runs at the size of F and its output is enlarged.
    A depthwise convolution (``groups`` is ``inputs.total``) has no exchange: only ``f_ss`` and ``f_ff``.

    Raises:
        ValueError: for ``groups`` that are neither 1 nor ``inputs.total``, or a depthwise convolution whose outputs
            are not the same multiple of its inputs on both branches.
    """

    blocks = (("ss", "fs"), ("sf", "ff"))

    def __init__(self, inputs: Split, outputs: Split, kernel_size: PerAxis, **options: Unpack[ConvOptions]) -> None:
        super().__init__(kernel_size, options)
        groups = options.get("groups", 1)
        self.depthwise = depthwise = groups == inputs.total and groups > 1
        if groups != 1 and not depthwise:
            raise ValueError(
                f"Stage 2 stands for a dense (groups=1) or depthwise (groups={inputs.total}) "
                f"convolution, got groups={groups}"
            )
        if depthwise and outputs != inputs * (outputs.total // inputs.total):
            raise ValueError(f"a depthwise Stage 2 cannot turn {inputs} into {outputs}")
        s, f = inputs.spatial, inputs.frequency
        self.ss = self._conv(s, outputs.spatial, s if depthwise else 1)
        self.ff = self._conv(f, outputs.frequency, f if depthwise else 1)
        # A branch's own convolution has the bias; where there is none, the exchange from the other branch has it.
        self.sf = None if depthwise else self._conv(s, outputs.frequency, has_bias=not f)
        self.fs = None if depthwise else self._conv(f, outputs.spatial, has_bias=not s)

    def forward(self, pair: Pair) -> Pair:
        s, f = self._shrunk_pair(pair)
        s_size, f_size = self.geometry.after(s), self.geometry.after(f)
        return Pair(
            self._sum(s, s_size, (self.ss, s), (self.fs, f)),
            self._sum(f, f_size, (self.ff, f), (self.sf, s)),
        )


class Stage3(StageBase):
    """Fusion stage, a pair to ``[B, out_channels, H', W']`` at the size of S: equations (6)–(7).

    The result is ``f'_ss(S) + enlarge(f'_fs(F))``.

    Raises:
        ValueError: for grouped convolutions.
    """

    blocks = (("ss", "fs"),)

    def __init__(self, inputs: Split, out_channels: int, kernel_size: PerAxis, **options: Unpack[ConvOptions]) -> None:
        super().__init__(kernel_size, options)
        if options.get("groups", 1) != 1:
            raise ValueError(f"Stage 3 needs groups=1, got groups={options['groups']}")
        self.ss = self._conv(inputs.spatial, out_channels)
        self.fs = self._conv(inputs.frequency, out_channels, has_bias=not inputs.spatial)

    def forward(self, pair: Pair) -> Tensor:
        s, f = self._shrunk_pair(pair)
        return self._sum(s, self.geometry.after(s), (self.ss, s), (self.fs, f))
