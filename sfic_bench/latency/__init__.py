"""Networks and layers timed against their vanilla forms: built, fused, checked, and only then timed."""

from sfic_bench.conditions import DTYPES, Conditions
from sfic_bench.latency.machine import Machine
from sfic_bench.latency.rows import Best, Family, Row
from sfic_bench.latency.run import measure

__all__ = ["DTYPES", "Best", "Conditions", "Family", "Machine", "Row", "measure"]
