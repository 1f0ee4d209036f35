"""The functions for Python and for the command line that join several rooms: a name gives a network, and its cost."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from operator import attrgetter
from pathlib import Path

import torch
from torch import nn

from sfic_bench.choices import Initialisation, McsMode, OnUnsupported
from sfic_bench.collector import objects_called_old
from sfic_bench.convert import (
    ConversionOptions,
    ExplainedOperation,
    Parity,
    Placement,
    convert,
    fuse,
    graph_of,
    placement_of,
    to_sfic,
)
from sfic_bench.counting import Cost, InputTooSmall, count, smallest_input
from sfic_bench.counting.conventions import CONVENTIONS, DEFAULT
from sfic_bench.counting.formulas import Shape
from sfic_bench.errors import InvalidValue, SficBenchError, check_count, member
from sfic_bench.initialisation import draw_as_released
from sfic_bench.networks import registry
from sfic_bench.networks.ratios import beta_beside
from sfic_bench.networks.sfic_counts import KeptLayers, SficCounts, SficForms
from sfic_bench.networks.start import Start, build_from, check_convertible
from sfic_bench.networks.start_sources import file_start, imagenet_start
from sfic_bench.networks.variant import Variant
from sfic_bench.results.cost import CostRow, LayerRow

__all__ = ["Costed", "Explanation", "KeptLayers", "build", "costs", "count", "explain_placement", "fuse", "to_sfic"]


IMAGENET_WEIGHTS = "imagenet"
"""What stands for the published weights of a network."""


def build(
    backbone: str,
    *,
    alpha: float | None = None,
    beta: float | None = None,
    classes: int = 2,
    mcs: McsMode | str = McsMode.LEARNED,
    initialisation: Initialisation | str = Initialisation.RELEASED,
    on_unsupported: OnUnsupported | str = OnUnsupported.JOIN,
    weights: Path | str | None = None,
    input_size: int = 256,
    device: torch.device | str | None = None,
) -> nn.Module:
    """A backbone, vanilla or, if ``alpha`` is given, in its SFIC form.

    Examples:
        >>> build("resnet50", alpha=0.5, beta=1.0)(torch.randn(1, 3, 256, 256)).shape
        torch.Size([1, 2])

    Args:
        backbone: a name from ``sfic-bench list``, ``timm:NAME``, ``torchvision:NAME`` or
            ``FILE.py:FUNCTION``.
        alpha: share of the frequency channels, in [0, 1]; ``None`` for the vanilla network.
        beta: scale of the frequency branch, in (0, 1]; 1 if only ``alpha`` is given.
        classes: number of logits.
        mcs: see `sfic_bench.nn.MCSConv`.
        initialisation: how the first weights of the paper's own backbones are drawn: ``"released"``, as in the authors'
            code (`sfic_bench.initialisation.draw_as_released`), or ``"torch"``, as other networks' are.
        on_unsupported: see `to_sfic`.
        weights: file with a state dict, of this network or of its vanilla form, whose weights carry over into the
            blocks, with all its tensors; of torch (only tensors are read, ``weights_only``) or of safetensors. Or
            ``"imagenet"`` for the weights that timm, torchvision or the network's authors have published, with a
            classifier as first drawn if ``classes`` is not 1,000.
        input_size: height and width of the input, for the detectors whose weights depend on them (``meso-inception``,
            ``f3net``, ``amtennet``, ``m2tr``), and for networks whose code branches on a size, whose SFIC form is for
            this branch; other networks take any.
        device: ``"meta"`` gives shapes without weights, in milliseconds.

    Raises:
        UnknownName: for a backbone that is not registered, with the nearest name.
        InvalidValue: for a ratio out of range, ``beta`` without ``alpha``, or weights that do not fit.
        UnsupportedModel: for a network that cannot be converted, or that nobody has published weights of.
        UnreachableWeights: for published weights that are neither on this machine nor can be fetched.
    """
    choice = member(OnUnsupported, on_unsupported, "value of on_unsupported")
    mode, initial = member(McsMode, mcs, "value of mcs"), member(Initialisation, initialisation, "initialisation")
    variant = Variant(backbone=backbone, alpha=alpha, beta=beta_beside(alpha, beta), on_unsupported=choice)
    start: Start | None = None
    if weights is not None:
        start = imagenet_start(backbone) if str(weights) == IMAGENET_WEIGHTS else file_start(weights, backbone)
    started = build_from(start, variant, classes=classes, mcs=mode, input_size=input_size, device=device)
    if start is not None and started.fresh and str(weights) != IMAGENET_WEIGHTS:
        names = ", ".join(started.fresh)
        raise InvalidValue(
            f"{start.source} lacks or has in other shapes {names}: expected a classifier of {classes} classes"
        )
    if start is None and backbone in registry.PAPERS and initial is Initialisation.RELEASED:
        draw_as_released(started.network)
    return started.network


@dataclass(frozen=True, kw_only=True, slots=True)
class Costed:
    """What one variant costs.

    Attributes:
        cost: cost of the network as the paper draws it.
        counts: what counted it; ``None`` for a vanilla network.
        fused: cost of its fused form; ``None`` if that was not counted.
    """

    variant: Variant
    cost: Cost
    counts: SficCounts | None
    fused: Cost | None = None

    @property
    def parity(self) -> Parity | None:
        """How its parameters differ from vanilla's; ``None`` for a vanilla network."""
        return None if self.counts is None else self.counts.parity

    def row(self, *, classes: int, per_layer: bool = False) -> CostRow:
        """The row of a result file, which has every layer if ``per_layer`` is given."""
        cost, parity = self.cost, self.parity
        terms = None if parity is None else {**parity.terms, "unexplained": parity.unexplained}
        return CostRow(
            backbone=self.variant.backbone, alpha=self.variant.alpha, beta=self.variant.beta,
            input_size=cost.input_size[-1], classes=classes,
            params=cost.parameters.total, params_trainable=cost.parameters.trainable, params_dead=cost.parameters.dead,
            params_over_vanilla=terms,
            macs={name: total.macs for name, total in cost.totals.items()},
            macs_fused=None if self.fused is None else self.fused.macs,
            unsupported={name: dict(total.unsupported) for name, total in cost.totals.items() if total.unsupported},
            activations=cost.activations, bytes_moved=cost.bytes_moved,
            layers=_layer_rows(cost) if per_layer else [],
        )  # fmt: skip


