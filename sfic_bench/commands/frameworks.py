"""Networks in the trainers of other projects: their configuration, and runs of what they have trained."""

from pathlib import Path

from sfic_bench.commands.given import LOG, FilePath, training_packages
from sfic_bench.errors import InvalidValue, member
from sfic_bench.files import check_writable, write_bytes_atomically
from sfic_bench.frameworks.choices import Framework
from sfic_bench.networks import registry
from sfic_bench.networks.ratios import beta_beside
from sfic_bench.networks.variant import Variant


def framework_config(
    framework: Framework | str,
    output: FilePath,
    *,
    backbone: str = "resnet50",
    alpha: float | None = None,
    beta: float | None = None,
    input_size: int = 256,
) -> Path:
    """Write a YAML file by which another project trains a network of sfic-bench.

    Args:
        framework: ``"deepfakebench"`` or ``"forensichub"``.
        output: the file to write.
        backbone: as for `sfic_bench.build`.
        alpha: share of the frequency channels, in [0, 1]; ``None`` for the vanilla network.
        beta: scale of the frequency branch, in (0, 1]; 1 if only ``alpha`` is given.
        input_size: height and width of the input, pixels.

    Returns:
        The file.

    Raises:
        InvalidValue: if the file is there already.
        UnknownName: for a project or a network that does not exist.
        UnwritableOutput: if the file cannot be written.
    """
    output, chosen = Path(output), member(Framework, framework, "framework")
    registry.check_name(backbone)
    variant = Variant(backbone=backbone, alpha=alpha, beta=beta_beside(alpha, beta))
    if output.exists():
        raise InvalidValue(f"{output} is there already: choose another file, or remove it")
    check_writable(output)
    from sfic_bench.frameworks import deepfakebench, forensichub  # import torch

    texts = {Framework.DEEPFAKEBENCH: deepfakebench.config_text, Framework.FORENSICHUB: forensichub.config_text}
    write_bytes_atomically(output, texts[chosen](variant, input_size=input_size).encode())
    LOG.info("wrote %s: %s", output, variant)
    return output


def framework_import(checkpoint: FilePath, output: FilePath, *, trust_code: bool = False) -> Path:
    """Make a run of a checkpoint that DeepfakeBench or ForensicHub saved of a network of sfic-bench.

    The run has the network, its weights, input size and normalisation, so that `sfic_bench.evaluate` and others take
    it. It has neither scores nor thresholds of its own.

    Args:
        checkpoint: the file.
        output: the run's folder, which is made.
        trust_code: run the Python file of a network that comes from one.

    Returns:
        The run's folder.

    Raises:
        InvalidValue: for a file that is no such checkpoint, and for a folder that has something in it.
        UnwritableOutput: if the folder cannot be made.
    """
    with training_packages():
        from sfic_bench.frameworks.weights import run_from_checkpoint

        run = run_from_checkpoint(Path(checkpoint), Path(output), trust_code=trust_code)
    config = run.config()
    size = config.recipe.input_size
    LOG.info("wrote %s: %s, images of %d×%d, trained by %s", output, config.variant, size, size, config.framework)
    return run.folder
