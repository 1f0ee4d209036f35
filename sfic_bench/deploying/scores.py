"""What runtimes and int8 cost and gain: the accuracy and the time of trained networks on each of them."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from msgspec.structs import replace
from torch import Tensor

from sfic_bench.deploying.calibration import inputs_of
from sfic_bench.deploying.formats import Session
from sfic_bench.deploying.quantise import OnnxFiles
from sfic_bench.deploying.runtimes import TORCH, Runtime
from sfic_bench.measure.clock import CpuClock
from sfic_bench.measure.sampler import Contender, Samples, Stop, sample
from sfic_bench.results.deployment import DeploymentRow
from sfic_bench.statistics.intervals import median_of, paired_ratio, relative_width
from sfic_bench.training.inference import TrainedNetwork
from sfic_bench.training.recipe import Recipe
from sfic_bench.training.robustness import Seeds
from sfic_bench.training.runs import Run
from sfic_bench.training.scores import over_seeds
from sfic_bench.training.scoring import ImagesToScore


@dataclass(frozen=True, kw_only=True, eq=False)
class Deployed:
    """A trained network on a runtime.

    Attributes:
        session: takes batches of any size.
        file_bytes: of what the runtime reads.
    """

    network: TrainedNetwork
    runtime: Runtime
    files: OnnxFiles
    session: Session
    file_bytes: int

    @property
    def run(self) -> Run:
        return self.network.run

    @property
    def recipe(self) -> Recipe:
        return self.network.recipe

    def input_of(self, images: Tensor) -> Tensor:
        """The network's input for bytes ``[N, 3, S, S]``."""
        with torch.no_grad():
            normalised: Tensor = self.network.augment(images)
        return normalised.contiguous()

    def probabilities(self, images: Tensor) -> Tensor:
        """The probability of fake of each of N images, bytes ``[N, 3, S, S]``, in float64."""
        return self.session(self.input_of(images)).double().softmax(dim=1)[:, 1]


@dataclass(frozen=True, kw_only=True)
class Deployment(ImagesToScore):
    """Trained networks, runtimes, and the images for scales and scores; see `ImagesToScore`.

    Attributes:
        groups: the runs of each network, see `sfic_bench.training.robustness.by_variant`.
        runtimes: the runtimes, torch among them.
        calibration: rows on which the scales of int8 are found; no row of ``frame``.
    """

    groups: Sequence[Seeds]
    runtimes: Sequence[Runtime]
    calibration: pd.DataFrame

    def rows(self, batch_size: int, stop: Stop) -> list[DeploymentRow]:
        """A row for each network and runtime.

        Args:
            batch_size: number of images of a call that is timed.
            stop: when to stop timing.

        Raises:
            MissingDependency: if a package that a runtime needs is not installed.
            ExportFailed: if a network cannot be written or quantised for a runtime.
            UnusableData: for an image that cannot be read unless such images are skipped, and if none can.
            UnusableRun: if a network gives scores that are no numbers.
        """
        with ExitStack() as folders:
            deployed = {
                (runtime.name, network): one
                for seeds in self.groups
                for network in seeds
                for runtime, one in zip(self.runtimes, self._deployed(network, folders), strict=True)
            }
            scored = self.scored(list(deployed.values()))
            firsts = {
                (runtime.name, i): deployed[runtime.name, seeds[0]]
                for i, seeds in enumerate(self.groups)
                for runtime in self.runtimes
            }
            samples = _timed(firsts, batch_size, stop)
            rows = []
            for (name, i), first in firsts.items():
                seeds = self.groups[i]
                runs = [scored[deployed[name, network]] for network in seeds]
                by_torch = [scored[deployed[TORCH, network]] for network in seeds]
                rows.append(
                    DeploymentRow(
                        backbone=first.network.variant.backbone, alpha=first.network.variant.alpha,
                        beta=first.network.variant.beta, runtime=name, details=first.session.runtime,
                        input_size=first.recipe.input_size, file_bytes=first.file_bytes,
                        images=len(runs[0]), seeds=len(seeds),
                        frame_auc=over_seeds(runs)["auc"], video_auc=over_seeds(runs, level="video")["auc"],
                        auc_over_torch=None if name == TORCH else over_seeds(runs, by_torch)["auc"],
                    )
                )  # fmt: skip
            return _with_times(rows, [samples.get(key, ()) for key in firsts])

    def _deployed(self, network: TrainedNetwork, folders: ExitStack) -> Iterator[Deployed]:
        """``network`` on each runtime; it is fused, exported and quantised once for all."""
        size = network.recipe.input_size
        files = OnnxFiles(
            network.fused(),
            torch.zeros(2, 3, size, size),
            Path(folders.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))),
            partial(inputs_of, network, self.calibration, self.folder, self.unreadable, self.workers),
        )
        for runtime in self.runtimes:
            session, file_bytes = runtime.session(files)
            yield Deployed(network=network, runtime=runtime, files=files, session=session, file_bytes=file_bytes)


Timed = tuple[str, int]
"""A runtime's name, and the number of a network."""


def _timed(deployed: Mapping[Timed, Deployed], batch_size: int, stop: Stop) -> Mapping[Timed, Sequence[float]]:
    """Milliseconds of each call with a batch of random images, in rounds that alternate in order."""
    names = {f"{name} {i}": (name, i) for name, i in deployed}
    contenders = {}
    for label, key in names.items():
        one = deployed[key]
        size = one.recipe.input_size
        generator = torch.Generator().manual_seed(0)
        x = one.input_of(torch.randint(256, (batch_size, 3, size, size), generator=generator, dtype=torch.uint8))
        session, _ = one.runtime.session(one.files, batch_size)  # planned for the batch that is timed
        contenders[label] = Contender(run=partial(session, x))

    def widest(samples: Samples) -> float:
        return max(relative_width(np.asarray(times)) for times in samples.values())

    sampled = sample(contenders, CpuClock(), stop, widest)
    return {names[label]: times for label, times in sampled.samples.items() if times}


def _with_times(rows: Sequence[DeploymentRow], samples: Sequence[Sequence[float]]) -> list[DeploymentRow]:
    """``rows`` with their times, and with the ratios to torch and to vanilla."""
    times = {row.key: list(own) for row, own in zip(rows, samples, strict=True)}
    vanilla = {(row.backbone, row.runtime): times[row.key] for row in rows if row.is_vanilla}
    timed = []
    for row in rows:
        own = times[row.key]
        by_torch = [] if row.runtime == TORCH else times[row.backbone, row.alpha, row.beta, TORCH]
        by_vanilla = [] if row.is_vanilla else vanilla.get((row.backbone, row.runtime), [])
        timed.append(
            replace(
                row, samples_ms=own, latency_ms=median_of(own) if own else None,
                ratio_to_torch=paired_ratio(own, by_torch) if own and by_torch else None,
                ratio_to_vanilla=paired_ratio(own, by_vanilla) if own and by_vanilla else None,
            )
        )  # fmt: skip
    return timed
