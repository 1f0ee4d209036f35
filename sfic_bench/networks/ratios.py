"""The two ratios of an SFIC network: α, the share of frequency channels, and β, the scale of the frequency branch."""

import math

from sfic_bench.errors import InvalidValue

PAPER_ALPHAS = (0.25, 0.5, 0.75)
"""The channel ratios of the paper's Table II."""

PAPER_BETAS = (0.25, 0.5, 0.75, 1.0)
"""The scale ratios of the paper's Table II."""


def check_alpha(alpha: float) -> None:
    """Raise `InvalidValue` unless ``alpha``, the share of frequency channels, lies in [0, 1]."""
    if math.isnan(alpha) or not 0 <= alpha <= 1:
        raise InvalidValue(f"alpha must lie in [0, 1], got {alpha}")


def check_beta(beta: float) -> None:
    """Raise `InvalidValue` unless ``beta``, the scale of the frequency branch, lies in (0, 1]."""
    if math.isnan(beta) or not 0 < beta <= 1:
        raise InvalidValue(f"beta must lie in (0, 1], got {beta}")


def check_ratios(subject: str, alpha: float | None, beta: float | None) -> None:
    """Raise `InvalidValue` unless both ratios are ``None`` or both lie in their ranges; ``subject`` has them."""
    if (alpha is None) != (beta is None):
        raise InvalidValue(
            f"{subject} is vanilla (neither alpha nor beta) or SFIC (both), got alpha={alpha}, beta={beta}"
        )
    if alpha is not None and beta is not None:
        check_alpha(alpha)
        check_beta(beta)


def with_ratios(name: str, alpha: float | None, beta: float | None) -> str:
    """``name`` with its ratios, as in ``resnet50 α=0.5 β=1``; ``name`` alone if it is vanilla."""
    return name if alpha is None or beta is None else f"{name} α={alpha:g} β={beta:g}"
