"""Training and scoring one network with one seed, in this process or in several."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import torch
from msgspec import json

from sfic_bench.measure.conditions import Device
from sfic_bench.measure.failures import out_of_memory
from sfic_bench.results.accuracy import AccuracyResult
from sfic_bench.sweep.jobs.job import Done, Facts, Job, ReportRate, Workplace, plain
from sfic_bench.sweep.launch import Host, ProcessesEnded, free_address, torchrun
from sfic_bench.sweep.manifests import manifests
from sfic_bench.train.recipe import Recipe

# The rest of the room is imported where it is used: who sweeps costs alone need not have what training needs.
if TYPE_CHECKING:
    from sfic_bench.train.loop import TrainingProgress
    from sfic_bench.train.protocols import Experiment
    from sfic_bench.train.runs import Run

REPORTED_EVERY_S = 1.0

JOINED_WITHIN_S = 60.0
"""How long hosts may take to end after the first one has, or to be known as lost."""

CHILD = "sfic_bench.sweep.jobs.child"
"""The module that is one process of a training by several."""


class TrainJob(Job, frozen=True, kw_only=True, tag="accuracy"):
    """One run: one network, one seed, trained and scored by a protocol.

    Attributes:
        data: manifests, named by their content.
        compression: only images of these; all if empty.
        train_on: which of the protocol's trainings it is.
        accelerator: the kind of device.
        devices: on each host.
        threads: of torch; ``None`` where they do not change the result, which they do on a CPU: sums are taken in another order.
    """

    recipe: Recipe
    protocol: str
    data: list[str]
    compression: list[str]
    train_on: str
    accelerator: Device
    devices: int
    skip_unreadable: bool
    threads: int | None

    order: ClassVar[int] = 1

    def __str__(self) -> str:
        return f"accuracy of {self.network}, {self.train_on}, seed {self.recipe.seed}"

    @property
    def device(self) -> Device:
        return self.accelerator

    def facts(self) -> Facts:
        return {
            **self.network_facts(), **plain(self.recipe), "protocol": self.protocol, "data": self.data,
            "compression": self.compression, "train_on": self.train_on, "device": self.device.value,
            "devices": self.devices, "hosts": self.needs.hosts, "skip_unreadable": self.skip_unreadable,
            "threads": self.threads,
        }  # fmt: skip

    def smaller_batch(self, batch_size: int | None) -> int | None:
        size = batch_size or self.recipe.batch_size
        return size // 2 if size > 1 else None

    def run(self, key: str, workplace: Workplace) -> Done:
        size = workplace.batch_size or self.recipe.batch_size
        while True:
            as_asked = size == self.recipe.batch_size
            name = f"runs/{key}" if as_asked else f"runs/{key}-batch{size}"
            try:
                with workplace.folder(name) as folder:
                    result = self.trained(folder, size, workplace)
                note = "" if as_asked else f"batch {size} instead of {self.recipe.batch_size}: out of memory"
                return Done(result=result, run=name, note=note)
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
        from sfic_bench.train import accuracy
        from sfic_bench.train.runs import Run

        run = Run(folder)
        if self.devices * self.needs.hosts == 1:
            self.train_here(run, batch_size, workplace.report_rate)
        elif self.needs.hosts == 1:
            first = Host(rank=0, address=free_address("127.0.0.1"))
            self.train_on_host(folder, batch_size, first, workplace)
        else:
            self._train_with_peers(folder, batch_size, workplace)
        runs = [
            accuracy.ExperimentRuns(
                variant=self.network,
                train_on=e.train_on,
                test_on=e.test_on,
                runs=[accuracy.predictions(run, e)],
            )
            for e in self.experiments()
        ]
        return accuracy.result(runs, self.protocol, self.recipe_with(batch_size), [self.recipe.seed])

    def _train_with_peers(self, folder: Path, batch_size: int, workplace: Workplace) -> None:
        assert workplace.start_peers is not None, "no node is chosen for it by an engine that has one"
        peers = workplace.start_peers(folder, batch_size)
        first = Host(rank=0, address=peers.address)
        try:
            try:
                self.train_on_host(folder, batch_size, first, workplace, peers.check)
            except ProcessesEnded:
                peers.check(JOINED_WITHIN_S)  # that one of them failed tells more than that the connection did
                raise
            peers.check(JOINED_WITHIN_S)
        finally:
            peers.stop()

    def train_on_host(
        self,
        folder: Path,
        batch_size: int,
        host: Host,
        workplace: Workplace,
        check: Callable[[], None] | None = None,
    ) -> None:
        """This host's part of a training by several processes; ``check`` is called now and then, and raises to stop."""
        torchrun(
            CHILD, json.encode(self), [str(folder), str(batch_size)], host=host, hosts=self.needs.hosts, devices=self.devices,
            threads=workplace.threads, report_rate=workplace.report_rate, check=check or (lambda: None),
        )  # fmt: skip

    def recipe_with(self, batch_size: int) -> Recipe:
        """The recipe with the batch that the memory is large enough for."""
        return replace(self.recipe, batch_size=batch_size)

    def experiments(self) -> "list[Experiment]":
        """Everything that is tested by the job's training."""
        from sfic_bench.train.protocols import experiments

        read = manifests(self.data, self.files, self.compression)
        return [e for e in experiments(self.protocol, read) if e.train_on == self.train_on]

    def train_here(self, run: "Run", batch_size: int, report_rate: ReportRate) -> None:
        """This process's part of the training."""
        from sfic_bench.train import accuracy
        from sfic_bench.train.recipe import TrainingDevices

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
        for experiment in self.experiments():
            recipe = self.recipe_with(batch_size)
            accuracy.train_and_test(self.network, experiment, recipe, devices, run, report)
