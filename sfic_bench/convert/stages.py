"""From a vanilla convolution to the stage that replaces it, with its weights."""

from torch import nn

from sfic_bench.convert.layout import Layout
from sfic_bench.convert.weights import fill_conv, fill_stage
from sfic_bench.initialisation import unfilled
from sfic_bench.nn import ConvOptions, McsMode, Split, Stage1, Stage2, Stage3
from sfic_bench.nn.grouped import GroupedStage2, Groups

SAME = frozenset({"Conv2dSame"})
"""Classes of other libraries that pad for a size of ceil(n / stride), as a stage with a stride does."""


def stage_of(
    conv: nn.Conv2d,
    inputs: Layout | None,
    *,
    alpha: float,
    beta: float,
    mcs: McsMode,
    as_stage3: bool,
    bias: bool,
) -> tuple[nn.Module, Layout | None]:
    """The stage that replaces ``conv``, and the layout of the pair that it gives (``None`` for Stage 3).

    Args:
        conv: the vanilla convolution.
        inputs: layout of the pair that it reads now; ``None`` for a single tensor (Stage 1).
        alpha: share of the frequency channels.
        beta: scale of the frequency branch.
        mcs: see `sfic_bench.nn.MCSConv`.
        as_stage3: whether the pair becomes a single tensor.
        bias: whether the bias stays.

    Raises:
        ValueError: for a convolution that no stage stands for; says why.
    """
    plain = type(conv).forward is nn.Conv2d.forward and type(conv)._conv_forward is nn.Conv2d._conv_forward
    if not plain and type(conv).__name__ not in SAME:
        raise ValueError(f"{type(conv).__name__} computes something else than a Conv2d")
    if conv.padding_mode != "zeros":
        raise ValueError(f"padding mode {conv.padding_mode!r} is not supported")
    options = ConvOptions(
        stride=conv.stride,
        padding=_padding(conv),
        dilation=conv.dilation,
        groups=conv.groups,
        bias=bias,
        device=conv.weight.device,
        dtype=conv.weight.dtype,
    )
    kernel = conv.kernel_size
    if inputs is None:
        outputs = Layout.of(Split.of(conv.out_channels, alpha))
        with unfilled():
            first = Stage1(conv.in_channels, outputs.split, kernel, beta=beta, mcs=mcs, **options)
        if first.mcs is not None and not first.mcs.weight.is_meta:
            first.mcs.reset_parameters()  # has no vanilla counterpart
        fill_stage(conv, first, None, outputs)
        return first, outputs
    if as_stage3:
        with unfilled():
            last = Stage3(inputs.split, conv.out_channels, kernel, **options)
        fill_stage(conv, last, inputs, None)
        return last, None
    if 1 < conv.groups < conv.in_channels:
        return _grouped(conv, inputs, alpha, options)
    if conv.groups > 1:  # depthwise: the split passes through
        outputs = inputs.repeated(conv.out_channels // conv.in_channels)
    else:
        outputs = Layout.of(Split.of(conv.out_channels, alpha))
    with unfilled():
        stage = Stage2(inputs.split, outputs.split, kernel, **options)
    fill_stage(conv, stage, inputs, outputs)
    return stage, outputs


def _padding(conv: nn.Conv2d) -> tuple[int, ...]:
    if not isinstance(conv.padding, str) and type(conv).__name__ not in SAME:
        return conv.padding
    total = [d * (k - 1) for d, k in zip(conv.dilation, conv.kernel_size, strict=True)]
    if conv.padding == "valid":
        return (0, 0)
    if any(t % 2 for t in total):
        raise ValueError(f"padding 'same' of a kernel {conv.kernel_size} is not the same on both sides")
    return tuple(t // 2 for t in total)


def _grouped(conv: nn.Conv2d, inputs: Layout, alpha: float, options: ConvOptions) -> tuple[nn.Module, Layout]:
    """The stage of a grouped convolution, and the layout of the pair that it gives.

    Whole groups stay on their branch; a group that the split cuts becomes a Stage 2 of its own.
    """
    into, out = conv.in_channels // conv.groups, conv.out_channels // conv.groups
    places = [{c: i for i, c in enumerate(branch)} for branch in inputs]
    whole: tuple[list[int], list[int]] = ([], [])
    cut: dict[int, Layout] = {}
    for group in range(conv.groups):
        members = range(group * into, (group + 1) * into)
        held = Layout(*(tuple(c for c in members if c in branch) for branch in places))
        if held.spatial and held.frequency:
            cut[group] = held
        else:
            whole[0 if held.spatial else 1].append(group)
    # F gets as many outputs as behind any other convolution, as far as the groups allow it.
    missing = Split.of(conv.out_channels, alpha).frequency - out * len(whole[1])
    left = min(max(missing, 0), out * len(cut))
    shares = [left * (i + 1) // len(cut) - left * i // len(cut) for i in range(len(cut))]
    read = [tuple(p[g * into + i] for g in on for i in range(into)) for p, on in zip(places, whole, strict=True)]
    given = [tuple(g * out + i for g in on for i in range(out)) for on in whole]
    groups = Groups(
        inputs=into,
        outputs=out,
        spatial=read[0],
        frequency=read[1],
        cut=tuple(
            (tuple(places[0][c] for c in s), tuple(places[1][c] for c in f), Split(out - share, share))
            for (s, f), share in zip(cut.values(), shares, strict=True)
        ),
    )
    with unfilled():
        stage = GroupedStage2(groups, conv.kernel_size, **options)
    for channels, target in zip(given, (stage.spatial, stage.frequency), strict=True):
        if target is not None:
            fill_conv(target, conv, channels, None)
    outputs = [Layout(given[0], ())]
    for group, share, part in zip(cut, shares, stage.cut, strict=True):
        first, last = group * out, (group + 1) * out
        rows = Layout(tuple(range(first, last - share)), tuple(range(last - share, last)))
        columns = Layout(*(tuple(c - group * into for c in branch) for branch in cut[group]))
        fill_stage(conv, part.get_submodule("stage"), columns, rows)
        outputs.append(rows)
    outputs.append(Layout((), given[1]))
    return stage, Layout(*(sum(branch, ()) for branch in zip(*outputs, strict=True)))
