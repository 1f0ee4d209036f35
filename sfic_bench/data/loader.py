"""Images of a manifest in batches, always in an order that a seed and an epoch determine."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from sfic_bench.data.blend import Pixels
from sfic_bench.data.images import UnreadableImage, load_image
from sfic_bench.data.orl import PREFIX, load_orl


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An image that could not be read, and why. A value, since errors of worker processes lose their form."""

    index: int
    reason: str


Item = tuple[int, Tensor, int] | Unreadable

Key = tuple[int, int]
"""Which row, and which take of it: forgeries that are made on the fly are others in each, files are not."""


class Images(Dataset[Item]):
    """Rows of a manifest as (index, bytes 3×size×size, label), or `Unreadable`. Read or made each time."""

    def __init__(self, frame: pd.DataFrame, folder: Path, size: int) -> None:
        self.paths: list[str] = frame["path"].tolist()
        self.labels: list[int] = frame["label"].astype(int).tolist()
        self.folder, self.size = folder, size

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, key: Key) -> Item:
        index, take = key
        try:
            image = self._load(self.paths[index], take)
        except UnreadableImage as error:
            return Unreadable(index, str(error))
        tensor = torch.from_numpy(resized(image, self.size)).permute(2, 0, 1).contiguous()
        return index, tensor, self.labels[index]

    def _load(self, path: str, take: int) -> Pixels:
        return load_orl(path, take) if path.startswith(PREFIX) else load_image(self.folder / path)


def resized(image: Pixels, size: int) -> Pixels:
    """``image`` as ``size`` × ``size``, whatever its aspect."""
    if image.shape[:2] == (size, size):
        return np.ascontiguousarray(image)
    return np.array(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))


@dataclass(frozen=True, slots=True)
class Batch:
    """``indices`` are rows of the frame; ``images`` bytes N×3×S×S; ``labels`` N. ``unreadable`` ones are in neither."""

    indices: Tensor
    images: Tensor
    labels: Tensor
    unreadable: tuple[Unreadable, ...]

    def __len__(self) -> int:
        return len(self.indices)


def _collate(items: Sequence[Item]) -> Batch:
    good = [item for item in items if not isinstance(item, Unreadable)]
    images = torch.stack([item[1] for item in good]) if good else torch.empty(0, 3, 1, 1, dtype=torch.uint8)
    return Batch(
        torch.tensor([item[0] for item in good], dtype=torch.long),
        images,
        torch.tensor([item[2] for item in good], dtype=torch.long),
        tuple(item for item in items if isinstance(item, Unreadable)),
    )


class Order(Sampler[Key]):
    """One process's share of an epoch: every ``of``-th image from the ``rank``-th on, and the epoch as their take.

    Without a seed nothing is shuffled, left out or repeated, so that scores are of each image once. With one, all shares
    are equally long, since processes that train together take their steps together: up to ``of`` − 1 images, others in
    each epoch, are left out.
    """

    def __init__(self, length: int, *, rank: int = 0, of: int = 1, seed: int | None = None) -> None:
        self.length, self.rank, self.of, self.seed, self.epoch = length, rank, of, seed, 0

    def __iter__(self) -> Iterator[Key]:
        order = np.arange(self.length)
        if self.seed is not None:
            np.random.default_rng([self.seed, self.epoch]).shuffle(order)
        yield from ((index, self.epoch) for index in order[self.rank :: self.of][: len(self)].tolist())

    def __len__(self) -> int:
        if self.seed is not None:
            return self.length // self.of
        return len(range(self.rank, self.length, self.of))


def batches(images: Images, order: Order, batch_size: int, workers: int) -> DataLoader[Batch]:
    """A loader of `Batch`. Decoding draws nothing at random, so that workers do not change results."""
    return DataLoader(
        images,  # type: ignore[arg-type]
        batch_size=batch_size,
        sampler=order,
        num_workers=workers,
        collate_fn=_collate,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )
