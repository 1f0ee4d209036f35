"""Measures how fast networks train: ``python benchmarks/training_speed.py [cpu|cuda] [FILE.json]``.

For a network, vanilla and SFIC, all of these take turns on the same images: a bare loop of forward pass, backward pass
and Adam on batches that are normalised already; the step of ``sfic-bench train`` without distortions and by the recipes
``paper`` and ``modern``; decoding JPEG files in this process alone; and step and loader together, whose processes
decode meanwhile.
"""

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from msgspec import to_builtins
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

from sfic_bench.data.loader import Batch, Images, Order, batches
from sfic_bench.measure.clock import CpuClock
from sfic_bench.measure.conditions import Device
from sfic_bench.measure.sampler import Contender, Stop, sample
from sfic_bench.networks.variant import Variant
from sfic_bench.results.environment import environment
from sfic_bench.statistics.interval import Interval
from sfic_bench.statistics.intervals import median_of, paired_ratio
from sfic_bench.training.learner import Learner, new_fabric, new_network
from sfic_bench.training.presets import recipe_of
from sfic_bench.training.recipe import Recipe, TrainingDevices

PLAIN = {"flip": 0.0, "rotation": 0.0}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is measured: a network, a device, the size of a batch and of its images, and the processes that decode."""

    backbone: str = "resnet26"
    device: Device
    batch_size: int
    input_size: int
    workers: int
    seconds: float


SETTINGS = {
    "cpu": Setting(device=Device.CPU, batch_size=16, input_size=128, workers=1, seconds=60),
    "cuda": Setting(device=Device.CUDA, batch_size=64, input_size=256, workers=8, seconds=30),
    "dry": Setting(backbone="mobilenet", device=Device.CPU, batch_size=4, input_size=32, workers=0, seconds=0.1),
}


@dataclass(frozen=True, kw_only=True)
class Rate:
    """Images a second of one contender, and its time over that of the bare loop of the same network."""

    network: str
    contender: str
    images_per_s: Interval
    over_bare: Interval


def write_images(folder: Path, count: int, size: int) -> pd.DataFrame:
    """Write smooth random JPEG files a fifth larger than the input, and return the rows of a manifest."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8))
        coarse.resize((size * 6 // 5,) * 2, Image.Resampling.BICUBIC).save(folder / f"{number}.jpg", quality=90)
        rows.append({"path": f"{number}.jpg", "label": number % 2})
    return pd.DataFrame(rows)


def bare_loop(variant: Variant, setting: Setting, batch: Batch) -> Callable[[], Tensor]:
    """A step as everybody writes it, on images that are normalised already."""
    recipe = Recipe(input_size=setting.input_size)
    network = new_network(variant, recipe).to(setting.device.value).train()
    optimiser = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate)
    images = (batch.images.to(setting.device.value).float() / 255 - 0.45) / 0.22
    labels = batch.labels.to(setting.device.value)

    def step() -> Tensor:
        optimiser.zero_grad()
        loss = F.cross_entropy(network(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's is untyped
        optimiser.step()
        return loss

    return step


def contenders(variant: Variant, setting: Setting, images: Images) -> dict[str, Callable[[], object]]:
    """What takes turns for one network; each call handles one batch."""

    def loader(workers: int) -> Iterator[Batch]:
        order = Order(len(images), seed=1)
        loaded = batches(images, order, setting.batch_size, workers)
        while True:
            yield from loaded

    def learner(changes: Mapping[str, object], name: str = "paper") -> Learner:
        recipe = recipe_of(name, {"input_size": setting.input_size, "batch_size": setting.batch_size, **changes})
        made = Learner(new_fabric(recipe, TrainingDevices(device=setting.device)), variant, recipe)
        made.start_epoch(1)
        return made

    alone, joined = loader(0), loader(setting.workers)
    batch = next(alone)
    plain, paper, modern = learner(PLAIN), learner({}), learner({}, "modern")
    return {
        "bare loop": bare_loop(variant, setting, batch),
        "step, no distortion": lambda: plain.step(batch, 0.5),
        "step, paper": lambda: paper.step(batch, 0.5),
        "step, modern": lambda: modern.step(batch, 0.5),
        "decoding, one process": lambda: next(alone),
        "loader and step, paper": lambda: paper.step(next(joined), 0.5),
    }


def until_done(run: Callable[[], object], setting: Setting) -> Callable[[], object]:
    """``run``, which returns when the device has done its work."""

    def waiting() -> None:
        run()
        if setting.device is Device.CUDA:
            torch.cuda.synchronize()

    return waiting


def measured(variant: Variant, setting: Setting, images: Images) -> list[Rate]:
    """The rates of one network."""
    runs = {n: Contender(run=until_done(run, setting)) for n, run in contenders(variant, setting, images).items()}
    sampled = sample(runs, CpuClock(), Stop(max_seconds=setting.seconds, max_rounds=60), lambda _: 1.0)
    if sampled.dropped:
        raise RuntimeError(f"{variant}: {sampled.dropped}")
    bare = sampled.samples["bare loop"]
    return [
        Rate(
            network=str(variant), contender=name, over_bare=paired_ratio(times, bare),
            images_per_s=median_of([1e3 * setting.batch_size / time for time in times]),
        )
        for name, times in sampled.samples.items()
    ]  # fmt: skip


def main() -> None:
    """Measure, print a table, and write JSON if a file is named."""
    name, *files = sys.argv[1:] or ["cpu"]
    setting = SETTINGS[name]
    rates: list[Rate] = []
    with tempfile.TemporaryDirectory() as folder:
        frame = write_images(Path(folder), 8 * setting.batch_size, setting.input_size)
        images = Images(frame, Path(folder), setting.input_size)
        for alpha, beta in ((None, None), (0.5, 0.5), (0.5, 1.0)):
            rates += measured(Variant(backbone=setting.backbone, alpha=alpha, beta=beta), setting, images)
    table = Table(title=f"Images a second, batches of {setting.batch_size}, {setting.input_size} pixels")
    for column in ("network", "contender", "images/s", "95% interval", "time over bare loop", "95% interval"):
        table.add_column(column)
    for rate in rates:
        table.add_row(
            rate.network, rate.contender,
            f"{rate.images_per_s.estimate:.1f}", f"{rate.images_per_s.low:.1f}–{rate.images_per_s.high:.1f}",
            f"{rate.over_bare.estimate:.3f}", f"{rate.over_bare.low:.3f}–{rate.over_bare.high:.3f}",
        )  # fmt: skip
    Console().print(table)
    if files:
        result = {"setting": setting, "rates": rates, "environment": environment()}
        Path(files[0]).write_text(json.dumps(to_builtins(result), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