def _layer_rows(cost: Cost) -> list[LayerRow]:
    by_convention = {name: cost.layers(name) for name in CONVENTIONS}
    return [
        LayerRow(
            path=layer.path, kind=layer.kind, calls=layer.calls, input=list(layer.input), output=list(layer.output),
            params=layer.params, macs={name: layers[i].macs for name, layers in by_convention.items()},
        )
        for i, layer in enumerate(by_convention[DEFAULT])
    ]  # fmt: skip


def costs(
    variants: Iterable[Variant],
    *,
    input_size: int = 256,
    classes: int = 2,
    fused: bool = False,
    kept: KeptLayers | None = None,
) -> Iterator[Costed]:
    """Count each variant, and with ``fused`` its fused form, for an input ``[1, 3, input_size, input_size]``.

    A backbone's graph serves all its variants, and a converted network all its β, as long as they come one after
    another, as they do in a `Grid`. All of one backbone are counted before the first of them is given. No weights are
    made.

    Args:
        variants: such as a `Grid`.
        input_size: height and width of the image, pixels.
        classes: number of logits.
        fused: whether to count fused forms too.
        kept: what earlier calls have found out about layers, for several calls that count similar networks.

    Raises:
        InputTooSmall: naming the smallest ``input_size`` that works.
        UnknownName: for a backbone that is not registered, with the nearest name.
    """
    check_count("input size", input_size)
    kept = kept or KeptLayers()
    for name, forms in groupby(variants, attrgetter("backbone")):
        counted, failed = list[Costed](), None
        with objects_called_old():  # no longer than that, since whoever reads the results may use much memory
            try:
                backbone = _CountedBackbone(name, classes, input_size, kept)
                counted.extend(backbone.costed(variant, fused=fused) for variant in forms)
            except SficBenchError as error:
                failed = error
        yield from counted
        if failed is not None:
            raise failed


