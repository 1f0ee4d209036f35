"""What can be built and measured: a network or a single layer, vanilla or in its SFIC form.

Both are frozen, keyword-only and validated when they are created, so that no later step checks them again.
"""

from abc import abstractmethod
from dataclasses import dataclass

from sfic_bench.choices import OnUnsupported
from sfic_bench.errors import InvalidValue, check_count, member
from sfic_bench.networks.ratios import check_alpha, check_beta


class _VanillaOrSFIC:
    """A network or layer with either both ratios or none, which prints as in ``resnet50 α=0.5 β=1``."""

    __slots__ = ()

    alpha: float | None
    beta: float | None

    @property
    @abstractmethod
    def name(self) -> str:
        """The name without the ratios."""

    @property
    def is_vanilla(self) -> bool:
        return self.alpha is None

    def _check_ratios(self, subject: str) -> None:
        alpha, beta = self.alpha, self.beta
        if (alpha is None) != (beta is None):
            raise InvalidValue(
                f"{subject} is vanilla (neither alpha nor beta) or SFIC (both), got alpha={alpha}, beta={beta}"
            )
        if alpha is not None and beta is not None:
            check_alpha(alpha)
            check_beta(beta)

    def __str__(self) -> str:
        if self.alpha is None or self.beta is None:
            return self.name
        return f"{self.name} α={self.alpha:g} β={self.beta:g}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant(_VanillaOrSFIC):
    """One network: a vanilla backbone, or its SFIC form at (``alpha``, ``beta``).

    Attributes:
        backbone: a registered name or a reference, see `sfic_bench.networks.registry.build`.
        alpha, beta: both ``None`` (vanilla) or both numbers.
        on_unsupported: what happens to an operation that has no meaning on a pair. Plain strings are accepted too.

    Raises:
        InvalidValue: if only one of the ratios is given, or one is out of range.
        UnknownName: for an ``on_unsupported`` that does not exist.
    """

    backbone: str
    alpha: float | None = None
    beta: float | None = None
    on_unsupported: OnUnsupported = OnUnsupported.JOIN

    def __post_init__(self) -> None:
        self._check_ratios("a network")
        choice = member(OnUnsupported, self.on_unsupported, "value of on_unsupported")
        object.__setattr__(self, "on_unsupported", choice)

    @property
    def name(self) -> str:
        return self.backbone


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage2Layer(_VanillaOrSFIC):
    """One Stage 2 at (``alpha``, ``beta``), or the vanilla convolution that it replaces (both ``None``).

    It has ``channels`` inputs and outputs, stride 1, padding that keeps the size, and no bias.

    Raises:
        InvalidValue: if only one of the ratios is given, one is out of range, there are no channels,
            or the kernel size is not odd.
    """

    channels: int
    kernel_size: int = 3
    alpha: float | None = None
    beta: float | None = None

    def __post_init__(self) -> None:
        check_count("channels", self.channels)
        check_count("kernel size", self.kernel_size)
        if self.kernel_size % 2 == 0:
            raise InvalidValue(f"kernel size must be odd, such as 1 or 3, got {self.kernel_size}")
        self._check_ratios("a layer")

    @property
    def name(self) -> str:
        return f"stage2 {self.channels}ch {self.kernel_size}×{self.kernel_size}"
