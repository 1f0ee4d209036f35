"""Parameters and MACs as tables."""

from collections.abc import Sequence
from dataclasses import dataclass

from sfic_bench.reporting.cells import count, number, ratio, shape, size
from sfic_bench.reporting.columns import Cells, tabulated
from sfic_bench.reporting.table import Table
from sfic_bench.results.cost import CostRow, LayerRow, PeerRow
from sfic_bench.units import format_ratio

FUSED = "fused: conv-linear MACs of the same function, computing only what its resizes keep"
DEFAULT = "conv-linear"


@dataclass(frozen=True, slots=True)
class Counted:
    """A counted row, the vanilla row that it is compared with if there is one, and the name of its file."""

    row: CostRow
    vanilla: CostRow | None
    file: str = ""

    @property
    def input(self) -> str:
        """What the network was counted on, such as ``256×256, 2 classes``."""
        return f"{size(self.row.input_size)}, {self.row.classes} classes"

    def macs_ratio(self, convention: str) -> float | None:
        """MACs over vanilla's in ``convention``; ``None`` for vanilla itself."""
        return self._over_vanilla(self.row.macs.get(convention), convention)

    @property
    def fused_ratio(self) -> float | None:
        """MACs of the fused form over vanilla's; ``None`` for vanilla itself."""
        return self._over_vanilla(self.row.macs_fused, DEFAULT)

    @property
    def params_over_vanilla(self) -> int | None:
        """Parameters of the network less vanilla's; ``None`` for vanilla itself."""
        return None if self.vanilla is None or self.row.is_vanilla else self.row.params - self.vanilla.params

    def _over_vanilla(self, macs: int | None, convention: str) -> float | None:
        if self.vanilla is None or self.row.is_vanilla:
            return None
        return ratio(macs, self.vanilla.macs.get(convention))


@dataclass(frozen=True, slots=True)
class CountedLayer:
    """A layer, and the network that it is part of; ``""`` where the table is of one network."""

    network: str
    row: LayerRow


def cost_columns(conventions: Sequence[str]) -> list[Cells[Counted]]:
    """Parameters, MACs in each of ``conventions``, and MACs of the fused form."""

    def macs(convention: str, rank: int) -> list[Cells[Counted]]:
        return [
            Cells(f"{convention}\nGMac", lambda line: count(line.row.macs.get(convention), "G"), rank=rank),
            Cells("vs.\nvanilla", lambda line: number(line.macs_ratio(convention), ".3f"), rank=rank, always=True),
        ]

    return [
        Cells("backbone", lambda line: line.row.backbone, number=False),
        Cells("α", lambda line: format_ratio(line.row.alpha), always=True),
        Cells("β", lambda line: format_ratio(line.row.beta), always=True),
        Cells("file", lambda line: line.file, number=False),
        Cells("input", lambda line: line.input if line.file else "", number=False),
        Cells("params", lambda line: f"{line.row.params:,}"),
        Cells("over\nvanilla", lambda line: number(line.params_over_vanilla, "+,"), always=True),
        *(column for i, convention in enumerate(conventions) for column in macs(convention, 2 if i else 0)),
        Cells("fused\nGMac", lambda line: count(line.row.macs_fused, "G"), rank=1),
        Cells("vs.\nvanilla", lambda line: number(line.fused_ratio, ".3f"), rank=1),
        Cells("activations\nM", lambda line: count(line.row.activations, "M"), rank=3),
        Cells("moved\nMB", lambda line: count(line.row.bytes_moved, "M", 1), rank=3),
        Cells("dead\nparams", lambda line: f"{line.row.params_dead:,}", rank=3),
    ]


def unsupported_notes(rows: Sequence[CostRow], conventions: Sequence[str]) -> list[str]:
    """A note for each of ``conventions`` that has no rule for some operation of ``rows``."""
    kinds = {name: sorted({kind for row in rows for kind in row.unsupported.get(name, ())}) for name in conventions}
    return [f"{name} has no rule for, and leaves out: {', '.join(some)}" for name, some in kinds.items() if some]


def layer_table(
    title: str, layers: Sequence[CountedLayer], conventions: Sequence[str], *, folded: bool = False
) -> Table:
    """One row for each layer, in the order of the forward pass."""

    def macs(convention: str, rank: int) -> Cells[CountedLayer]:
        heading = f"MMac\n{convention}"
        return Cells(heading, lambda layer: count(layer.row.macs.get(convention), "M", 3) or "no rule", rank=rank)

    columns: list[Cells[CountedLayer]] = [
        Cells("network", lambda layer: layer.network, number=False),
        Cells("layer", lambda layer: layer.row.path or "(network)", number=False),
        Cells("operation", lambda layer: layer.row.kind, number=False),
        Cells("input", lambda layer: shape(layer.row.input), number=False, rank=2),
        Cells("output", lambda layer: shape(layer.row.output), number=False, rank=1),
        Cells("calls", lambda layer: str(layer.row.calls), rank=3),
        Cells("params", lambda layer: f"{layer.row.params:,}" if layer.row.params else ""),
        *(macs(convention, 2 if i else 0) for i, convention in enumerate(conventions)),
    ]
    return tabulated(title, columns, layers, folded=folded)


def peer_table(title: str, peers: Sequence[PeerRow]) -> Table:
    """What third-party counters gave for one network, and what explains each difference."""
    columns: list[Cells[PeerRow]] = [
        Cells("counter", lambda peer: peer.counter, number=False),
        Cells("version", lambda peer: peer.version or "", number=False),
        Cells("MACs", lambda peer: "unavailable" if peer.macs is None else f"{peer.macs:,}"),
        Cells("our convention", lambda peer: peer.convention, number=False),
        Cells("unexplained", lambda peer: number(peer.unexplained, ",")),
    ]
    notes = []
    for peer in peers:
        because = "; ".join(difference.because for difference in peer.differences) or "the same"
        notes.append(f"{peer.counter} against {peer.reference}: {because if peer.macs is not None else peer.reason}")
    total = sum(abs(peer.unexplained or 0) for peer in peers)
    return tabulated(title, columns, peers, notes=[*notes, f"unexplained: {total:,}"])
