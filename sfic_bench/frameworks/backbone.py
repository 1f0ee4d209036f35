"""A network in two parts, as other projects' trainers want it, whose checkpoints say which network it is."""

from contextlib import suppress
from pathlib import Path

import torch
from msgspec import DecodeError, Struct, json
from torch import Tensor, fx, nn

from sfic_bench import api
from sfic_bench.convert import graph_of
from sfic_bench.convert.graph import nodes_in
from sfic_bench.convert.parts import last_map, part
from sfic_bench.errors import InvalidValue, UnsupportedModel, first_line
from sfic_bench.networks.detectors.detection import Detector, two_logits
from sfic_bench.networks.head import head_modules
from sfic_bench.networks.normalisation import Normalisation
from sfic_bench.networks.variant import Variant
from sfic_bench.results.fields import Name

TORCH = str(torch.__version__)
"""The version of torch in this process."""


class NetworkRecord(Struct, frozen=True, kw_only=True):
    """What a checkpoint says of the network that it holds the weights of.

    The tensors alone do not say it: a network has the same tensors at every β.

    Attributes:
        framework: the project whose trainer wrote the checkpoint.
        torch_version: that of the torch that wrote it.
        input_size: height and width of the images, pixels.
        normalisation: what the network expects of pixels.
    """

    framework: Name
    torch_version: Name = TORCH
    variant: Variant
    input_size: int
    normalisation: Normalisation

    def to_tensor(self) -> Tensor:
        """The record as bytes ``[N]``, so that a state dict holds nothing but tensors."""
        return torch.frombuffer(bytearray(json.encode(self)), dtype=torch.uint8)

    @classmethod
    def from_tensor(cls, tensor: Tensor) -> "NetworkRecord":
        """The record that `to_tensor` has written.

        Raises:
            InvalidValue: for other bytes.
        """
        try:
            return json.decode(bytes(tensor.to(torch.uint8).flatten().tolist()), type=cls)
        except (DecodeError, ValueError, RecursionError) as error:
            raise InvalidValue(f"the checkpoint's record of its network cannot be read: {first_line(error)}") from None


class FrameworkBackbone(nn.Module):
    """A vanilla or SFIC network as images → map → logits.

    Its state dict has the tensors of `sfic_bench.build`, those of the first part under ``body.`` and those of the
    second under ``head.``, and a `NetworkRecord`. A checkpoint of another network is refused when it is loaded.

    Args:
        record: which network it is.
        weights: the weights to start from, as `sfic_bench.build` takes them; ``None`` for random ones.

    Raises:
        UnsupportedModel: for a network that has a loss of its own, or more results than its logits.
        UnknownName, InvalidValue: as `sfic_bench.build` does.
    """

    def __init__(self, record: NetworkRecord, weights: Path | str | None = None) -> None:
        super().__init__()
        self.record = record
        variant, size = record.variant, record.input_size
        network = api.build(
            variant.backbone, alpha=variant.alpha, beta=variant.beta, on_unsupported=variant.on_unsupported,
            weights=weights, input_size=size,
        )  # fmt: skip
        if isinstance(network, Detector):
            raise UnsupportedModel(
                f"{variant} has a loss of its own, which {record.framework} would not use: choose a plain backbone"
            )
        graph = graph_of(network, size)
        (output,) = (node for node in graph.graph.nodes if node.op == "output")
        results = nodes_in(output.args)
        if len(results) != 1:
            raise UnsupportedModel(f"{variant} has {len(results)} results, expected one, the logits")
        seam = _seam(graph, results[0], variant)
        self.body, self.head = part(graph, [seam]), part(graph, results, start=seam)
        held = {name.partition(".")[2] for name in self.state_dict()}
        if lost := [name for name in network.state_dict() if name not in held]:
            raise UnsupportedModel(f"{variant} does not compute with {lost[0]}, which would be lost")

    def features(self, images: Tensor) -> Tensor:
        """The map that is pooled for the logits, ``[B, C, H', W']``, of images ``[B, 3, H, W]``.

        A network whose branches are pooled one by one has no such map; its features are what its classifier reads.
        """
        results: list[Tensor] = self.body(images)
        return results[0]

    def classifier(self, features: Tensor) -> Tensor:
        """The logits of real and fake, ``[B, 2]``, of what `features` gave."""
        results: list[Tensor] = self.head(features)
        return two_logits(results[0])

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.features(images))

    def get_extra_state(self) -> Tensor:
        return self.record.to_tensor()

    def set_extra_state(self, state: Tensor) -> None:
        held, own = NetworkRecord.from_tensor(state), self.record
        if (held.variant, held.normalisation) != (own.variant, own.normalisation):
            raise InvalidValue(
                f"the checkpoint is of {_words(held)}, and the configuration says {_words(own)}: change the "
                "configuration"
            )


def _words(record: NetworkRecord) -> str:
    pixels = record.normalisation
    return f"{record.variant} with pixels of mean {list(pixels.mean)} and std {list(pixels.std)}"


def _seam(graph: fx.GraphModule, logits: fx.Node, variant: Variant) -> fx.Node:
    """The node between both parts: the map that is pooled or, where none is, what the classifier reads."""
    with suppress(UnsupportedModel):
        seam = last_map(graph)
        if seam is not logits and next(part(graph, [logits], start=seam).parameters(), None) is not None:
            return seam
    heads = head_modules(graph)
    calls: list[fx.Node] = [node for node in graph.graph.nodes if node.op == "call_module" and node.target in heads]
    if len(calls) != 1 or len(calls[0].all_input_nodes) != 1:
        raise UnsupportedModel(f"{variant} has no single layer that gives its logits")
    return calls[0].all_input_nodes[0]
