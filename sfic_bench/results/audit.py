"""The paper's printed figures against those counted here, as ``audit`` writes them."""

from typing import Literal

from msgspec import Struct

from sfic_bench.results.environment import Environment
from sfic_bench.results.fields import Count, Key, Name, NetworkRow, Ratio
from sfic_bench.results.shown import Shown

AuditVerdict = Literal["match", "explained", "differs, known", "differs"]
"""``match``: the count, rounded as the paper rounds, prints the same. ``explained``: it does not, but the count of a
related network does. ``differs, known``: the network as its authors describe it has another figure. ``differs``:
nothing explains the difference."""


class AuditRow(Struct, frozen=True, kw_only=True):
    """One printed figure of the paper, and the count of the same network here."""

    table: Name
    model: Name
    alpha: Ratio
    beta: Ratio
    quantity: Literal["params", "macs"]
    printed: str
    measured: Count
    verdict: AuditVerdict
    note: str

    @property
    def key(self) -> Key:
        return self.model, self.alpha, self.beta, f"{self.table} {self.quantity}"


class UnprintedRow(NetworkRow, frozen=True, kw_only=True):
    """A network for which the paper gives no figure."""

    params: Count
    macs: Count


class ParityRow(NetworkRow, frozen=True, kw_only=True):
    """How an SFIC network's number of parameters follows from that of its vanilla network, term by term."""

    vanilla: Count
    sfic: Count
    terms: dict[str, int]
    unexplained: int


class ClaimRow(Struct, frozen=True, kw_only=True):
    """A percentage that the paper states in words about the FLOPs of two networks.

    Attributes:
        reduction_percent: 100·(before − after)/before of counted MACs, which is what "reduced by" means.
        over_after_percent: 100·(before − after)/after of printed figures, which is the paper's arithmetic.
    """

    section: str
    stated: str
    before: str
    after: str
    reduction_percent: float
    over_after_percent: float


class AuditResult(Shown, frozen=True, kw_only=True, tag_field="schema", tag="sfic-bench/audit/1"):
    """Every Param and FLOPs cell of the paper's Tables II, III and V against the networks as counted here."""

    environment: Environment
    rows: list[AuditRow]
    unprinted: list[UnprintedRow]
    parity: list[ParityRow]
    claims: list[ClaimRow]

    @property
    def is_good(self) -> bool:
        """Whether every difference has a known reason, and every parameter that vanilla lacks is accounted for."""
        return all(row.verdict != "differs" for row in self.rows) and not any(row.unexplained for row in self.parity)
