"""Training and scoring one network with one seed, in this process or in several."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import torch

from sfic_bench.measure.conditions import Device
from sfic_bench.measure.failures import out_of_memory
from sfic_bench.results.accuracy import AccuracyResult
from sfic_bench.sweeping.jobs.job import Done, Facts, Job, ReportRate, Workplace, plain
from sfic_bench.sweeping.launch import Host, ProcessesEnded, free_address, torchrun
from sfic_bench.sweeping.manifests import manifests
from sfic_bench.training.recipe import Recipe

# Functions import what needs the extra `train`, because a sweep that only counts does without it.
if TYPE_CHECKING:
    from sfic_bench.training.loop import TrainingProgress
    from sfic_bench.training.protocols import Experiment
    from sfic_bench.training.runs import Run

REPORTED_EVERY_S = 1.0

ENDED_WITHIN_S = 60.0
"""How long the other hosts may take to end after the first one has."""


class TrainJob(Job, frozen=True, kw_only=True, tag="accuracy"):
    """One run: one network, one seed, trained and scored by a protocol.

    Attributes:
        data: manifests, named by their content.
        compression: the compressions of the images to use; all if empty.
        train_on: the name of the data that it trains on, which is one of the protocol's.
        devices: number of devices on each host.
        threads: number of torch's threads on a CPU, where it determines the order of sums; otherwise ``None``.
        loggers: names of loggers, see `sfic_bench.training.loggers`; they determine no result.
    """

    recipe: Recipe
    protocol: str
    data: list[str]
    compression: list[str]
    train_on: str
    device: Device
    devices: int
    skip_unreadable: bool
    threads: int | None
    loggers: list[str] | None = None

    order: ClassVar[int] = 1

    def __str__(self) -> str:
        return f"accuracy of {self.network}, {self.train_on}, seed {self.recipe.seed}"

    def facts(self) -> Facts:
        return {
            **super().facts(), **plain(self.recipe), "protocol": self.protocol, "data": self.data,
            "compression": self.compression, "train_on": self.train_on, "device": self.device.value,
            "devices": self.devices, "hosts": self.needs.hosts, "skip_unreadable": self.skip_unreadable,
            "threads": self.threads,
        }  # fmt: skip

    def smaller_batch(self, batch_size: int | None) -> int | None:
        """The batch size to try after ``batch_size``, or the job's own, did not fit the memory; ``None`` for none."""
        size = batch_size or self.recipe.batch_size
        return size // 2 if size > 1 else None

    def run(self, key: str, workplace: Workplace) -> Done:
        size = workplace.batch_size or self.recipe.batch_size
        while True:
            name, note = f"runs/{key}", ""
            if size != self.recipe.batch_size:
                name, note = f"{name}-batch{size}", f"batch {size} instead of {self.recipe.batch_size}: out of memory"
            try:
                with workplace.folder(name) as folder:
                    return Done(result=self.trained(folder, size, workplace), run=name, note=note)
            except (RuntimeError, MemoryError) as error:
                smaller = self.smaller_batch(size)
                if out_of_memory(error) is None or smaller is None:
                    raise
                size = smaller
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def trained(self, folder: Path, batch_size: int, workplace: Workplace) -> AccuracyResult:
        """Train, or go on with, the run in ``folder``, and score it.

        Raises:
            TrainingFailed, ProcessesEnded: if a process of several ends without success.
        """
        from sfic_bench.training import accuracy
        from sfic_bench.training.runs import Run

        run = Run(folder)
        if self.needs.hosts > 1:
            self._train_with_peers(folder, batch_size, workplace)
        elif self.devices > 1:
            first = Host(rank=0, address=free_address("127.0.0.1"))
            self.train_on_host(folder, batch_size, first, workplace)
        else:
            self.train_here(run, batch_size, workplace.report_rate)
        runs = [
            accuracy.ExperimentRuns(
                variant=self.network, train_on=e.train_on, test_on=e.test_on, runs=[accuracy.predictions(run, e)]
            )
            for e in self.experiments()
        ]
        return accuracy.result(accuracy.rows_of(runs), self.protocol, self.recipe_with(batch_size), [self.recipe.seed])

    def _train_with_peers(self, folder: Path, batch_size: int, workplace: Workplace) -> None:
        assert workplace.start_peers is not None, "an engine with one node runs no job on several hosts"
        peers = workplace.start_peers(folder, batch_size)
        try:
            self.train_on_host(folder, batch_size, Host(rank=0, address=peers.address), workplace, peers.check)
        except ProcessesEnded:
            peers.check(ENDED_WITHIN_S)  # a peer's own error tells more than the lost connection to it
            raise
        else:
            peers.check(ENDED_WITHIN_S)
        finally:
            peers.stop()

    def train_on_host(
        self, folder: Path, batch_size: int, host: Host, workplace: Workplace,
        check: Callable[[], object] = lambda: None,
    ) -> None:  # fmt: skip
        """Train this host's part of a training by several processes; see `torchrun`."""
        torchrun(
            self, [str(folder), str(batch_size)], host=host, hosts=self.needs.hosts, devices=self.devices,
            workplace=workplace, check=check,
        )  # fmt: skip

    def recipe_with(self, batch_size: int) -> Recipe:
        """The recipe with a batch size that fits the memory."""
        return replace(self.recipe, batch_size=batch_size)

    def experiments(self) -> "list[Experiment]":
        """The protocol's experiments that this job's training serves."""
        from sfic_bench.training.protocols import experiments

        read = manifests(self.data, self.files, self.compression)
        return [e for e in experiments(self.protocol, read) if e.train_on == self.train_on]

    def train_here(self, run: "Run", batch_size: int, report_rate: ReportRate) -> None:
        """Train this process's part."""
        from sfic_bench.training import accuracy
        from sfic_bench.training.loggers import loggers_of
        from sfic_bench.training.recipe import TrainingDevices

        last = 0.0

        def report(progress: "TrainingProgress") -> None:
            nonlocal last
            if time.monotonic() - last > REPORTED_EVERY_S:
                last = time.monotonic()
                report_rate(progress.images_per_s)

        devices = TrainingDevices(
            device=self.device, devices=self.devices, hosts=self.needs.hosts, workers=self.needs.workers,
            skip_unreadable=self.skip_unreadable,
        )  # fmt: skip
        recipe, loggers = self.recipe_with(batch_size), loggers_of(self.loggers)
        for experiment in self.experiments():
            accuracy.train_and_test(self.network, experiment, recipe, devices, run, report, loggers)
