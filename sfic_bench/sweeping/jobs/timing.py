"""Timing one network beside its vanilla form."""

import platform
from dataclasses import replace
from typing import ClassVar

from msgspec import structs

from sfic_bench.measure.conditions import Conditions, Device
from sfic_bench.measure.sampler import Stop
from sfic_bench.results.timing import TimingResult
from sfic_bench.sweeping.jobs.job import Done, Facts, Job, Workplace, plain


class TimingJob(Job, frozen=True, kw_only=True, tag="latency"):
    """Times of one SFIC network and its vanilla form, in the same rounds, or of a vanilla network alone.

    Attributes:
        memory_limit: bytes that a call may take, see `sfic_bench.timing.Machine`.
        finds_batch_sizes: whether the batch sizes are searched for, from that of the conditions on.
    """

    conditions: Conditions
    paths: list[str]
    max_seconds: float
    rounds: int = Stop().min_rounds
    memory_limit: int | None = None
    finds_batch_sizes: bool = False

    order: ClassVar[int] = 0  # a job that takes a whole node begins while nodes are free
    is_timed: ClassVar[bool] = True

    def __str__(self) -> str:
        c = self.conditions
        mode = ", training" if c.training else ""
        size = f"{'N' if self.finds_batch_sizes else c.batch_size}×{c.input_size}×{c.input_size}"
        return f"latency of {self.network}, {size}, {c.dtype}, {c.device}{mode}"

    @property
    def device(self) -> Device:
        return self.conditions.device

    def facts(self) -> Facts:
        own: Facts = {
            "paths": self.paths, "max_seconds": self.max_seconds, "rounds": self.rounds,
            "memory_limit": self.memory_limit, "finds_batch_sizes": self.finds_batch_sizes,
        }  # fmt: skip
        return {**super().facts(), **plain(self.conditions), **own}

    def run(self, key: str, workplace: Workplace) -> Done:
        from sfic_bench import timing

        vanilla = replace(self.network, alpha=None, beta=None)
        networks = [vanilla] if self.network.is_vanilla else [vanilla, self.network]
        machine = replace(timing.Machine.for_conditions(self.conditions), memory_limit=self.memory_limit)
        stop = Stop.after(self.max_seconds, self.rounds)
        sizes = None if self.finds_batch_sizes else [self.conditions.batch_size]
        result: TimingResult
        *_, result = timing.measure_batches(
            networks, self.paths, self.conditions, machine, stop, self.max_seconds, sizes
        )
        if any(family.stopped_by == "interrupt" for family in result.families):
            raise KeyboardInterrupt
        on_node = structs.replace(result.environment, node=platform.node())
        return Done(result=structs.replace(result, environment=on_node))
