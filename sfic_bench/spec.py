"""What can be asked for: a backbone, vanilla or in its SFIC form, and grids of them.

Frozen, keyword-only and validated when made, so that nothing further down checks again.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from sfic_bench.errors import InvalidValue, UnknownName

OnUnsupported = Literal["error", "keep"]

PAPER_ALPHAS = (0.25, 0.5, 0.75)
"""The channel ratios of the paper's Table II."""

PAPER_BETAS = (0.25, 0.5, 0.75, 1.0)
"""The scale ratios of the paper's Table II."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExecutionPath:
    """A way to execute a network: as drawn or fused, and run by which maker of `sfic_bench.measure`."""

    fused: bool
    maker: str
    summary: str


EXECUTION_PATHS = {
    "reference": ExecutionPath(
        fused=False,
        maker="eager",
        summary="as the paper draws it: four convolutions and two resizes in Stage 2, eager",
    ),
    "fused": ExecutionPath(fused=True, maker="eager", summary="fused, eager"),
    "compiled": ExecutionPath(fused=True, maker="compiled", summary="fused, torch.compile"),
    "compiled-freezing": ExecutionPath(
        fused=True,
        maker="compiled-freezing",
        summary="fused, torch.compile with the weights as constants (inference)",
    ),
    "compiled-reduce-overhead": ExecutionPath(
        fused=True,
        maker="compiled-reduce-overhead",
        summary="fused, torch.compile in mode reduce-overhead (CUDA)",
    ),
    "compiled-max-autotune": ExecutionPath(
        fused=True,
        maker="compiled-max-autotune",
        summary="fused, torch.compile in mode max-autotune",
    ),
    "cuda-graph": ExecutionPath(
        fused=True, maker="cuda-graph", summary="fused, captured by hand and replayed (CUDA)"
    ),
    "onnxruntime": ExecutionPath(
        fused=True, maker="onnxruntime", summary="fused, as ONNX, run by ONNX Runtime (CPU, fp32)"
    ),
}
"""By name, for SFIC and vanilla networks alike (fusing a vanilla one folds its BatchNorms)."""


def check_alpha(alpha: float) -> None:
    """Raise `InvalidValue` unless ``alpha``, the share of frequency channels, lies in [0, 1]."""
    if math.isnan(alpha) or not 0 <= alpha <= 1:
        raise InvalidValue(f"alpha must lie in [0, 1], got {alpha}")


def check_beta(beta: float) -> None:
    """Raise `InvalidValue` unless ``beta``, the scale of the frequency branch, lies in (0, 1]."""
    if math.isnan(beta) or not 0 < beta <= 1:
        raise InvalidValue(f"beta must lie in (0, 1], got {beta}")


def _check_ratios(what: str, alpha: float | None, beta: float | None) -> None:
    if (alpha is None) != (beta is None):
        raise InvalidValue(
            f"{what} is vanilla (neither alpha nor beta) or SFIC (both), got alpha={alpha}, beta={beta}"
        )
    if alpha is not None and beta is not None:
        check_alpha(alpha)
        check_beta(beta)


def _with_ratios(name: str, alpha: float | None, beta: float | None) -> str:
    return name if alpha is None or beta is None else f"{name} α={alpha:g} β={beta:g}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """One network: a vanilla backbone, or its SFIC form at (``alpha``, ``beta``).

    ``alpha`` and ``beta`` are both ``None`` (vanilla) or both numbers. ``on_unsupported`` says what
    happens to an operation without a meaning on a pair: ``"error"``, or ``"keep"`` it vanilla.

    Raises:
        InvalidValue: if only one of the ratios is given, or one is out of range.
        UnknownName: for another ``on_unsupported``.
    """

    backbone: str
    alpha: float | None = None
    beta: float | None = None
    on_unsupported: OnUnsupported = "error"

    def __post_init__(self) -> None:
        _check_ratios("a network", self.alpha, self.beta)
        if self.on_unsupported not in ("error", "keep"):
            raise UnknownName("value of on_unsupported", self.on_unsupported, ("error", "keep"))

    @property
    def is_vanilla(self) -> bool:
        return self.alpha is None

    @property
    def name(self) -> str:
        """Of the network without its ratios."""
        return self.backbone

    def __str__(self) -> str:
        return _with_ratios(self.name, self.alpha, self.beta)


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """Backbones × α × β. Each backbone's vanilla network comes first, then its SFIC forms.

    Attributes:
        alphas: without any, all networks are vanilla.
        vanilla: those of ``backbones`` that have no SFIC forms in this grid.
    """

    backbones: tuple[str, ...]
    alphas: tuple[float, ...] = PAPER_ALPHAS
    betas: tuple[float, ...] = PAPER_BETAS
    on_unsupported: OnUnsupported = "error"
    vanilla: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for alpha in self.alphas:
            check_alpha(alpha)
        for beta in self.betas:
            check_beta(beta)
        for axis in ("backbones", "alphas", "betas"):
            values = getattr(self, axis)
            if not values and axis != "alphas":
                raise InvalidValue(f"{axis} is empty: give at least one value")
            if len(set(values)) != len(values):
                raise InvalidValue(f"{axis} names a value twice: {', '.join(map(str, values))}")

    def __iter__(self) -> Iterator[Variant]:
        for backbone in self.backbones:
            yield Variant(backbone=backbone, on_unsupported=self.on_unsupported)
            for alpha in () if backbone in self.vanilla else self.alphas:
                for beta in self.betas:
                    yield Variant(
                        backbone=backbone, alpha=alpha, beta=beta, on_unsupported=self.on_unsupported
                    )

    def __len__(self) -> int:
        converted = sum(backbone not in self.vanilla for backbone in self.backbones)
        return len(self.backbones) + converted * len(self.alphas) * len(self.betas)


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """One Stage 2 at (``alpha``, ``beta``), or the vanilla convolution it replaces (both ``None``).

    ``channels`` in and out, stride 1, padding that keeps the size, no bias.

    Raises:
        InvalidValue: if only one of the ratios is given, one is out of range, there are no channels,
            or the kernel size is not odd.
    """

    channels: int
    kernel_size: int = 3
    alpha: float | None = None
    beta: float | None = None

    def __post_init__(self) -> None:
        if self.channels < 1:
            raise InvalidValue(f"channels must be at least 1, got {self.channels}")
        if self.kernel_size < 1 or self.kernel_size % 2 == 0:
            raise InvalidValue(f"kernel size must be odd, such as 1 or 3, got {self.kernel_size}")
        _check_ratios("a layer", self.alpha, self.beta)

    @property
    def is_vanilla(self) -> bool:
        return self.alpha is None

    @property
    def name(self) -> str:
        """Of the layer without its ratios."""
        return f"stage2 {self.channels}ch {self.kernel_size}×{self.kernel_size}"

    def __str__(self) -> str:
        return _with_ratios(self.name, self.alpha, self.beta)
