"""Parameters and MACs as tables: the same for a terminal and for a page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sfic_bench.report.cells import number, ratio, shape, size
from sfic_bench.report.columns import Cells, tabulated
from sfic_bench.report.table import Table
from sfic_bench.results.cost import CostRow, LayerRow, PeerRow
from sfic_bench.units import format_count, format_ratio

FUSED = "fused: conv-linear MACs of the same function, computing only what its resizes keep"
DEFAULT = "conv-linear"


@dataclass(frozen=True, slots=True)
class Counted:
    """A counted row, the vanilla row that it is compared with if there is one, and the name of its file."""

    row: CostRow
    vanilla: CostRow | None
    file: str = ""

    def over_vanilla(self, macs: int | None, convention: str) -> float | None:
        """``macs`` over vanilla's in ``convention``; ``None`` for vanilla itself."""
        if self.vanilla is None or self.row.is_vanilla:
            return None
        return ratio(macs, self.vanilla.macs.get(convention))

    @property
    def params_over_vanilla(self) -> int | None:
        """How many parameters it has more than vanilla; ``None`` for vanilla itself."""
        return None if self.vanilla is None or self.row.is_vanilla else self.row.params - self.vanilla.params


def cost_table(
    title: str,
    lines: Sequence[Counted],
    conventions: Sequence[str],
    *,
    notes: Sequence[str] = (),
    sections: frozenset[int] = frozenset(),
    folded: bool = False,
) -> Table:
    """One line a network: parameters, MACs in each of ``conventions``, MACs of its fused form."""
    columns: list[Cells[Counted]] = [
        Cells("backbone", lambda line: line.row.backbone, number=False),
        Cells("α", lambda line: format_ratio(line.row.alpha), always=True),
        Cells("β", lambda line: format_ratio(line.row.beta), always=True),
        Cells("file", lambda line: line.file, number=False),
        Cells("input", lambda line: _input(line.row) if line.file else "", number=False),
        Cells("params", lambda line: f"{line.row.params:,}"),
        Cells("over\nvanilla", lambda line: number(line.params_over_vanilla, "+,"), always=True),
    ]
    for name in conventions:
        columns += [
            Cells(f"{name}\nGMac", _gmacs(name)),
            Cells("vs.\nvanilla", _macs_ratio(name), always=True),
        ]
    columns += [
        Cells(
            "fused\nGMac",
            lambda line: "" if line.row.macs_fused is None else format_count(line.row.macs_fused, "G"),
        ),
        Cells("vs.\nvanilla", lambda line: number(line.over_vanilla(line.row.macs_fused, DEFAULT), ".3f")),
        Cells("activations\nM", lambda line: format_count(line.row.activations, "M"), optional=True),
        Cells("moved\nMB", lambda line: format_count(line.row.bytes_moved, "M", 1), optional=True),
        Cells("dead\nparams", lambda line: f"{line.row.params_dead:,}", optional=True),
    ]
    return tabulated(title, columns, lines, notes=notes, sections=sections, folded=folded)


def _input(row: CostRow) -> str:
    return f"{size(row.input_size)}, {row.classes} classes"


def _gmacs(convention: str) -> Callable[[Counted], str]:
    def cell(line: Counted) -> str:
        macs = line.row.macs.get(convention)
        return "" if macs is None else format_count(macs, "G")

    return cell


def _macs_ratio(convention: str) -> Callable[[Counted], str]:
    return lambda line: number(line.over_vanilla(line.row.macs.get(convention), convention), ".3f")


def unsupported_notes(rows: Sequence[CostRow], conventions: Sequence[str]) -> list[str]:
    """What each convention has no rule for, in any of ``rows``."""
    kinds = {name: sorted({kind for row in rows for kind in row.unsupported.get(name, ())}) for name in conventions}
    return [f"{name} has no rule for, and leaves out: {', '.join(some)}" for name, some in kinds.items() if some]


def layer_table(title: str, layers: Sequence[LayerRow], conventions: Sequence[str]) -> Table:
    """One line a layer, in the order of the forward pass."""
    columns: list[Cells[LayerRow]] = [
        Cells("layer", lambda layer: layer.path or "(network)", number=False),
        Cells("operation", lambda layer: layer.kind, number=False),
        Cells("input", lambda layer: shape(layer.input), number=False),
        Cells("output", lambda layer: shape(layer.output), number=False),
        Cells("calls", lambda layer: str(layer.calls)),
        Cells("params", lambda layer: f"{layer.params:,}" if layer.params else ""),
    ]
    columns += [Cells(f"MMac {name}", _mmacs(name)) for name in conventions]
    return tabulated(title, columns, layers)


def _mmacs(convention: str) -> Callable[[LayerRow], str]:
    def cell(layer: LayerRow) -> str:
        macs = layer.macs[convention]
        return "no rule" if macs is None else format_count(macs, "M", 3)

    return cell


def peer_table(title: str, peers: Sequence[PeerRow]) -> Table:
    """What third-party counters gave for one network, and what explains each difference."""
    columns: list[Cells[PeerRow]] = [
        Cells("counter", lambda peer: peer.counter, number=False),
        Cells("version", lambda peer: peer.version or "", number=False),
        Cells("MACs", lambda peer: "unavailable" if peer.macs is None else f"{peer.macs:,}"),
        Cells("our convention", lambda peer: peer.convention, number=False),
        Cells("unexplained", lambda peer: "" if peer.unexplained is None else f"{peer.unexplained:,}"),
    ]
    notes = []
    for peer in peers:
        because = "; ".join(difference.because for difference in peer.differences) or "the same"
        notes.append(f"{peer.counter} against {peer.reference}: {because if peer.macs is not None else peer.reason}")
    total = sum(abs(peer.unexplained or 0) for peer in peers)
    return tabulated(title, columns, peers, notes=[*notes, f"unexplained: {total:,}"])
