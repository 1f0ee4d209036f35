"""Checkpoints of other projects' trainers, as runs of sfic-bench."""

from pathlib import Path

from torch import Tensor

from sfic_bench.errors import InvalidValue
from sfic_bench.frameworks.backbone import NetworkRecord
from sfic_bench.networks.external import file_of
from sfic_bench.networks.start import Start, check_finite, digest_of
from sfic_bench.networks.weights import load, read_state
from sfic_bench.results.environment import environment
from sfic_bench.results.scores import Trained
from sfic_bench.training.config import RunConfig, StartRecord, network_digest
from sfic_bench.training.learner import new_network
from sfic_bench.training.recipe import Recipe
from sfic_bench.training.runs import Run
from sfic_bench.training.scores import METRIC_NAMES

RECORD = "_extra_state"
"""The end of the name under which a state dict holds the record of its network."""

PARTS = ("body.", "head.")
"""What stands before the names of a network's tensors, see `sfic_bench.frameworks.backbone.FrameworkBackbone`."""

BESIDES = ("n_averaged",)
"""What torch's averaged models have beside the network."""


def run_from_checkpoint(checkpoint: Path, folder: Path, *, trust_code: bool = False) -> Run:
    """A run with the weights of a checkpoint, which every command takes that takes a finished run.

    The run has the network, its weights, its input size and its normalisation. It has neither scores nor thresholds,
    and nothing of the training, which the other project's own logs tell.

    Args:
        checkpoint: what the trainer of DeepfakeBench or ForensicHub saved of a network of `sfic_bench.frameworks`.
        folder: the run's folder, which is made.
        trust_code: whether the Python file of a network that comes from one may be run.

    Raises:
        InvalidValue: for a file that is no such checkpoint, and for a folder that has something in it.
        UnwritableOutput: if the folder cannot be made.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidValue(f"{folder} is there already: choose another folder, or remove it")
    record, weights = _taken_apart(checkpoint)
    variant = record.variant
    if file_of(variant.backbone) is not None and not trust_code:
        raise InvalidValue(
            f"{checkpoint} has a network from the file of code {variant.backbone}, which is not run by itself: read "
            "it, then add --trust-code"
        )
    recipe = Recipe(input_size=record.input_size)
    network = new_network(variant, recipe)
    load(network, weights, str(checkpoint))
    start = Start(state=weights, source=str(checkpoint), normalisation=record.normalisation)
    check_finite(start)
    run = Run(folder)
    run.begin(
        RunConfig(
            variant=variant, recipe=recipe, data="", images={}, network_file=network_digest(variant.backbone),
            start=StartRecord(source=start.source, digest=digest_of(weights), normalisation=record.normalisation),
            framework=f"{record.framework}, torch {record.torch_version}",
        ),
        environment(), resume=False,
    )  # fmt: skip
    run.save_model(network.state_dict(), 0)
    unknown = dict.fromkeys(METRIC_NAMES)
    run.finish(Trained(epochs=0, images=0, unreadable=[], scores={"frame": {**unknown}, "video": {**unknown}}))
    return run


def _taken_apart(checkpoint: Path) -> tuple[NetworkRecord, dict[str, Tensor]]:
    """The record in ``checkpoint``, and the tensors of the network under its own names."""
    state = {name: tensor for name, tensor in read_state(checkpoint).items() if name not in BESIDES}
    records = [name for name in state if name.endswith(RECORD)]
    if len(records) != 1:
        raise InvalidValue(
            f"{checkpoint} has {len(records)} records of a network of sfic-bench, expected one: a checkpoint of its "
            "detector in DeepfakeBench or ForensicHub"
        )
    record = NetworkRecord.from_tensor(state.pop(records[0]))
    before = tuple(records[0].removesuffix(RECORD) + part for part in PARTS)
    weights = {name.removeprefix(prefix): state[name] for prefix in before for name in state if name.startswith(prefix)}
    if others := [name for name in state if not name.startswith(before)]:
        raise InvalidValue(
            f"{checkpoint} has {others[0]}, which is not of {record.variant}: its detector computes more than this "
            "network"
        )
    return record, weights
