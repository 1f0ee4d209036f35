"""Which convolution becomes which stage."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import fx, nn

from sfic_bench.errors import UnsupportedModel


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where a tensor becomes a pair, and where the pair becomes a tensor again.

    Everything in between follows from the data flow: a convolution that a pair reaches is a Stage 2
    unless it is named as a Stage 3, and one that a single tensor reaches stays as it is.

    Attributes:
        stage1, stage3: qualified names of convolutions.
        reads: convolutions that read the input of another one instead of their own.
    """

    stage1: tuple[str, ...]
    stage3: tuple[str, ...]
    reads: Mapping[str, str] = field(default_factory=dict)


RESNET = Placement(
    stage1=("layer1.0.conv1",),
    # The paper's text puts Stage 3 at the last convolution of the body, but 9 of the 12 cells of
    # Table II only come out with it in the first block of layer4, where the released code has it.
    stage3=("layer4.0.conv3", "layer4.0.downsample.0"),
    # The block's input is a single tensor. A second Stage 1 on the shortcut would cost GMacs that
    # Table II does not have; the shortcut exchanges Stage 1's output instead.
    reads={"layer1.0.downsample.0": "layer1.0.conv2"},
)
"""Bottleneck ResNets with torchvision's names."""


def placement_of(graph: fx.GraphModule) -> Placement:
    """The placement of a network whose structure the paper covers.

    Bottleneck ResNets are told by their names. In a chain without branches (VGG, MobileNet) the
    first convolution is the head, the second becomes Stage 1 and the last Stage 3.

    Raises:
        UnsupportedModel: for any other structure, or a chain of fewer than three convolutions.
    """
    names = {name for name, m in graph.named_modules() if isinstance(m, nn.Conv2d)}
    if names.issuperset((*RESNET.stage1, *RESNET.stage3, *RESNET.reads)):
        return RESNET
    if any(len(node.all_input_nodes) > 1 for node in graph.graph.nodes):
        raise UnsupportedModel(
            "no placement is known for a network with branches that is not a bottleneck ResNet: "
            "pass placement=Placement(stage1=(…,), stage3=(…,)) with the names of convolutions"
        )
    chain = [str(node.target) for node in graph.graph.nodes if node.target in names]
    if len(chain) < 3:
        raise UnsupportedModel(
            f"a network needs at least 3 convolutions for head, Stage 1 and Stage 3, got {len(chain)}"
        )
    return Placement(stage1=(chain[1],), stage3=(chain[-1],))
