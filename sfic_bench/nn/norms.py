"""Norms over several channels on a pair, whose statistics both branches share.

Such a norm computes ``(x − m) / sqrt(v + ε) · weight + bias`` with a mean m and a variance v over channels that lie on
both branches. At β = 1 a `SharedNorm` is the vanilla norm. Where F is smaller than S,

- a norm over groups of channels and all places (GroupNorm) gives every channel of a group the same weight, however
  many pixels its branch has: m is the mean of the channels' means, and v the mean of their variances plus the variance
  of their means, each channel's own over the places of its branch;
- a norm over all channels at one place (LayerNorm, RMSNorm) is taken at the size of each branch, to which the other
  branch's mean and variance are resized as in Stage 2. It is the vanilla norm of the pair joined at that size.

Variances are never differences of large sums, so that a mean far from 0 costs no precision.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from sfic_bench.nn.adapters import Pick
from sfic_bench.nn.split import Pair, Size, resize, size_of

Norm = TypeVar("Norm", bound=nn.Module)


@dataclass(frozen=True, kw_only=True, slots=True)
class NormFormula:
    """What a norm computes besides its weight and bias.

    Attributes:
        kind: ``group``: over a group's channels and all places. The others are over all channels at one place:
            ``layer`` like ``group``; ``rms`` with m = 0 and the mean square for v; ``simple`` with m = 0 and
            the variance with Bessel's correction for v.
        groups: how many groups the channels are divided into; 1 for the other kinds.
        eps: ε; ``None`` for the machine epsilon of the number format, as in `torch.nn.RMSNorm`.
    """

    kind: Literal["group", "layer", "rms", "simple"]
    groups: int = 1
    eps: float | None


class Moments(NamedTuple):
    """A mean and a variance, broadcastable to the branch that they are for. The kind ``rms`` has no mean."""

    mean: Tensor | None
    variance: Tensor

    def resized(self, size: Size) -> "Moments":
        return Moments(None if self.mean is None else resize(self.mean, size), resize(self.variance, size))


class Measured(NamedTuple):
    """One branch: ``x`` of which its own mean has been subtracted if the norm subtracts one, and its own moments."""

    x: Tensor
    moments: Moments


class Affine(nn.Module):
    """A weight and a bias for each channel of one branch; either may be missing."""

    def __init__(self, weight: nn.Parameter | None = None, bias: nn.Parameter | None = None) -> None:
        super().__init__()
        self.weight, self.bias = weight, bias

    def forward(self, x: Tensor) -> Tensor:
        if self.bias is None:
            return self.scaled(x)
        bias = self.bias[:, None, None]
        return x + bias if self.weight is None else torch.addcmul(bias, x, self.weight[:, None, None])

    def scaled(self, x: Tensor) -> Tensor:
        """``x`` times the weight alone."""
        return x if self.weight is None else x * self.weight[:, None, None]


class SharedNorm(nn.Module):
    """A norm over channels of both branches; see the module's description.

    Args:
        formula: what the norm computes.
        channels: the vanilla channel at each place of S, and at each place of F.
        affine: weight and bias of S, and of F.
        behind: what each branch goes through behind the norm, such as an activation, by name.
    """

    def __init__(
        self,
        formula: NormFormula,
        channels: tuple[Sequence[int], Sequence[int]],
        affine: tuple[Affine, Affine],
        behind: Sequence[tuple[str, nn.Module]] = (),
    ) -> None:
        super().__init__()
        self.formula, self.widths = formula, (len(channels[0]), len(channels[1]))
        self.spatial, self.frequency = affine
        total = sum(self.widths)
        # The channels of a single group may lie in any order.
        order = [*channels[0], *channels[1]] if formula.groups > 1 else list(range(total))
        self.vanilla_order = Pick(sorted(range(total), key=order.__getitem__))
        self.of_spatial, self.of_frequency = Pick(order[: self.widths[0]]), Pick(order[self.widths[0] :])
        self.behind = tuple(name for name, _ in behind)
        for name, module in behind:
            self.add_module(name, module)

    def forward(self, pair: Pair) -> Pair:
        branches = [i for i in (0, 1) if self.widths[i]]
        measured = [self._measured(pair[i]) for i in branches]
        shared = self._of_groups(measured) if self.formula.kind == "group" else self._at_places(measured)
        outputs = [pair.spatial, pair.frequency]
        for i, own, moments in zip(branches, measured, shared, strict=True):
            x = self._normalised(own, moments, (self.spatial, self.frequency)[i]).to(pair[i].dtype)
            for name in self.behind:
                x = getattr(self, name)(x)
            outputs[i] = x
        return Pair(*outputs)

    def _measured(self, x: Tensor) -> Measured:
        # Statistics are in float32 at least, as in torch's own norms.
        x = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        kind = self.formula.kind
        axes = (2, 3) if kind == "group" else (1,)
        if kind == "rms":
            return Measured(x, Moments(None, x.square().mean(axes, keepdim=True)))
        mean = x.mean(axes, keepdim=True)
        centred = x - mean
        moments = Moments(mean, centred.square().mean(axes, keepdim=True))
        return Measured(x if kind == "simple" else centred, moments)

    def _of_groups(self, branches: list[Measured]) -> list[Moments]:
        """The moments of each channel's group, for each of ``branches``: ``[B, C, 1, 1]``."""
        means, variances = (
            self.vanilla_order(torch.cat(parts, 1)).unflatten(1, (self.formula.groups, -1))
            for parts in zip(*(b.moments for b in branches), strict=True)
        )
        mean = means.mean(2, keepdim=True)
        variance = variances.mean(2, keepdim=True) + (means - mean).square().mean(2, keepdim=True)
        mean, variance = (t.expand(means.shape).flatten(1, 2) for t in (mean, variance))
        picks = [pick for pick in (self.of_spatial, self.of_frequency) if pick.length]
        return [Moments(pick(mean), pick(variance)) for pick in picks]

    def _at_places(self, branches: list[Measured]) -> list[Moments]:
        """The moments of all channels at each place, for each of ``branches`` at its size: ``[B, 1, H, W]``."""
        if len(branches) == 1:
            return [branches[0].moments]
        (s, of_s), (f, of_f) = branches
        at_s = self._of_both(of_s, of_f.resized(size_of(s)))
        return [at_s, at_s if size_of(s) == size_of(f) else self._of_both(of_s.resized(size_of(f)), of_f)]

    def _of_both(self, s: Moments, f: Moments) -> Moments:
        of_s, of_f = (width / sum(self.widths) for width in self.widths)
        variance = of_s * s.variance + of_f * f.variance
        if s.mean is None or f.mean is None:
            return Moments(None, variance)
        return Moments(of_s * s.mean + of_f * f.mean, variance + of_s * of_f * (s.mean - f.mean).square())

    def _normalised(self, own: Measured, shared: Moments, affine: Affine) -> Tensor:
        x, kind, eps, total = own.x, self.formula.kind, self.formula.eps, sum(self.widths)
        variance = shared.variance * (total / (total - 1)) if kind == "simple" else shared.variance
        scale = (variance + (torch.finfo(x.dtype).eps if eps is None else eps)).rsqrt()
        if kind in ("rms", "simple"):
            return affine(x * scale)  # type: ignore[no-any-return]
        assert own.moments.mean is not None and shared.mean is not None
        offset = (own.moments.mean - shared.mean) * scale
        if kind == "layer":
            return affine(torch.addcmul(offset, x, scale))  # type: ignore[no-any-return]
        return torch.addcmul(affine(offset), x, affine.scaled(scale))
