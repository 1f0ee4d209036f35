"""The rooms joined, for Python and for the command line: name → network → cost."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import nn

from sfic_bench import backbones
from sfic_bench.convert import Parity, fuse, graph_of, parity, set_beta, to_sfic
from sfic_bench.counting import Cost, InputTooSmall, count, smallest_input
from sfic_bench.errors import InvalidValue
from sfic_bench.nn import McsMode
from sfic_bench.spec import Variant

__all__ = ["Costed", "build", "costs", "count", "fuse", "to_sfic"]


def build(
    backbone: str,
    *,
    alpha: float | None = None,
    beta: float | None = None,
    classes: int = 2,
    mcs: McsMode = "learned",
    device: torch.device | str | None = None,
) -> nn.Module:
    """A registered backbone, vanilla or, with ``alpha``, in its SFIC form.

    >>> build("resnet50", alpha=0.5, beta=1.0)(torch.randn(1, 3, 256, 256)).shape
    torch.Size([1, 2])

    Args:
        backbone: a name from ``sfic-bench list``.
        alpha: share of the frequency channels, in [0, 1]; ``None`` for the vanilla network.
        beta: scale of the frequency branch, in (0, 1]; 1 if only ``alpha`` is given.
        classes: number of logits.
        mcs: see `sfic_bench.nn.MCSConv`.
        device: ``"meta"`` gives shapes without weights, in milliseconds.

    Raises:
        UnknownName: for a backbone that is not registered, with the nearest name.
        InvalidValue: for a ratio out of range, or ``beta`` without ``alpha``.
    """
    if alpha is not None and beta is None:
        beta = 1.0
    variant = Variant(backbone=backbone, alpha=alpha, beta=beta)
    vanilla = backbones.build(backbone, classes=classes, device=device)
    if variant.alpha is None or variant.beta is None:
        return vanilla
    return to_sfic(vanilla, alpha=variant.alpha, beta=variant.beta, mcs=mcs)


@dataclass(frozen=True, kw_only=True, slots=True)
class Costed:
    """What one variant costs.

    Attributes:
        cost: of the network as the paper draws it.
        parity: how its parameters differ from vanilla's; ``None`` for a vanilla network.
        fused: cost of its `fuse`d form, where that was asked for.
    """

    variant: Variant
    cost: Cost
    parity: Parity | None
    fused: Cost | None = None


def costs(
    variants: Iterable[Variant], *, input_size: int = 256, classes: int = 2, fused: bool = False
) -> Iterator[Costed]:
    """Count each variant for an input ``[1, 3, input_size, input_size]``, without any weights.

    A backbone's graph serves all its variants, and a converted network all its β, as long as they
    come one after another, as they do in a `Grid`. With ``fused``, each network's fused form too.

    Raises:
        InputTooSmall: naming the smallest ``input_size`` that works.
        UnknownName: for a backbone that is not registered, with the nearest name.
    """
    if input_size < 1:
        raise InvalidValue(f"input size must be at least 1, got {input_size}")
    shape = (1, 3, input_size, input_size)
    name: str | None = None
    alpha: float | None = None
    cheap: dict[bool, nn.Module] = {}
    for variant in variants:
        if variant.backbone != name:
            name, alpha = variant.backbone, None
            vanilla = backbones.build(name, classes=classes, device="meta").eval()
            # An SFIC network takes whatever its vanilla one takes, so this checks the size for all.
            plain = Costed(
                variant=Variant(backbone=name),
                cost=_count_vanilla(name, vanilla, shape),
                parity=None,
                fused=count(vanilla, shape) if fused else None,
            )
            graph = graph_of(vanilla)
        if variant.alpha is None or variant.beta is None:
            yield plain
            continue
        if variant.alpha != alpha:
            alpha = variant.alpha
            sfic = to_sfic(graph, alpha=alpha, beta=variant.beta, share=True)
            compared = parity(vanilla, sfic)
            cheap.clear()
        set_beta(sfic, variant.beta)
        yield Costed(
            variant=variant,
            cost=count(sfic, shape),
            parity=compared,
            fused=_count_fused(sfic, variant.beta, shape, cheap) if fused else None,
        )


def _count_fused(
    sfic: nn.Module, beta: float, shape: tuple[int, int, int, int], cheap: dict[bool, nn.Module]
) -> Cost:
    """Joined (β = 1) or not, one fused network serves; the norms, which count nothing, may stay."""
    joined = beta == 1
    if joined not in cheap:
        cheap[joined] = fuse(sfic, for_training=True, share=True)
    set_beta(cheap[joined], beta)
    return count(cheap[joined], shape)


def _count_vanilla(name: str, vanilla: nn.Module, shape: tuple[int, int, int, int]) -> Cost:
    try:
        return count(vanilla, shape)
    except InputTooSmall as error:
        raise InputTooSmall(
            f"{name} needs an input of at least {smallest_input(vanilla)} pixels, got {shape[-1]}: {error}"
        ) from None
