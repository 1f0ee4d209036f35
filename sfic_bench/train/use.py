"""What a finished run is for: scores of other images, and where the network looks."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from sfic_bench.backbones.detectors.detection import two_logits
from sfic_bench.data.images import UnreadableImage, load_image
from sfic_bench.data.loader import Batch, Images, Order, batches, resized
from sfic_bench.spec import Variant
from sfic_bench.train.augment import Augment
from sfic_bench.train.loop import new_network
from sfic_bench.train.predict import predict
from sfic_bench.train.recipe import PRECISIONS, Recipe
from sfic_bench.train.runs import Run, UnusableRun
from sfic_bench.train.splits import left_out


class Trained:
    """A finished run's network, ready to be asked.

    Raises:
        UnusableRun: if the run is not finished or broken.
    """

    def __init__(self, run: Run, accelerator: str = "cpu") -> None:
        config = run.config()
        try:
            self.variant, self.recipe = Variant(**config["variant"]), Recipe(**config["recipe"])
        except (KeyError, TypeError) as error:
            raise UnusableRun(f"{run.folder / 'config.json'} is not of this version: {error}") from None
        self.run = run
        model = new_network(self.variant, self.recipe)
        run.load_model(model)
        self.fabric = Fabric(accelerator=accelerator, devices=1, precision=PRECISIONS[self.recipe.precision])  # type: ignore[arg-type]
        self.model: nn.Module = self.fabric.setup(model)
        self.augment = Augment(self.recipe).to(self.fabric.device).eval()

    def predictions(
        self, frame: pd.DataFrame, folder: Path, *, workers: int = 0, skip_unreadable: bool = False
    ) -> tuple[pd.DataFrame, list[str]]:
        """``frame`` with a column ``score``, and the paths that could not be read.

        Raises:
            UnreadableData: for an image that cannot be read, unless they are to be skipped.
        """
        unread: list[str] = []

        def note(batch: Batch, rows: pd.DataFrame) -> None:
            unread.extend(left_out(batch, rows, skip=skip_unreadable))

        images = Images(frame, folder, self.recipe.input_size)
        loader = batches(images, Order(len(frame)), self.recipe.batch_size, workers)
        return predict(self.fabric, self.model, self.augment, frame, loader, note), unread

    def scores(self, paths: Sequence[Path]) -> Iterator[tuple[Path, float | None, str]]:
        """For each image its probability of fake, or ``None`` and why it could not be read."""
        for path in paths:
            try:
                yield path, float(self._logits(self._image(path)).softmax(dim=1)[0, 1]), ""
            except UnreadableImage as error:
                yield path, None, str(error)

    def attention(self, images: Sequence[Tensor]) -> Tensor:
        """The average forgery attention map of ``images``, bytes 3×S×S each: S×S, between 0 and 1.

        Source: Guo et al. 2024, Section IV-F, Fig. 5, after Wang & Deng, "Representative forgery mining for fake face detection",
        CVPR 2021: the gradient of the difference between the fake and the real logit with respect to the
        input, its size's maximum over channels, averaged over images. Here scaled to its own maximum.
        """
        self.model.eval()
        total = torch.zeros(self.recipe.input_size, self.recipe.input_size)
        for image in images:
            values = self.augment(image[None].to(self.fabric.device)).requires_grad_()
            logits = two_logits(self.model(values))
            (gradient,) = torch.autograd.grad((logits[:, 1] - logits[:, 0]).sum(), values)
            total += gradient[0].abs().amax(dim=0).float().cpu()
        return total / total.max().clamp_min(1e-30)

    def _image(self, path: Path) -> Tensor:
        return torch.from_numpy(resized(load_image(path), self.recipe.input_size)).permute(2, 0, 1)

    @torch.no_grad()
    def _logits(self, image: Tensor) -> Tensor:
        self.model.eval()
        logits = two_logits(self.model(self.augment(image[None].to(self.fabric.device))))
        return logits.double().cpu()
