"""`Grid`, backbones × α × β, and `grid_of`, which makes one from names."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sfic_bench.choices import OnUnsupported
from sfic_bench.errors import InvalidValue
from sfic_bench.networks import registry
from sfic_bench.networks.ratios import PAPER_ALPHAS, PAPER_BETAS, check_alpha, check_beta
from sfic_bench.networks.variant import Variant


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """Backbones × α × β. For each backbone the vanilla network comes first, then its SFIC forms.

    Attributes:
        backbones: names or references, see `sfic_bench.networks.registry.build`.
        alphas: without any, all networks are vanilla.
        betas: at least one.
        on_unsupported: see `Variant`.
        vanilla: which of ``backbones`` have no SFIC forms in this grid.

    Raises:
        InvalidValue: for a ratio out of range, no backbone, no β, or a value that is given twice.
    """

    backbones: tuple[str, ...]
    alphas: tuple[float, ...] = PAPER_ALPHAS
    betas: tuple[float, ...] = PAPER_BETAS
    on_unsupported: OnUnsupported = OnUnsupported.JOIN
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
                    yield Variant(backbone=backbone, alpha=alpha, beta=beta, on_unsupported=self.on_unsupported)

    def __len__(self) -> int:
        converted = sum(backbone not in self.vanilla for backbone in self.backbones)
        return len(self.backbones) + converted * len(self.alphas) * len(self.betas)


def grid_of(
    names: Sequence[str],
    alphas: Sequence[float] | None,
    betas: Sequence[float] | None,
    on_unsupported: OnUnsupported = OnUnsupported.JOIN,
    *,
    default_alphas: tuple[float, ...] = PAPER_ALPHAS,
    default_betas: tuple[float, ...] = PAPER_BETAS,
) -> Grid:
    """The grid of the backbones in ``names``; ``all``, ``detectors`` and patterns as ``timm:convnext*`` are groups.

    ``alphas`` and ``betas`` are ``None`` for the defaults. Detectors have SFIC forms only if ``alphas`` is given,
    because not each of them can be converted.

    Raises:
        UnknownName, InvalidValue: for a name or ratio that cannot be used, or one that is given twice.
    """
    backbones = tuple(backbone for name in names for backbone in _named(name))
    for backbone in backbones:
        registry.check_name(backbone)
    return Grid(
        backbones=backbones,
        alphas=default_alphas if alphas is None else tuple(alphas),
        betas=default_betas if betas is None else tuple(betas),
        on_unsupported=on_unsupported,
        vanilla=registry.detector_names() if alphas is None else (),
    )


def _named(name: str) -> tuple[str, ...]:
    groups = {"all": registry.names, "detectors": registry.detector_names}
    if name in groups:
        return groups[name]()
    return registry.matching(name) if "*" in name else (name,)
