"""The two ratios of an SFIC network: α, the share of frequency channels, and β, the scale of the frequency branch."""

from sfic_bench.errors import InvalidValue

PAPER_ALPHAS = (0.25, 0.5, 0.75)
"""The channel ratios of the paper's Table II."""

PAPER_BETAS = (0.25, 0.5, 0.75, 1.0)
"""The scale ratios of the paper's Table II."""


def check_alpha(alpha: float) -> None:
    """Raise `InvalidValue` unless ``alpha``, the share of frequency channels, lies in [0, 1]."""
    if not 0 <= alpha <= 1:
        raise InvalidValue(f"alpha must lie in [0, 1], got {alpha}")


def check_beta(beta: float) -> None:
    """Raise `InvalidValue` unless ``beta``, the scale of the frequency branch, lies in (0, 1]."""
    if not 0 < beta <= 1:
        raise InvalidValue(f"beta must lie in (0, 1], got {beta}")


def beta_beside(alpha: float | None, beta: float | None) -> float | None:
    """β beside α where callers may leave it out: 1 if only ``alpha`` is given, otherwise ``beta`` as it is."""
    return 1.0 if alpha is not None and beta is None else beta
