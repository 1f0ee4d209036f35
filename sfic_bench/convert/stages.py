"""From a vanilla convolution to the stage that replaces it, with its weights."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from sfic_bench.convert.layout import Layout
from sfic_bench.convert.weights import fill_conv, fill_stage
from sfic_bench.nn import McsMode, Split, Stage1, Stage2, Stage3
from sfic_bench.nn.grouped import GroupedStage2, Groups
from sfic_bench.placing import unfilled

SAME = frozenset({"Conv2dSame"})
"""Classes of other libraries that pad for a size of ceil(n / stride), as a stage with a stride does."""


@dataclass(frozen=True, slots=True)
class Made:
    """A stage, and the layout of the pair that it gives (``None`` for Stage 3)."""

    stage: nn.Module
    layout: Layout | None


def stage_of(
    conv: nn.Conv2d,
    inputs: Layout | None,
    *,
    alpha: float,
    beta: float,
    mcs: McsMode,
    as_stage3: bool,
    bias: bool,
) -> Made:
    """What replaces ``conv``.

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
    options: dict[str, Any] = {
        "stride": conv.stride,
        "padding": _padding(conv),
        "dilation": conv.dilation,
        "groups": conv.groups,
        "bias": bias,
        "device": conv.weight.device,
        "dtype": conv.weight.dtype,
    }
    kernel = conv.kernel_size
    if inputs is None:
        outputs = Layout.of(Split.of(conv.out_channels, alpha))
        with unfilled():
            first = Stage1(conv.in_channels, outputs.split, kernel, beta=beta, mcs=mcs, **options)
        if first.mcs is not None and not first.mcs.weight.is_meta:
            first.mcs.reset_parameters()  # has no vanilla counterpart
        fill_stage(conv, first, None, outputs)
        return Made(first, outputs)
    if as_stage3:
        with unfilled():
            last = Stage3(inputs.split, conv.out_channels, kernel, **options)
        fill_stage(conv, last, inputs, None)
        return Made(last, None)
    if 1 < conv.groups < conv.in_channels:
        return _grouped(conv, inputs, alpha, options)
    if conv.groups > 1:  # depthwise: the split passes through
        outputs = inputs.repeated(conv.out_channels // conv.in_channels)
    else:
        outputs = Layout.of(Split.of(conv.out_channels, alpha))
    with unfilled():
        stage = Stage2(inputs.split, outputs.split, kernel, **options)
    fill_stage(conv, stage, inputs, outputs)
    return Made(stage, outputs)


def _padding(conv: nn.Conv2d) -> tuple[int, ...]:
    if not isinstance(conv.padding, str) and type(conv).__name__ not in SAME:
        return conv.padding
    total = [d * (k - 1) for d, k in zip(conv.dilation, conv.kernel_size, strict=True)]
    if conv.padding == "valid":
        return (0, 0)
    if any(t % 2 for t in total):
        raise ValueError(f"padding 'same' of a kernel {conv.kernel_size} is not the same on both sides")
    return tuple(t // 2 for t in total)


def _grouped(conv: nn.Conv2d, inputs: Layout, alpha: float, options: dict[str, Any]) -> Made:
    """Whole groups stay on their branch; what the split cuts becomes a Stage 2 of its own."""
    into, out = conv.in_channels // conv.groups, conv.out_channels // conv.groups
    places = [{c: i for i, c in enumerate(branch)} for branch in inputs]
    members = [range(j * into, (j + 1) * into) for j in range(conv.groups)]
    whole: tuple[list[int], list[int]] = ([], [])
    cut = []
    for j, channels in enumerate(members):
        on_s, on_f = (tuple(p[c] for c in channels if c in p) for p in places)
        if on_s and on_f:
            cut.append((j, on_s, on_f))
        else:
            whole[0 if on_s else 1].append(j)
    # F gets int(α·c) outputs, as behind any other convolution, as far as the groups allow it.
    left = min(max(int(alpha * conv.out_channels) - out * len(whole[1]), 0), out * len(cut))
    shares = [left * (i + 1) // len(cut) - left * i // len(cut) for i in range(len(cut))]
    groups = Groups(
        inputs=into,
        outputs=out,
        spatial=tuple(places[0][c] for j in whole[0] for c in members[j]),
        frequency=tuple(places[1][c] for j in whole[1] for c in members[j]),
        cut=tuple((s, f, Split(out - n, n)) for (_, s, f), n in zip(cut, shares, strict=True)),
    )
    with unfilled():
        stage = GroupedStage2(groups, conv.kernel_size, **options)
    spatial = [j * out + i for j in whole[0] for i in range(out)]
    frequency: list[int] = []
    for branch, target in zip(whole, (stage.spatial, stage.frequency), strict=True):
        if target is not None:
            fill_conv(target, conv, [j * out + i for j in branch for i in range(out)], None)
    for (j, on_s, on_f), n, part in zip(cut, shares, stage.cut, strict=True):
        rows = range(j * out, (j + 1) * out)
        layout = Layout(tuple(rows[: out - n]), tuple(rows[out - n :]))
        columns = Layout(
            *(
                tuple(inputs_of[i] - j * into for i in at)
                for inputs_of, at in zip(inputs, (on_s, on_f), strict=True)
            )
        )
        fill_stage(conv, part.get_submodule("stage"), columns, layout)
        spatial += layout.spatial
        frequency += layout.frequency
    frequency += [j * out + i for j in whole[1] for i in range(out)]
    return Made(stage, Layout(tuple(spatial), tuple(frequency)))
