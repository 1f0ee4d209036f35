"""The kinds of jobs that a sweep does: counting, timing, and training with scoring."""

from sfic_bench.sweep.jobs.cost import CostJob
from sfic_bench.sweep.jobs.timing import TimingJob
from sfic_bench.sweep.jobs.train import TrainJob

AnyJob = CostJob | TimingJob | TrainJob

__all__ = ["AnyJob", "CostJob", "TimingJob", "TrainJob"]
