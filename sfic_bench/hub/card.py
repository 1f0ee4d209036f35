"""The card of a detector: what it is, what it was trained on, its scores and costs, and what it cannot tell."""

from collections.abc import Iterator, Mapping
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from sfic_bench import api
from sfic_bench.counting.conventions import DEFAULT
from sfic_bench.data.choices import SplitName
from sfic_bench.networks.variant import Variant
from sfic_bench.reporting import Column, Table, to_markdown
from sfic_bench.reporting.accuracy_tables import recipe_in_words
from sfic_bench.reporting.cells import bounds, count, estimate
from sfic_bench.statistics.interval import Interval

Facts = Mapping[str, Any]
"""What is known of a training, as `sfic_bench.hub.HubDetector` keeps it: plain values, by name."""

METHOD = "space-frequency interactive convolution (Guo et al., IEEE TIFS 2024)"

TAGS = ["deepfake-detection", "image-forensics", "sfic"]

SCORES = {
    "auc": "AUC", "bacc": "balanced accuracy", "acc": "accuracy", "f1": "F1", "eer": "equal error rate",
    "tpr_at_fpr_1e-2": "fakes found at 1% false alarms", "ece": "calibration error (ECE)",
}  # fmt: skip
"""The scores of a card, by the names of `sfic_bench.training.scores.METRIC_NAMES`."""

LIMITS = (
    "A score says how much a face resembles the fakes of the training data, next to its real faces. It is no proof, in "
    "either direction. Fakes made by other methods, stronger compression, other cameras and other people can change "
    "scores at will; `sfic-bench robustness` measures some of that. Do not decide about a person by such a score alone."
)

NO_LICENCE = "No licence of the weights is stated: ask whoever published them before you use them."


def card_of(variant: Variant, input_size: int, run: Facts | None, licence: str | None) -> ModelCard:
    """The card, as metadata of the Hub and as Markdown.

    Args:
        variant: the network.
        input_size: height and width of its input, pixels.
        run: what is known of its training, as `sfic_bench.hub.HubDetector` keeps it; ``None`` if nothing is.
        licence: the identifier of a licence of the weights, as the Hub knows it; ``None`` if none was given.
    """
    data = ModelCardData(
        library_name="sfic-bench", pipeline_tag="image-classification", tags=TAGS, license=licence,
        model_name=str(variant), eval_results=None if run is None else _evaluated(run),
    )  # fmt: skip
    text = "\n\n".join(_sections(variant, input_size, run, licence))
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n{text}\n")


def _evaluated(run: Facts) -> list[EvalResult]:
    data = "-".join(run["data"].lower().split())
    auc = run["scores"]["auc"]
    if auc is None:
        return []
    return [
        EvalResult(
            task_type="image-classification",
            dataset_type=data,
            dataset_name=run["data"],
            dataset_split="test",
            metric_type="roc_auc",
            metric_name="AUC per image",
            metric_value=auc["estimate"],
        )
    ]


def _sections(variant: Variant, input_size: int, run: Facts | None, licence: str | None) -> Iterator[str]:
    kind = "network" if variant.is_vanilla else f"network with {METHOD}"
    yield f"# {variant}"
    yield f"A {kind} that tells photographs of faces from fakes, in crops of {input_size}×{input_size} pixels."
    yield (
        "```python\nfrom sfic_bench.hub import HubDetector\n\n"
        'detector = HubDetector.from_pretrained("OWNER/NAME")  # or a folder\n'
        "fake = detector(images).softmax(dim=1)[:, 1]  # images: [B, 3, H, W], RGB in [0, 1]\n```"
    )
    if run is None:
        yield "## Training\n\nHow these weights were made is not recorded."
    elif framework := run.get("framework"):
        yield f"## Training\n\nTrained by {framework}; its data, recipe and scores are not recorded here."
    else:
        images = ", ".join(f"{split} {run['images'][split]:,}" for split in SplitName if split in run["images"])
        recipe = f"{recipe_in_words(run['recipe'])}; seed {run['recipe']['seed']}"
        yield f"## Training\n\nData: {run['data']} (images: {images}). Recipe: {recipe}."
        yield to_markdown([_scores(run)]).strip()
    yield to_markdown([_costs(variant, input_size)]).strip()
    yield f"## Intended use and limits\n\n{LIMITS}"
    yield f"## Licence\n\n{licence or NO_LICENCE}"


def _scores(run: Facts) -> Table:
    rows = []
    for name, title in SCORES.items():
        if (score := run["scores"].get(name)) is not None:
            interval = Interval(**score)
            rows.append([title, estimate(interval, scale=100), bounds(interval, scale=100)])
    columns = [Column(name="score"), Column(name="%", number=True), Column(name="95% interval", number=True)]
    note = "per image, on the test images of these data; intervals resample videos, or groups of videos"
    return Table(title="Scores", columns=columns, rows=rows, notes=[note])


def _costs(variant: Variant, input_size: int) -> Table:
    networks = dict.fromkeys((Variant(backbone=variant.backbone), variant))
    rows = [
        [str(costed.variant), count(costed.cost.parameters.total, "M"), count(costed.cost.macs, "G")]
        for costed in api.costs(networks, input_size=input_size)
    ]
    columns = [Column(name="network"), Column(name="parameters, M", number=True), Column(name="MACs, G", number=True)]
    note = f"for one image of {input_size}×{input_size}; MACs by the convention {DEFAULT}"
    return Table(title="Cost", columns=columns, rows=rows, notes=[note])
