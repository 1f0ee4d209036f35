"""From a vanilla convolution to the stage that replaces it, with its weights."""

from collections.abc import Iterable

from torch import nn

from sfic_bench.convert.conv_code import code_of
from sfic_bench.convert.layout import Channels, Layout
from sfic_bench.convert.options import StageOptions
from sfic_bench.convert.weights import Channels as Places
from sfic_bench.convert.weights import Fill, fill_conv, fill_stage
from sfic_bench.initialisation import Unfilled
from sfic_bench.nn import ConvOptions, Split, Stage1, Stage2, Stage3
from sfic_bench.nn.computed import ComputedWeights, WeightBlock
from sfic_bench.nn.grouped import GroupedStage2
from sfic_bench.nn.stages import StageBase


def stage_of(
    conv: nn.Conv2d, inputs: Layout | None, options: StageOptions, *, as_stage3: bool, bias: bool
) -> tuple[nn.Module, Layout | None]:
    """The stage that replaces ``conv``, and the layout of the pair that it gives (``None`` for Stage 3).

    ``inputs`` is the layout of the pair that it reads, ``None`` for a single tensor (Stage 1); ``bias`` says whether
    a bias stays.

    Raises:
        ValueError: for a convolution that no stage stands for; the message says why.
    """
    code = code_of(conv)
    parameter = next(conv.parameters())
    conv_options = ConvOptions(
        stride=code.stride,
        rounds_down=options.rounds_down,
        padding=code.padding,
        dilation=code.dilation,
        groups=conv.groups,
        bias=bias and code.has_bias,
        device=parameter.device,
        dtype=parameter.dtype,
    )
    if code.computed is None:
        return _filled(conv, inputs, options, conv_options, as_stage3, fill_conv)
    if inputs is None and conv.groups > 1:
        raise ValueError(
            f"Stage 1 would divide the {conv.groups} groups of {type(conv).__name__}, which computes its weight: "
            "place Stage 1 at a convolution with groups=1"
        )
    blocks: dict[nn.Conv2d, WeightBlock] = {}

    def note_block(target: nn.Conv2d, _: nn.Conv2d, rows: Places, columns: Places) -> None:
        blocks[target] = WeightBlock(rows, columns)

    stage, outputs = _filled(conv, inputs, options, conv_options, as_stage3, note_block)
    source = code.computed.source(conv, bias=conv_options["bias"], share=options.share)
    named = {name: blocks[m] for name, m in stage.named_modules() if isinstance(m, nn.Conv2d) and m in blocks}
    return ComputedWeights(source, stage, named), outputs


def _filled(
    conv: nn.Conv2d,
    inputs: Layout | None,
    options: StageOptions,
    conv_options: ConvOptions,
    as_stage3: bool,
    fill: Fill,
) -> tuple[StageBase, Layout | None]:
    """The stage that replaces ``conv``, filled from it, and the layout that it gives."""
    if inputs is not None and not as_stage3 and 1 < conv.groups < conv.in_channels:
        return _grouped(conv, inputs, options.alpha, conv_options, fill)
    outputs = None if as_stage3 else _outputs(conv, inputs, options.alpha)
    stage: StageBase
    with Unfilled():
        if inputs is None:
            assert outputs is not None
            beta, mcs = options.beta, options.mcs
            stage = Stage1(conv.in_channels, outputs.split, conv.kernel_size, beta=beta, mcs=mcs, **conv_options)
        elif outputs is None:
            stage = Stage3(inputs.split, conv.out_channels, conv.kernel_size, **conv_options)
        else:
            stage = Stage2(inputs.split, outputs.split, conv.kernel_size, **conv_options)
    if isinstance(stage, Stage1) and stage.mcs is not None and not stage.mcs.weight.is_meta:
        stage.mcs.reset_parameters()  # it has no vanilla counterpart
    fill_stage(conv, stage, inputs, outputs, fill)
    return stage, outputs


def _outputs(conv: nn.Conv2d, inputs: Layout | None, alpha: float) -> Layout:
    """The layout that Stage 1, or a dense or depthwise Stage 2, gives."""
    if inputs is not None and conv.groups > 1:  # depthwise: the split passes through
        return inputs.repeated(conv.out_channels // conv.in_channels)
    return Layout.of(Split.of(conv.out_channels, alpha))


def _grouped(
    conv: nn.Conv2d, inputs: Layout, alpha: float, options: ConvOptions, fill: Fill
) -> tuple[StageBase, Layout]:
    """The stage of a grouped convolution, and the layout of the pair that it gives.

    Whole groups stay on their branch; a group that the split cuts becomes a Stage 2 of its own.
    """
    n_in, n_out = conv.in_channels // conv.groups, conv.out_channels // conv.groups
    places = [{channel: i for i, channel in enumerate(branch)} for branch in inputs]
    whole: tuple[list[int], list[int]] = ([], [])
    cut: dict[int, Layout] = {}
    for group in range(conv.groups):
        members = _members([group], n_in)
        layout = Layout(*(tuple(c for c in members if c in branch) for branch in places))
        if layout.spatial and layout.frequency:
            cut[group] = layout
        else:
            whole[0 if layout.spatial else 1].append(group)
    # F gets as many outputs as behind any other convolution, as far as the groups allow it.
    missing = Split.of(conv.out_channels, alpha).frequency - n_out * len(whole[1])
    missing = min(max(missing, 0), n_out * len(cut))
    shares = [missing * (i + 1) // len(cut) - missing * i // len(cut) for i in range(len(cut))]
    spatial, frequency = (tuple(p[c] for c in _members(on, n_in)) for p, on in zip(places, whole, strict=True))
    cut_places = [
        (
            tuple(places[0][c] for c in layout.spatial),
            tuple(places[1][c] for c in layout.frequency),
            Split(n_out - n, n),
        )
        for layout, n in zip(cut.values(), shares, strict=True)
    ]
    with Unfilled():
        stage = GroupedStage2((n_in, n_out), (spatial, frequency), cut_places, conv.kernel_size, **options)
    rows = Layout(*(_members(groups, n_out) for groups in whole))
    for channels, target in zip(rows, (stage.spatial, stage.frequency), strict=True):
        if target is not None:
            fill(target, conv, channels, None)
    outputs = [Layout(rows.spatial, ())]
    for (group, layout), share, part in zip(cut.items(), shares, stage.cut, strict=True):
        members = _members([group], n_out)
        outputs.append(Layout(members[: n_out - share], members[n_out - share :]))
        columns = Layout(*(tuple(c - group * n_in for c in branch) for branch in layout))
        inner = part.get_submodule("stage")
        assert isinstance(inner, Stage2)
        fill_stage(conv, inner, columns, outputs[-1], fill)
    outputs.append(Layout((), rows.frequency))
    return stage, Layout(*(sum(branch, ()) for branch in zip(*outputs, strict=True)))


def _members(groups: Iterable[int], width: int) -> Channels:
    """The channels of ``groups`` that have ``width`` channels each."""
    return tuple(group * width + i for group in groups for i in range(width))
