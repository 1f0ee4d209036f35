"""pytest-benchmark's result files as results of this version."""

from typing import Annotated

from msgspec import Meta, Struct

from sfic_bench.results.environment import Environment
from sfic_bench.results.fields import Name, Positive
from sfic_bench.results.timing import TimingResult, TimingRow
from sfic_bench.results.upgrade import copied
from sfic_bench.statistics.intervals import median_of


class PytestCpu(Struct, frozen=True, kw_only=True):
    """The CPU as pytest-benchmark describes it."""

    brand_raw: str | None = None
    count: int | None = None


class PytestMachine(Struct, frozen=True, kw_only=True):
    """The machine as pytest-benchmark and this project's benchmarks describe it."""

    machine: str | None = None
    python_version: str | None = None
    cpu: PytestCpu = PytestCpu()
    device: str | None = None
    threads: int | None = None
    torch: str | None = None
    cuda: str | None = None
    cudnn: int | None = None
    triton: str | None = None
    driver: str | None = None
    onednn_max_cpu_isa: str | None = None


class PytestStats(Struct, frozen=True, kw_only=True):
    """Seconds of each round, in order; pytest-benchmark writes them with ``--benchmark-save-data``."""

    data: Annotated[list[Positive], Meta(min_length=1)] | None = None


class PytestRow(Struct, frozen=True, kw_only=True):
    """One benchmark of pytest-benchmark."""

    fullname: Name
    stats: PytestStats


class PytestResult(Struct, frozen=True, kw_only=True):
    """A file of pytest-benchmark; it names no network, path or conditions."""

    machine_info: PytestMachine
    benchmarks: list[PytestRow]

    def upgraded(self) -> TimingResult:
        """The benchmarks as timed rows, none of them vanilla.

        Raises:
            ValueError: if a benchmark has no raw times.
        """
        rows = []
        for i, benchmark in enumerate(self.benchmarks):
            if benchmark.stats.data is None:
                raise ValueError(
                    f"it has no raw times - at `$.benchmarks[{i}].stats.data`; run pytest with --benchmark-save-data"
                )
            samples = [1e3 * seconds for seconds in benchmark.stats.data]
            row = TimingRow(
                backbone=benchmark.fullname, alpha=None, beta=None, path="", status="ok",
                samples_ms=samples, latency_ms=median_of(samples),
            )  # fmt: skip
            rows.append(row)
        info = self.machine_info
        environment = copied(
            info,
            Environment,
            python=info.python_version,
            processor=info.cpu.brand_raw,
            cpu_count=info.cpu.count,
            packages={} if info.torch is None else {"torch": info.torch},
        )
        return TimingResult(environment=environment, conditions=None, peak=None, unwatched="", families=[], rows=rows)