class _CountedBackbone:
    """Counts a backbone and its SFIC forms."""

    def __init__(self, name: str, classes: int, input_size: int, kept: KeptLayers) -> None:
        self.name, self._size, self._shape, self._kept = name, input_size, (1, 3, input_size, input_size), kept
        self._vanilla = registry.build(name, classes=classes, input_size=input_size, device="meta").eval()
        # An SFIC network takes every input that its vanilla one takes, so this checks the size for all.
        self._cost = _count_vanilla(name, self._vanilla, self._shape)
        self._latest: tuple[object, SficCounts | None] = None, None

    @cached_property
    def _forms(self) -> SficForms:
        """The forms of its graph, which not every network has."""
        check_convertible(self.name, self._vanilla)
        return SficForms(graph_of(self._vanilla, self._size, only_read=True), self._kept)

    def costed(self, variant: Variant, *, fused: bool) -> Costed:
        if variant.alpha is None or variant.beta is None:
            return Costed(variant=variant, cost=self._cost, counts=None, fused=self._cost if fused else None)
        counts = self._counts(variant.alpha, variant.on_unsupported)
        return Costed(
            variant=variant,
            cost=counts.count(self._shape, variant.beta),
            counts=counts,
            fused=counts.count_fused(self._shape, variant.beta) if fused else None,
        )

    def _counts(self, alpha: float, on_unsupported: OnUnsupported) -> SficCounts:
        """What counts the forms with ``alpha`` at any β."""
        key, counts = self._latest
        if counts is None or key != (alpha, on_unsupported):
            counts = self._forms.counts(alpha, on_unsupported)
            self._latest = (alpha, on_unsupported), counts
        return counts


def _count_vanilla(name: str, vanilla: nn.Module, shape: Shape) -> Cost:
    try:
        return count(vanilla, shape)
    except InputTooSmall as error:
        raise InputTooSmall(
            f"{name} needs an input of at least {smallest_input(vanilla)} pixels, got {shape[-1]}: {error}"
        ) from None


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Explanation:
    """What `to_sfic` would do to a network. Its text is a table of the operations.

    Attributes:
        placement: the places of Stage 1 and Stage 3.
        operations: what becomes of each operation that a pair reaches and of each convolution, in order.
        share: of the MACs of all convolutions, those of layers that become stages, at a size that the network takes;
            ``None`` if it does not run without data.
    """

    placement: Placement
    operations: tuple[ExplainedOperation, ...]
    share: float | None

    @property
    def summary(self) -> str:
        """How many operations have each role."""
        counts = Counter(operation.role for operation in self.operations)
        roles = ", ".join(f"{role}: {count}" for role, count in counts.items())
        return roles if self.share is None else f"{roles}; {self.share:.0%} of the convolutions' MACs on pairs"

    def __str__(self) -> str:
        rows = [
            (o.role, o.path, o.operation, "" if o.split is None else f"{o.split.spatial}+{o.split.frequency}")
            for o in self.operations
            if o.role != "per branch"
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)
        return "\n".join([*lines, self.summary])

    __repr__ = __str__


def explain_placement(
    model: nn.Module,
    *,
    alpha: float = 0.5,
    placement: Placement | None = None,
    on_unsupported: OnUnsupported | str = OnUnsupported.JOIN,
) -> Explanation:
    """What `to_sfic` would do to ``model``, which is not changed.

    Examples:
        >>> print(explain_placement(build("vgg13", device="meta")).placement.stage3)
        ('features.31',)

    Raises:
        UnsupportedModel: as `to_sfic` does.
    """
    graph = graph_of(model, only_read=True)
    placement = placement or placement_of(graph, divides=on_unsupported == OnUnsupported.JOIN)
    options = ConversionOptions(placement=placement, alpha=alpha, beta=1.0, on_unsupported=on_unsupported, share=True)
    converted = convert(graph, options)
    return Explanation(placement=placement, operations=converted.operations, share=converted.share())
