"""Loading the images of a manifest in batches, in an order that seed and epoch determine."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from sfic_bench.data.corruptions import UncorruptibleImage
from sfic_bench.data.images import Pixels, UnreadableImage, load_image
from sfic_bench.data.manifest import ON_THE_FLY, BadManifest
from sfic_bench.data.orl import load_orl


@dataclass(frozen=True, slots=True)
class UnreadableItem:
    """A row whose image could not be read; no exception, since that would lose its type on leaving a worker process."""

    index: int
    reason: str


@dataclass(frozen=True, slots=True)
class Item:
    """The image in one row, numbered ``index``, of a table.

    Attributes:
        image: bytes 3×S×S.
        label: 1 for fake.
        mask: S×S, 1 where the image was manipulated, else 0; ``None`` if masks are not loaded.
    """

    index: int
    image: Tensor
    label: int
    mask: Tensor | None


ItemKey = tuple[int, int]
"""The number of a row, and its take. A forgery that is made on the fly differs from take to take, a file does not."""


class Images(Dataset[Item | UnreadableItem]):
    """Rows of a manifest, each as an `Item` or an `UnreadableItem`. Nothing is cached.

    Args:
        frame: the rows.
        folder: where relative paths start.
        size: height and width of the images, to which they are resized.
        masks: whether masks are loaded.
        draft: whether a JPEG file may be decoded at a part of its size that is not below ``size``.
        corrupt: changes each image as it is stored, given the image and the number of its row; see
            `sfic_bench.data.corruptions.Corruption.at`.

    Raises:
        BadManifest: if masks are to be loaded and a fake has none.
    """

    def __init__(
        self, frame: pd.DataFrame, folder: Path, size: int, *, masks: bool = False, draft: bool = False,
        corrupt: Callable[[Pixels, int], Pixels] | None = None,
    ) -> None:  # fmt: skip
        self.paths: list[str] = frame["path"].tolist()
        self.labels: list[int] = frame["label"].astype(int).tolist()
        self.folder, self.size, self.corrupt = folder, size, corrupt
        self.at_least = size if draft else None
        self.masks: list[str] | None = None
        if masks:
            self.masks = frame["mask"].tolist() if "mask" in frame else [""] * len(frame)
            for path, label, mask in zip(self.paths, self.labels, self.masks, strict=True):
                if label and not mask and not path.startswith(ON_THE_FLY):
                    raise BadManifest(
                        f"the fake {path} has no mask, and this network learns from masks: give the manifest a column "
                        "'mask', or train on orl"
                    )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, key: ItemKey) -> Item | UnreadableItem:
        index, take = key
        try:
            image, mask = self._load(index, take)
            if self.corrupt is not None:
                image = self.corrupt(image, index)
        except UnreadableImage as error:
            return UnreadableItem(index, str(error))
        except UncorruptibleImage as error:
            return UnreadableItem(index, f"the image {self.folder / self.paths[index]} {error}")
        tensor = torch.from_numpy(resized(image, self.size)).permute(2, 0, 1).contiguous()
        if mask is None:
            return Item(index, tensor, self.labels[index], None)
        return Item(index, tensor, self.labels[index], torch.from_numpy(resized(mask, self.size, nearest=True)))

    def _load(self, index: int, take: int) -> tuple[Pixels, Pixels | None]:
        path = self.paths[index]
        if path.startswith(ON_THE_FLY):
            image, mask = load_orl(path, take)
            return image, None if self.masks is None else mask
        image = load_image(self.folder / path, self.at_least)
        if self.masks is None:
            return image, None
        if not self.masks[index]:
            return image, np.zeros(image.shape[:2], np.uint8)
        return image, (load_image(self.folder / self.masks[index])[:, :, 0] > 127).astype(np.uint8)


def resized(image: Pixels, size: int, *, nearest: bool = False) -> Pixels:
    """``image``, H×W×3 or H×W, resized bilinearly or by nearest neighbour to ``size`` × ``size``."""
    if image.shape[:2] == (size, size):
        return np.require(image, requirements=("C", "W"))  # torch takes no array that cannot be written
    resampling = Image.Resampling.NEAREST if nearest else Image.Resampling.BILINEAR
    return np.array(Image.fromarray(image).resize((size, size), resampling))


@dataclass(frozen=True, slots=True)
class Batch:
    """N images that could be read, and the rows of the same batch whose images could not.

    Attributes:
        indices, images: numbers of their rows, N, and bytes N×3×S×S.
        labels: N; 1 for fake.
        masks: N×S×S; ``None`` if masks are not loaded.
    """

    indices: Tensor
    images: Tensor
    labels: Tensor
    masks: Tensor | None
    unreadable: tuple[UnreadableItem, ...]

    def __len__(self) -> int:
        return len(self.indices)

    def parts(self, count: int) -> list["Batch"]:
        """The images in ``count`` batches of nearly equal size; the first has the unreadable rows."""
        bounds = torch.arange(len(self)).tensor_split(count)
        return [
            Batch(
                self.indices[part], self.images[part], self.labels[part],
                None if self.masks is None else self.masks[part], self.unreadable if number == 0 else (),
            )
            for number, part in enumerate(slice(int(at[0]), int(at[-1]) + 1) for at in bounds)
        ]  # fmt: skip

    def pin_memory(self) -> "Batch":
        """The batch in memory that a CUDA device copies from while the CPU goes on; torch's loader calls this."""
        masks = None if self.masks is None else self.masks.pin_memory()
        return replace(self, images=self.images.pin_memory(), labels=self.labels.pin_memory(), masks=masks)


def _collate(items: Sequence[Item | UnreadableItem]) -> Batch:
    readable = [item for item in items if isinstance(item, Item)]
    masks = [item.mask for item in readable if item.mask is not None]
    return Batch(
        torch.tensor([item.index for item in readable], dtype=torch.long),
        torch.stack([item.image for item in readable]) if readable else torch.empty(0, 3, 1, 1, dtype=torch.uint8),
        torch.tensor([item.label for item in readable], dtype=torch.long),
        torch.stack(masks) if masks else None,
        tuple(item for item in items if isinstance(item, UnreadableItem)),
    )


class Order(Sampler[ItemKey]):
    """The share of an epoch that one of several processes loads; the epoch is the take of each image.

    The process of ``rank`` has every ``processes``-th image from the ``rank``-th on. Without a seed nothing is
    shuffled, left out or repeated, so that every image is scored once. With a seed all shares are equally long, since
    processes that train together take their steps together; up to ``processes`` − 1 images are left out, different
    ones in each epoch.
    """

    def __init__(self, length: int, *, rank: int = 0, processes: int = 1, seed: int | None = None) -> None:
        self.length, self.rank, self.processes, self.seed, self.epoch = length, rank, processes, seed, 0

    def __iter__(self) -> Iterator[ItemKey]:
        order = np.arange(self.length)
        if self.seed is not None:
            np.random.default_rng([self.seed, self.epoch]).shuffle(order)
        yield from ((index, self.epoch) for index in order[self.rank :: self.processes][: len(self)].tolist())

    def __len__(self) -> int:
        if self.seed is not None:
            return self.length // self.processes
        return len(range(self.rank, self.length, self.processes))


def batches(images: Images, order: Order, batch_size: int, workers: int) -> DataLoader[Batch]:
    """A loader of `Batch`. Nothing is drawn at random while decoding, so that workers do not change results."""
    return DataLoader(
        images,  # type: ignore[arg-type]
        batch_size=batch_size,
        sampler=order,
        num_workers=workers,
        collate_fn=_collate,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )
