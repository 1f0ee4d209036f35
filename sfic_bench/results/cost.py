"""Parameters and MACs of networks, as ``flops`` writes them."""

from msgspec import Struct

from sfic_bench.results.environment import Environment
from sfic_bench.results.fields import Count, Key, Name, NetworkRow, Size
from sfic_bench.results.shown import Shown


class LayerRow(Struct, frozen=True, kw_only=True):
    """All operations of one kind in one module of a network; shapes are for a batch of one image.

    Attributes:
        macs: by convention; ``None`` where the convention has no rule for the operation.
    """

    path: str
    kind: str
    calls: Count
    input: list[Count]
    output: list[Count]
    params: Count
    macs: dict[str, Count | None]


class PeerDifference(Struct, frozen=True, kw_only=True):
    """MACs by which a third-party counter differs from the reference convention, for one kind of operation."""

    of: str
    macs: int
    because: str


class PeerRow(Struct, frozen=True, kw_only=True):
    """What one third-party counter gave for a network.

    Attributes:
        macs: its count; ``None`` if it gave none, for the given ``reason``.
        convention: the convention that follows the counter's rules; ``convention_macs`` are the MACs in it.
        unexplained: ``macs − convention_macs``; anything but 0 is a defect of the convention.
        differences: what explains the difference from the convention ``reference``.
    """

    counter: str
    version: str | None
    macs: Count | None
    reason: str
    convention: str
    convention_macs: Count
    unexplained: int | None
    reference: str
    differences: list[PeerDifference]


class CostRow(NetworkRow, frozen=True, kw_only=True, omit_defaults=True):
    """One network's parameters and MACs for one image.

    Attributes:
        input_size: height and width of the image, pixels.
        params_trainable: elements of parameters with ``requires_grad``.
        params_dead: elements of trainable parameters that no gradient reaches.
        params_over_vanilla: parameters less the vanilla network's, term by term; ``unexplained`` is among the terms.
        macs: MACs, by convention.
        macs_fused: MACs of the fused form, in the convention conv-linear.
        unsupported: for each convention, how often operations occur for which it has no rule.
        activations: elements that convolutions, linear layers and matrix products write.
        bytes_moved: bytes that all operations read and write in float32 if each runs separately.
    """

    input_size: Size
    classes: Size
    params: Count
    params_trainable: Count
    params_dead: Count
    params_over_vanilla: dict[str, int] | None
    macs: dict[Name, Count]
    macs_fused: Count | None
    unsupported: dict[str, dict[str, Count]]
    activations: Count
    bytes_moved: Count
    layers: list[LayerRow] = []
    peers: list[PeerRow] = []

    @property
    def key(self) -> Key:
        return self.backbone, self.alpha, self.beta, f"{self.input_size}², {self.classes} classes"

    @property
    def vanilla_key(self) -> tuple[str, int, int]:
        """The values that a row and the vanilla row that it is compared with have in common."""
        return self.backbone, self.input_size, self.classes


class CostResult(Shown, frozen=True, kw_only=True, tag_field="schema", tag="sfic-bench/cost/1"):
    """Parameters and MACs of networks: integers that are the same on every machine."""

    environment: Environment
    rows: list[CostRow]

    def vanilla(self) -> dict[tuple[str, int, int], CostRow]:
        """The vanilla rows, by `CostRow.vanilla_key`."""
        return {row.vanilla_key: row for row in self.rows if row.is_vanilla}
