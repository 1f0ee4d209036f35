"""The weights that a training starts from, by the recipe's field ``init``."""

from pathlib import Path

from sfic_bench.networks.start import Start, check_same_network
from sfic_bench.networks.start_sources import file_start, imagenet_start
from sfic_bench.networks.variant import Variant
from sfic_bench.training.recipe import IMAGENET_START, RANDOM_START
from sfic_bench.training.runs import Run


def start_of(init: str, variant: Variant) -> Start | None:
    """The weights that ``init`` names for a network; ``None`` for random ones.

    Raises:
        InvalidValue: for a file that holds no weights of this network, or a run of another network.
        UnusableRun: for a folder that holds no finished run.
        SficBenchError: if published weights cannot be had; the message says what to bring.
    """
    if init == RANDOM_START:
        return None
    if init == IMAGENET_START:
        return imagenet_start(variant.backbone)
    path = Path(init)
    return run_start(Run(path), variant) if path.is_dir() else file_start(path, variant.backbone)


def run_start(run: Run, variant: Variant) -> Start:
    """The weights of a finished run of a network, or of its vanilla form."""
    run.check()
    config = run.config()
    check_same_network(str(run.folder), config.variant, variant)
    state, source = run.weights(), str(run.folder)
    if config.start is None:
        return Start(state=state, source=source)
    return Start(state=state, source=source, normalisation=config.start.normalisation)
