"""Counting one network."""

from typing import ClassVar

from sfic_bench.results.cost import CostResult
from sfic_bench.results.environment import environment
from sfic_bench.sweeping.jobs.job import Done, Facts, Job, Workplace


class CostJob(Job, frozen=True, kw_only=True, tag="cost"):
    """Parameters and MACs of one network."""

    input_size: int
    classes: int

    order: ClassVar[int] = 2  # the smallest jobs fill the gaps that others leave

    def __str__(self) -> str:
        return f"cost of {self.network}, {self.input_size}×{self.input_size}"

    def facts(self) -> Facts:
        return super().facts() | {"input_size": self.input_size, "classes": self.classes}

    def run(self, key: str, workplace: Workplace) -> Done:
        from sfic_bench import api

        (costed,) = api.costs([self.network], input_size=self.input_size, classes=self.classes, fused=True)
        return Done(result=CostResult(environment=environment(), rows=[costed.row(classes=self.classes)]))
