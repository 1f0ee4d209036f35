"""A trained detector as the Hugging Face Hub keeps models: weights, configuration and card."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import msgspec
from huggingface_hub import ModelCard, PyTorchModelHubMixin
from msgspec import to_builtins
from torch import Tensor, nn

from sfic_bench import api
from sfic_bench.errors import InvalidValue
from sfic_bench.hub.card import TAGS, Facts, card_of
from sfic_bench.networks.detectors.detection import two_logits
from sfic_bench.networks.external import file_of
from sfic_bench.networks.normalisation import IMAGENET, Normalisation
from sfic_bench.networks.pixels import Normalise
from sfic_bench.networks.variant import Variant
from sfic_bench.training.runs import Run


class HubDetector(nn.Module, PyTorchModelHubMixin, library_name="sfic-bench", tags=TAGS):
    """Crops of faces, RGB in [0, 1], ``[B, 3, H, W]``, to the logits of real and fake ``[B, 2]``.

    ``save_pretrained``, ``from_pretrained`` and ``push_to_hub`` are those of the Hub's models. Weights are files of
    safetensors, so that loading a detector runs nobody's code.

    Args:
        backbone: the network, by a name that `sfic_bench.build` knows.
        alpha, beta: of its SFIC form; both ``None`` for a vanilla network.
        input_size: height and width of the crops, pixels.
        mean, std: what is taken from the pixels, and what they are divided by, for red, green and blue.
        mcs, on_unsupported: as `sfic_bench.build` takes them.
        run: what is known of its training, for the card; `from_run` gives it.

    Raises:
        InvalidValue: for a network that comes from a file of code, which the Hub's files do not have.
    """

    def __init__(
        self,
        backbone: str,
        alpha: float | None = None,
        beta: float | None = None,
        input_size: int = 256,
        mean: Sequence[float] = IMAGENET.mean,
        std: Sequence[float] = IMAGENET.std,
        mcs: str = "learned",
        on_unsupported: str = "join",
        run: Facts | None = None,
    ) -> None:
        super().__init__()
        if file_of(backbone) is not None:
            raise InvalidValue(
                f"{backbone} is a file of code, which a published detector cannot have: name a library's"
            )
        self.network = api.build(
            backbone, alpha=alpha, beta=beta, input_size=input_size, mcs=mcs, on_unsupported=on_unsupported
        )
        self.variant = Variant(backbone=backbone, alpha=alpha, beta=beta)
        self.input_size, self.run = input_size, run
        self.normalise = Normalise(msgspec.convert({"mean": mean, "std": std}, Normalisation))

    @classmethod
    def from_run(cls, folder: Path | str) -> Self:
        """The network of a finished run, in evaluation mode.

        Raises:
            UnusableRun: if the folder holds no finished run, or a damaged file.
            InvalidValue: for a network that comes from a file of code, which the Hub's files do not have.
        """
        run = Run(Path(folder))
        run.check()
        config, result = run.config(), run.result()
        facts = {
            "data": config.data, "images": config.images, "recipe": to_builtins(config.recipe),
            "scores": to_builtins(result.scores["frame"]), "thresholds": to_builtins(result.thresholds),
            "framework": config.framework,
        }  # fmt: skip
        variant, recipe, pixels = config.variant, config.recipe, config.normalisation
        detector = cls(
            variant.backbone, variant.alpha, variant.beta, recipe.input_size, list(pixels.mean), list(pixels.std),
            recipe.mcs.value, variant.on_unsupported.value, facts,
        )  # fmt: skip
        run.load_model(detector.network)
        return detector.eval()

    def forward(self, images: Tensor) -> Tensor:
        return two_logits(self.network(self.normalise(images)))

    def generate_model_card(self, license: str | None = None, **_: object) -> ModelCard:
        """The card; ``license`` is the identifier of a licence of the weights, such as ``"cc-by-nc-4.0"``."""
        return card_of(self.variant, self.input_size, self.run, license)
