"""The kinds of jobs that a sweep does: counting, timing, and training with scoring."""

from sfic_bench.sweeping.jobs.cost import CostJob
from sfic_bench.sweeping.jobs.timing import TimingJob
from sfic_bench.sweeping.jobs.train import TrainJob

AnyJob = CostJob | TimingJob | TrainJob

__all__ = ["AnyJob", "CostJob", "TimingJob", "TrainJob"]
