"""Networks and layers timed against their vanilla forms: built, fused, checked, and only then timed."""

from sfic_bench.timing.batches import measure_batches
from sfic_bench.timing.machine import Machine
from sfic_bench.timing.run import measure

__all__ = ["Machine", "measure", "measure_batches"]
