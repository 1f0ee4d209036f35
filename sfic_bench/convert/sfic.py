"""`to_sfic` makes an SFIC network of a vanilla network, and `set_beta` changes the β of an SFIC network."""

from torch import fx, nn

from sfic_bench.convert.engine import convert
from sfic_bench.convert.graph import graph_of
from sfic_bench.convert.options import ConversionOptions, Placement
from sfic_bench.convert.placement import placement_of
from sfic_bench.nn import McsMode, Split, Stage1
from sfic_bench.nn.fused import ReducedStage1


def to_sfic(
    model: nn.Module,
    alpha: float,
    beta: float,
    *,
    placement: Placement | None = None,
    mcs: McsMode = "learned",
    on_unsupported: str = "error",
    share: bool = False,
) -> fx.GraphModule:
    """The SFIC form of a vanilla network, a new module with weights of its own.

    Its block weights are slices of the vanilla ones. A convolution's bias in front of a BatchNorm is
    dropped, as in the paper's networks, and moves into the BatchNorm's running mean. At β = 1, with
    MCSConv as the identity, the function is the vanilla one, save for strides (which become pools) and
    for norms over several channels of a map (GroupNorm, LayerNorm), which each branch takes over its own. Gates and
    attention over channels act as in the vanilla network at any β, since neither branch of a pooled pair is resized.

    Args:
        model: a vanilla network that torch.fx can trace, or its graph from `graph_of`; not changed.
        alpha: share of the frequency channels, in [0, 1].
        beta: height and width of the frequency branch over those of the spatial one, in (0, 1].
        placement: where Stage 1 and Stage 3 go; by default `placement_of` the network.
        mcs: see `sfic_bench.nn.MCSConv`.
        on_unsupported: an operation without a meaning on a pair raises (``"error"``), or runs on the
            joined pair as it is in the vanilla network (``"keep"``); what it gives is a single tensor.
        share: use the modules that stay as they are instead of copies of them, for a network that is
            only looked at.

    Raises:
        ValueError: for a ratio out of range.
        UnsupportedModel: for an operation that cannot run on a pair, named by node and module.
    """
    Split.of(0, alpha)
    _check_beta(beta)
    vanilla = graph_of(model)
    options = ConversionOptions(
        placement=placement or placement_of(vanilla),
        alpha=alpha,
        beta=beta,
        mcs=mcs,
        on_unsupported=on_unsupported,
        share=share,
    )
    return convert(vanilla, options).network


def set_beta(model: nn.Module, beta: float) -> None:
    """Change β of an SFIC network in place.

    β acts in Stage 1 alone, all later sizes follow from what it gives out, and no weight depends on it.
    A fused network whose pairs are joined was made for β = 1 and cannot take another one.

    Raises:
        ValueError: for β outside (0, 1], or a joined network.
    """
    _check_beta(beta)
    modules = list(model.modules())
    if beta != 1 and any(isinstance(m, ReducedStage1) and m.joined for m in modules):
        raise ValueError(f"this network was fused for beta = 1 and cannot take beta = {beta}: fuse it anew")
    for module in modules:
        if isinstance(module, Stage1) or (isinstance(module, ReducedStage1) and not module.joined):
            module.beta = beta


def _check_beta(beta: float) -> None:
    if not 0 < beta <= 1:
        raise ValueError(f"beta must lie in (0, 1], got {beta}")
