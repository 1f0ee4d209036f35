"""Where a sweep stands, as ``sweep`` and ``sweep status`` write it."""

from msgspec import Struct

from sfic_bench.sweep.kept import Failure
from sfic_bench.sweep.progress import Driver


class CommandRow(Struct, frozen=True, kw_only=True):
    """How many jobs of one command are done, running, failed and left, of all."""

    command: str
    done: int
    running: int
    failed: int
    left: int
    of: int


class FailedRow(Struct, frozen=True, kw_only=True):
    """A failed job's key, and why it failed."""

    key: str
    failure: Failure


class SweepResult(Struct, frozen=True, kw_only=True, tag_field="schema", tag="sfic-bench/sweep/1"):
    """Where a sweep stands."""

    cells: list[CommandRow]
    driver: Driver
    failed: dict[str, Failure]
