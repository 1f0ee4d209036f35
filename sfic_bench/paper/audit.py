"""The published figures against measured ones."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from sfic_bench.paper.tables import Cell
from sfic_bench.spec import Variant
from sfic_bench.units import PrintedCount

Verdict = Literal["match", "explained", "differs", "not built"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """One network as measured.

    Attributes:
        params: parameter elements.
        macs: in the paper's convention.
        conv_biases: biases that vanilla has and this SFIC network has not (negative); 0 for vanilla.
    """

    params: int
    macs: int
    conv_biases: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdicted:
    """A printed figure, ours, and what to make of it."""

    cell: Cell
    measured: int | None
    verdict: Verdict
    note: str


def variants_needed(cells: Iterable[Cell]) -> list[Variant]:
    """The networks to measure for `audit`: those of the cells, and for each an SFIC and a vanilla one."""
    needed: dict[Variant, None] = {}
    for cell in cells:
        if cell.variant is not None:
            backbone = cell.variant.backbone
            for v in (Variant(backbone=backbone), _any_sfic(backbone), cell.variant):
                needed.setdefault(v)
    return sorted(needed, key=lambda v: (v.backbone, v.alpha or -1, v.beta or -1))


def audit(cells: Iterable[Cell], measured: Mapping[Variant, Figures]) -> list[Verdicted]:
    """A verdict on every cell.

    ``match``: our integer, rounded as the paper rounds, prints the same. ``explained``: it does not,
    but another known network's figure does. ``differs``: nothing explains it. ``not built``: a
    detector that this package does not have.
    """
    return [_judge(cell, measured) for cell in cells]


def _judge(cell: Cell, measured: Mapping[Variant, Figures]) -> Verdicted:
    if cell.variant is None:
        return Verdicted(cell=cell, measured=None, verdict="not built", note="a third-party detector")
    figures = measured[cell.variant]
    value = figures.params if cell.quantity == "params" else figures.macs
    verdict: Verdict = "match"
    note = ""
    if not cell.printed.agrees_with(value):
        note = _explain_params(cell, measured) if cell.quantity == "params" else ""
        verdict = "explained" if note else "differs"
        ours = f"ours prints {cell.printed.round_like(value)}"
        note = f"{ours}; {note}" if note else ours
    return Verdicted(cell=cell, measured=value, verdict=verdict, note=note)


def _any_sfic(backbone: str) -> Variant:
    # Parameters depend on α only where Stage 1 is grouped; Table III has all at α = .5, β = 1.
    return Variant(backbone=backbone, alpha=0.5, beta=1.0)


def _explain_params(cell: Cell, measured: Mapping[Variant, Figures]) -> str:
    """The paper prints one figure for a backbone and its SFIC form; find whose it is."""
    assert cell.variant is not None
    vanilla = measured[Variant(backbone=cell.variant.backbone)]
    sfic = measured[_any_sfic(cell.variant.backbone)]
    with_biases = sfic.params - sfic.conv_biases
    for whose, params in (
        ("vanilla network", vanilla.params),
        ("SFIC network", sfic.params),
        ("SFIC network with its convolution biases kept", with_biases),
    ):
        if cell.printed.agrees_with(params):
            return f"the paper prints one figure for both rows, that of the {whose} ({params:,})"
    return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A percentage that the paper states in words about the FLOPs of two networks."""

    section: str
    stated: str
    before: Variant
    after: Variant


CLAIMS = (
    Claim(
        section="IV-B",
        stated="reduces FLOPs by 10%",
        before=Variant(backbone="resnet26"),
        after=Variant(backbone="resnet26", alpha=0.25, beta=0.75),
    ),
    Claim(
        section="IV-B",
        stated="decreased by 91.30%",
        before=Variant(backbone="resnet26"),
        after=Variant(backbone="resnet26", alpha=0.75, beta=0.5),
    ),
    Claim(
        section="IV-E",
        stated="by 37.14%",
        before=Variant(backbone="vgg13", alpha=0.5, beta=1.0),
        after=Variant(backbone="vgg13", alpha=0.75, beta=0.75),
    ),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Recomputed:
    """A claim from measured MACs, in percent.

    Attributes:
        reduction: 100·(before − after)/before, what "reduced by" means.
        over_after: 100·(before − after)/after, from the printed figures; the paper's arithmetic.
    """

    claim: Claim
    reduction: float
    over_after: float


def recompute(
    claims: Iterable[Claim], cells: Iterable[Cell], measured: Mapping[Variant, Figures]
) -> list[Recomputed]:
    """What each claim's percentage really is, and how the paper came by its own."""
    printed = {c.variant: c.printed for c in cells if c.variant and c.quantity == "macs"}
    results = []
    for claim in claims:
        before, after = measured[claim.before].macs, measured[claim.after].macs
        p_before, p_after = _value(printed[claim.before]), _value(printed[claim.after])
        results.append(
            Recomputed(
                claim=claim,
                reduction=100 * (before - after) / before,
                over_after=100 * (p_before - p_after) / p_after,
            )
        )
    return results


def _value(printed: PrintedCount) -> float:
    return float(printed.digits)
