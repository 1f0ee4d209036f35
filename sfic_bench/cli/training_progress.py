"""The progress of a training on stderr: a bar on a terminal, and otherwise a line for each epoch."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

from sfic_bench.cli.output import LOG, SAID_EVERY_S
from sfic_bench.units import format_duration

if TYPE_CHECKING:
    from sfic_bench.training.loop import ProgressListener, TrainingProgress


@contextmanager
def training_progress(title: str) -> "Iterator[ProgressListener | None]":
    """A listener that shows epoch, loss, AUC of the last validation, images a second and time left."""
    console = Console(stderr=True)
    if not LOG.isEnabledFor(logging.INFO):
        yield None
        return
    if not console.is_terminal:
        yield EpochLines(title)
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"), BarColumn(), TextColumn("epoch {task.fields[epoch]}"),
        TextColumn("loss {task.fields[loss]:.3f}"), TextColumn("AUC {task.fields[auc]}"),
        TextColumn("{task.fields[rate]:.0f} images/s"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(title, total=None, epoch=0, loss=0.0, auc="–", rate=0.0)

        def move(progress: "TrainingProgress") -> None:
            bar.update(
                task, total=progress.steps * progress.epochs,
                completed=progress.steps * (progress.epoch - 1) + progress.step,
                epoch=f"{progress.epoch}/{progress.epochs}", loss=progress.loss,
                auc="–" if progress.auc is None else f"{progress.auc:.3f}", rate=progress.images_per_s,
            )  # fmt: skip

        yield move


class EpochLines:
    """Writes a line at the end of each epoch, and in a long epoch every `SAID_EVERY_S` seconds."""

    def __init__(self, title: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.title, self.clock, self.started = title, clock, clock()
        self.first_epoch: int | None = None
        self.said = self.started

    def __call__(self, progress: "TrainingProgress") -> None:
        """Write the line if ``progress`` is that of an epoch's end, or if the last line is long ago."""
        if self.first_epoch is None:
            self.first_epoch = progress.epoch
        now = self.clock()
        if not progress.is_epoch_end and now - self.said < SAID_EVERY_S:
            return
        self.said = now
        epochs_done = progress.epoch if progress.is_epoch_end else progress.epoch - 1 + progress.step / progress.steps
        done = epochs_done - (self.first_epoch - 1)
        left = (now - self.started) / done * (progress.epochs - epochs_done)
        step = "" if progress.is_epoch_end else f"step {progress.step} of {progress.steps}, "
        yet = "" if progress.is_epoch_end else " yet"
        auc = f"no validation{yet}" if progress.auc is None else f"validation AUC {progress.auc:.3f}"
        LOG.info(
            f"{self.title}: epoch {progress.epoch} of {progress.epochs}, {step}loss {progress.loss:.3f}, {auc}, "
            f"{progress.images_per_s:.0f} images/s, {format_duration(left)} left"
        )


def report_finished(title: str, number: int, count: int) -> None:
    """Write a line for a finished run, unless stderr is a terminal, where bars show it."""
    if not Console(stderr=True).is_terminal:
        LOG.info("%s: finished, %d of %d", title, number, count)
