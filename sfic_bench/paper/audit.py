"""The published figures against measured ones."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from sfic_bench.paper.tables import DETECTORS, Cell, Quantity
from sfic_bench.spec import Variant
from sfic_bench.units import PrintedCount

Verdict = Literal["match", "explained", "differs, known", "differs"]


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
class Known:
    """A printed figure that the network as its authors describe it does not have.

    ``measured`` is what it has instead, so that a change of the network does not pass for the known difference.
    """

    measured: int
    reason: str


KNOWN: Mapping[tuple[str, Quantity], Known] = {
    ("multi-task", "macs"): Known(
        measured=504_954_880,
        reason="ptflops up to 0.7.0 counts a transposed convolution at its output; counted at its input the network has "
        "335.1M, its encoder alone 132.4M, and no part of it 146M",
    ),
    ("f3net", "macs"): Known(
        measured=8_476_418_441,
        reason="0.2% less at 299×299, the size that gives its parameters; at 256×256 it has 6.04G",
    ),
    ("amtennet", "macs"): Known(
        measured=538_477_746,
        reason="6% less, with the padding, pools and hidden layer that give the printed parameters",
    ),
    ("m2tr", "params"): Known(
        measured=18_308_426,
        reason="the bound does not hold for the released form on EfficientNet-B4",
    ),
    ("m2tr", "macs"): Known(
        measured=2_900_152_530,
        reason="the bound does not hold for the released form on EfficientNet-B4, whose matrix products and transforms this "
        "convention does not count",
    ),
}
"""By backbone and quantity."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdicted:
    """A printed figure, ours, and what to make of it."""

    cell: Cell
    measured: int
    verdict: Verdict
    note: str


def variants_needed(cells: Iterable[Cell]) -> list[Variant]:
    """The networks to measure for `audit`: those of the cells, and for each that has an SFIC form that and a vanilla one."""
    needed: dict[Variant, None] = {}
    for cell in cells:
        for v in (cell.variant, *_relatives(cell)):
            needed.setdefault(v)
    return sorted(needed, key=lambda v: (v.backbone, v.alpha or -1, v.beta or -1))


def audit(cells: Iterable[Cell], measured: Mapping[Variant, Figures]) -> list[Verdicted]:
    """A verdict on every cell.

    ``match``: our integer, rounded as the paper rounds, prints the same. ``explained``: it does not,
    but another known network's figure does. ``differs, known``: the network as its authors describe it has another figure,
    see `KNOWN`. ``differs``: nothing explains it.
    """
    return [_judge(cell, measured) for cell in cells]


def _judge(cell: Cell, measured: Mapping[Variant, Figures]) -> Verdicted:
    figures = measured[cell.variant]
    value = figures.params if cell.quantity == "params" else figures.macs
    verdict: Verdict = "match"
    note = ""
    if not cell.printed.agrees_with(value):
        known = KNOWN.get((cell.variant.backbone, cell.quantity))
        if known is not None and known.measured == value:
            note, verdict = known.reason, "differs, known"
        else:
            note = _explain_params(cell, measured) if cell.quantity == "params" else ""
            verdict = "explained" if note else "differs"
        ours = f"ours prints {cell.printed.round_like(value)}"
        note = f"{ours}; {note}" if note else ours
    return Verdicted(cell=cell, measured=value, verdict=verdict, note=note)


def _relatives(cell: Cell) -> tuple[Variant, ...]:
    """A backbone's vanilla network and an SFIC one, whose parameters the paper prints as one; of a detector none."""
    backbone = cell.variant.backbone
    if backbone in DETECTORS.values():
        return ()
    # Parameters depend on α only where Stage 1 is grouped; Table III has all at α = .5, β = 1.
    return Variant(backbone=backbone), Variant(backbone=backbone, alpha=0.5, beta=1.0)


def _explain_params(cell: Cell, measured: Mapping[Variant, Figures]) -> str:
    """The paper prints one figure for a backbone and its SFIC form; find whose it is."""
    if not (relatives := _relatives(cell)):
        return ""
    vanilla, sfic = (measured[v] for v in relatives)
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
    printed = {c.variant: c.printed for c in cells if c.quantity == "macs"}
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
