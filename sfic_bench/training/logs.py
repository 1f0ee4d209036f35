"""What a training tells its loggers: what determines it once, scores after each epoch, and the scores on test images.

A logger is a `lightning_fabric.loggers.logger.Logger`, so that those of Fabric and Lightning do. One that fails is left
out from then on, with a warning: no training ends for want of a log.
"""

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lightning_fabric.loggers.logger import Logger
from msgspec import json

from sfic_bench.errors import first_line
from sfic_bench.files import write_bytes_atomically
from sfic_bench.results.scores import EpochRow, Metrics, Trained

IDS = "loggers.json"
"""The file in a run's folder that has, by service, the name by which the service knows the run."""

_LOG = logging.getLogger("sfic_bench")


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedRun:
    """What a logger is made for: a training in this process, which may go on with one of an earlier process.

    Attributes:
        folder: the run's folder, which exists.
        name: network, data and seed, for people.
        epochs: number of epochs that were finished before; their scores are not told again.
    """

    folder: Path
    name: str
    epochs: int = 0

    def id_of(self, service: str) -> str | None:
        """The name by which a service knows this run from an earlier process; ``None`` if it does not know it."""
        return self._ids().get(service)

    def keep_id(self, service: str, name: str) -> None:
        """Keep the name by which a service knows this run, so that a later process goes on with the same log."""
        write_bytes_atomically(self.folder / IDS, json.encode(self._ids() | {service: name}))

    def _ids(self) -> dict[str, str]:
        path = self.folder / IDS
        return json.decode(path.read_bytes(), type=dict[str, str]) if path.exists() else {}


LoggerMaker = Callable[[LoggedRun], Logger]
"""A function that makes the logger of a run; only the first process of a training calls it."""


class Logs:
    """The loggers of a training in this process, by their names."""

    def __init__(self, makers: Mapping[str, LoggerMaker], run: LoggedRun) -> None:
        self._loggers: dict[str, Logger] = {}
        for name, maker in makers.items():
            with self._left_out_if_it_fails(name):
                self._loggers[name] = maker(run)

    def begin(self, facts: Mapping[str, object]) -> None:
        """Tell what determines the training, by flat keys such as ``recipe.epochs``."""
        self._tell(lambda logger: logger.log_hyperparams(dict(facts)))

    def epoch(self, row: EpochRow, learning_rate: float) -> None:
        """Tell the loss, the rates and the validation scores of an epoch."""
        scores = {f"val/{name}": value for name, value in row.val.items()}
        rates = {"images_per_s": row.images_per_s, "loader_images_per_s": row.loader_images_per_s}
        self._log({"loss": row.loss, "learning_rate": learning_rate, **rates, **scores}, row.epoch)

    def finished(self, result: Trained) -> None:
        """Tell the scores on the test images, per image and per video, with the ends of their intervals."""
        frame, video = (_estimates(result.scores.get(level, {})) for level in ("frame", "video"))
        values = {f"test/{name}": value for name, value in frame.items()}
        self._log(values | {f"test/video_{name}": value for name, value in video.items()}, result.epochs)

    def end(self, status: str) -> None:
        """Close the logs: the training ended with ``success``, has ``failed`` or was ``aborted`` by the user."""
        self._tell(lambda logger: logger.finalize(status))

    def _log(self, values: Mapping[str, float | None], step: int) -> None:
        told = {name: value for name, value in values.items() if value is not None and math.isfinite(value)}

        def log(logger: Logger) -> None:
            logger.log_metrics(told, step)
            logger.save()

        self._tell(log)

    def _tell(self, act: Callable[[Logger], object]) -> None:
        for name, logger in list(self._loggers.items()):
            with self._left_out_if_it_fails(name):
                act(logger)

    @contextmanager
    def _left_out_if_it_fails(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # clients of services raise almost anything
            self._loggers.pop(name, None)
            reason = f"{type(error).__name__}: {first_line(error)}"
            _LOG.warning("the logger %s failed and is left out from now on: %s", name, reason)


@contextmanager
def logs_of(makers: Mapping[str, LoggerMaker], run: LoggedRun, facts: Mapping[str, object]) -> Iterator[Logs]:
    """The loggers of a run, which are told ``facts``, and at the end of the block how it ended."""
    logs = Logs(makers, run)
    logs.begin(facts)
    status = "failed"
    try:
        yield logs
        status = "success"
    except KeyboardInterrupt:
        status = "aborted"
        raise
    finally:
        logs.end(status)


def _estimates(metrics: Metrics) -> dict[str, float | None]:
    values: dict[str, float | None] = {}
    for name, interval in metrics.items():
        if interval is not None:
            values |= {name: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}
    return values
