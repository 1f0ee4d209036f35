"""One process of a training by several: ``python -m sfic_bench.sweeping.jobs.child JOB.json RUN BATCH REPORTS``.

`sfic_bench.sweeping.launch.torchrun` starts it on each host. It ends when the process that started torchrun is gone.
"""

import os
import sys
from pathlib import Path
from threading import Thread

from msgspec import json

from sfic_bench.errors import SficBenchError, first_line
from sfic_bench.measure.failures import out_of_memory
from sfic_bench.sweeping.jobs.train import TrainJob
from sfic_bench.sweeping.launch import FailureReport, RateReport, Reports
from sfic_bench.training.runs import Run


def main() -> None:
    """Train this process's part, and report how it goes."""
    Thread(target=_end_with_starter, daemon=True).start()
    job_path, folder, batch_size, reports_path = sys.argv[1:]
    job = json.decode(Path(job_path).read_bytes(), type=TrainJob)
    reports = Reports(Path(reports_path))
    try:
        job.train_here(Run(Path(folder)), int(batch_size), lambda rate: reports.write(RateReport(images_per_s=rate)))
    except SficBenchError as error:
        reports.write(FailureReport(reason=first_line(error)))
        raise
    except (RuntimeError, MemoryError) as error:
        if lack := out_of_memory(error):
            reports.write(FailureReport(reason=lack, lacks_memory=True))
        raise


def _end_with_starter() -> None:
    os.read(sys.stdin.fileno(), 1)  # returns when no process holds the other end of the pipe
    os._exit(1)


if __name__ == "__main__":
    main()
