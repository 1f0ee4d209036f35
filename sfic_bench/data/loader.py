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
from sfic_bench.data.manifest import BadManifest
from sfic_bench.data.orl import PREFIX, load_orl


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An image that could not be read, and why. A value, since errors of worker processes lose their form."""

    index: int
    reason: str


@dataclass(frozen=True, slots=True)
class Item:
    """A row's number, its image, bytes 3×S×S, its label, and where it was manipulated, S×S, 1 or 0, if that was asked for."""

    index: int
    image: Tensor
    label: int
    mask: Tensor | None


Key = tuple[int, int]
"""Which row, and which take of it: forgeries that are made on the fly are others in each, files are not."""


class Images(Dataset[Item | Unreadable]):
    """Rows of a manifest as `Item`, or `Unreadable`. Read or made each time.

    Raises:
        BadManifest: if masks are asked for and a fake has none.
    """

    def __init__(self, frame: pd.DataFrame, folder: Path, size: int, *, masks: bool = False) -> None:
        self.paths: list[str] = frame["path"].tolist()
        self.labels: list[int] = frame["label"].astype(int).tolist()
        self.folder, self.size = folder, size
        self.masks: list[str] | None = None
        if masks:
            self.masks = frame["mask"].tolist() if "mask" in frame else [""] * len(frame)
            for path, label, mask in zip(self.paths, self.labels, self.masks, strict=True):
                if label and not mask and not path.startswith(PREFIX):
                    raise BadManifest(
                        f"the fake {path} has no mask, and this network learns from masks: give the manifest a column "
                        "'mask', or train on orl"
                    )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, key: Key) -> Item | Unreadable:
        index, take = key
        try:
            image, mask = self._load(index, take)
        except UnreadableImage as error:
            return Unreadable(index, str(error))
        tensor = torch.from_numpy(resized(image, self.size)).permute(2, 0, 1).contiguous()
        return Item(index, tensor, self.labels[index], None if mask is None else self._resized(mask))

    def _load(self, index: int, take: int) -> tuple[Pixels, Pixels | None]:
        path = self.paths[index]
        if path.startswith(PREFIX):
            image, made = load_orl(path, take)
            return image, None if self.masks is None else made
        image = load_image(self.folder / path)
        if self.masks is None:
            return image, None
        if not self.masks[index]:
            return image, np.zeros(image.shape[:2], np.uint8)
        return image, (load_image(self.folder / self.masks[index])[:, :, 0] > 127).astype(np.uint8)

    def _resized(self, mask: Pixels) -> Tensor:
        size = (self.size, self.size)
        return torch.from_numpy(np.array(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST)))


def resized(image: Pixels, size: int) -> Pixels:
    """``image`` as ``size`` × ``size``, whatever its aspect."""
    if image.shape[:2] == (size, size):
        return np.ascontiguousarray(image)
    return np.array(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))


@dataclass(frozen=True, slots=True)
class Batch:
    """``indices`` are rows of the frame; ``images`` bytes N×3×S×S; ``labels`` N; ``masks`` N×S×S if asked for.

    ``unreadable`` ones are in none of these.
    """

    indices: Tensor
    images: Tensor
    labels: Tensor
    masks: Tensor | None
    unreadable: tuple[Unreadable, ...]

    def __len__(self) -> int:
        return len(self.indices)


def _collate(items: Sequence[Item | Unreadable]) -> Batch:
    good = [item for item in items if isinstance(item, Item)]
    masks = [item.mask for item in good if item.mask is not None]
    return Batch(
        torch.tensor([item.index for item in good], dtype=torch.long),
        torch.stack([item.image for item in good]) if good else torch.empty(0, 3, 1, 1, dtype=torch.uint8),
        torch.tensor([item.label for item in good], dtype=torch.long),
        torch.stack(masks) if masks else None,
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
