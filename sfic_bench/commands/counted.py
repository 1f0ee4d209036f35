"""Counting the backbones of a grid one after another, or side by side in several processes."""

import dataclasses
import logging
import multiprocessing
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from sfic_bench.commands.watcher import Watcher
from sfic_bench.errors import SficBenchError, UnsupportedModel
from sfic_bench.networks.grid import Grid
from sfic_bench.processes import start_worker
from sfic_bench.results.cost import CostRow
from sfic_bench.results.environment import environment

if TYPE_CHECKING:
    from sfic_bench.api import Costed, KeptLayers

LOG = logging.getLogger(__name__)


class FailedProcess(SficBenchError):
    """A process that counted networks has ended before it had counted them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Counting:
    """What is to be counted, as `sfic_bench.flops` documents it."""

    grid: Grid
    input_size: int
    classes: int
    per_layer: bool = False

    def one_by_one(self, watch: Watcher) -> Iterator["Costed"]:
        """What each network costs, counted in this process; raises the errors of `sfic_bench.flops`."""
        from sfic_bench.api import KeptLayers  # imports torch

        kept = KeptLayers()
        with watch.progress("counting", len(self.grid)) as advance:
            for name in self.grid.backbones:
                for costed in self._of(name, kept):
                    if isinstance(costed, SficBenchError):
                        self._leave_out(name, costed)
                    else:
                        advance(str(costed.variant))
                        yield costed

    def rows(self, watch: Watcher, workers: int) -> Iterator[CostRow]:
        """The row of each network, counted by up to ``workers`` processes.

        They are forked, so that they need not import torch again. Where the system cannot fork, this process counts.
        """
        batches = _batches(self.grid.backbones)
        workers = min(workers, len(batches))
        if workers < 2 or "fork" not in multiprocessing.get_all_start_methods():
            yield from map(self.row, self.one_by_one(watch))
            return
        counted: dict[str, list[CostRow | SficBenchError]] = {}
        with (
            ProcessPoolExecutor(workers, multiprocessing.get_context("fork"), start_worker) as pool,
            watch.progress("counting", len(self.grid)) as advance,
        ):
            try:
                futures = [pool.submit(self._rows_of, names) for names in batches]
                environment()  # the result's, which is remembered; this process would only wait
                for future in as_completed(futures):
                    for name, rows in future.result().items():
                        counted[name] = rows
                        advance(name, sum(isinstance(row, CostRow) for row in rows))
            except BrokenProcessPool:
                raise FailedProcess(
                    "a process that counted was killed, perhaps because memory ran out; `--workers 1` counts in one"
                ) from None
            finally:
                pool.shutdown(cancel_futures=True)
        for name in self.grid.backbones:
            for row in counted[name]:
                if isinstance(row, SficBenchError):
                    self._leave_out(name, row)
                else:
                    yield row

    def row(self, costed: "Costed") -> CostRow:
        """The row of a network."""
        return costed.row(classes=self.classes, per_layer=self.per_layer)

    def _rows_of(self, names: Sequence[str]) -> dict[str, list[CostRow | SficBenchError]]:
        kept = _kept_by_worker()
        return {
            name: [c if isinstance(c, SficBenchError) else self.row(c) for c in self._of(name, kept)] for name in names
        }

    def _of(self, name: str, kept: "KeptLayers") -> Iterator["Costed | SficBenchError"]:
        """What the backbone and its SFIC forms cost, up to the error that ends it if there is one."""
        from sfic_bench import api
        from sfic_bench.counting import InputTooSmall

        grid = dataclasses.replace(self.grid, backbones=(name,))
        try:
            yield from api.costs(grid, input_size=self.input_size, classes=self.classes, fused=True, kept=kept)
        except (UnsupportedModel, InputTooSmall) as error:
            yield error

    def _leave_out(self, name: str, error: SficBenchError) -> None:
        if len(self.grid.backbones) == 1:
            raise error
        LOG.warning("%s: %s", name, error)


@cache
def _kept_by_worker() -> "KeptLayers":
    """What a worker has found out about layers, for all that it counts."""
    from sfic_bench.api import KeptLayers

    return KeptLayers()


MOST_AT_ONCE = 4
"""The most backbones that a process counts before it says so."""


def _batches(names: Sequence[str]) -> list[list[str]]:
    """``names`` in batches of one family, whose networks have layers in common; the longest batches come first."""
    families: dict[str, list[str]] = {}
    for name in names:
        families.setdefault(re.split(r"\d", name)[0], []).append(name)
    batches = [
        family[i : i + MOST_AT_ONCE] for family in families.values() for i in range(0, len(family), MOST_AT_ONCE)
    ]
    return sorted(batches, key=len, reverse=True)
