"""Networks outside of torch: as files for other programs, on other runtimes, and for other people."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sfic_bench.choices import OnUnsupported
from sfic_bench.commands.given import (
    LOG,
    FilePath,
    Names,
    manifest_of,
    names_in,
    paths_in,
    rows_of,
    tell_unreadable,
    training_packages,
)
from sfic_bench.data.choices import SplitName
from sfic_bench.errors import InvalidValue, MissingDependency, first_line, member
from sfic_bench.extras import install_command
from sfic_bench.files import check_writable
from sfic_bench.results.deployment import DeploymentResult
from sfic_bench.results.environment import environment

if TYPE_CHECKING:
    from torch import Tensor

    from sfic_bench.data.manifest import Manifest
    from sfic_bench.deploying.export import Exported
    from sfic_bench.training.inference import TrainedNetwork


def export(
    output: FilePath,
    run: FilePath | None = None,
    *,
    to: str = "onnx",
    backbone: str | None = None,
    alpha: float | None = None,
    beta: float | None = None,
    weights: FilePath | None = None,
    input_size: int | None = None,
    classes: int | None = None,
    int8: bool = False,
    data: "FilePath | Manifest" = "orl",
    calibration: int = 256,
    on_unsupported: OnUnsupported | str | None = None,
    trust_code: bool = False,
) -> "Exported":
    """Write a fused network for inference, any batch size, after comparing the file with torch.

    The network is a run's, or the one that the arguments name; without run and weights it has fresh weights, for
    measuring, not for detecting.

    Args:
        output: the file to write.
        run: the folder of a finished run.
        to: the format: onnx, openvino, torch-export or torchscript.
        backbone, alpha, beta, weights, input_size, classes, on_unsupported: as for `sfic_bench.build`, ``resnet26`` of
            2 classes for 256 pixels if not given. A run says them itself; with one, ``backbone`` is the file that
            defines its network.
        int8: quantise the network of a run; its scales are found on images of ``data``.
        data: a manifest or its path; ``"orl"`` for the embedded images.
        calibration: number of training images on which the scales are found.
        trust_code: run the Python file that a run names, although only the run names it.

    Raises:
        ExportFailed: if the network cannot be written, or the file computes something else.
        MissingDependency: if the format needs a package that is not installed.
        UnusableRun, InvalidValue, UnknownName: for a run, an argument or a name that cannot be used.
    """
    output = Path(output)
    check_writable(output)
    if int8 and run is None:
        raise InvalidValue("--int8 needs a RUN: scales are found on images as a trained network reads them")
    images: list[Tensor] = []
    if run is not None:
        of_run = {
            "alpha": alpha, "beta": beta, "weights": weights, "input_size": input_size, "classes": classes,
            "on_unsupported": on_unsupported,
        }  # fmt: skip
        if given := [name for name, value in of_run.items() if value is not None]:
            raise InvalidValue(f"{run} says which network it is: leave --{given[0].replace('_', '-')} out")
        with training_packages():
            from sfic_bench.training.inference import TrainedNetwork
            from sfic_bench.training.runs import Run

            trained = TrainedNetwork(Run(Path(run)), backbone=backbone, trust_code=trust_code)
        model, size = trained.fused(), trained.recipe.input_size
        if int8:
            images = _calibration(trained, data, calibration)
    elif alpha is None and beta is not None:
        raise InvalidValue("--beta needs --alpha: a vanilla network has no frequency branch")
    else:
        from sfic_bench import api  # imports torch

        size = 256 if input_size is None else input_size
        unfused = api.build(
            backbone or "resnet26", alpha=alpha, beta=beta, classes=2 if classes is None else classes,
            on_unsupported=on_unsupported or OnUnsupported.JOIN, weights=None if weights is None else str(weights),
            input_size=size,
        )  # fmt: skip
        model = api.fuse(unfused.eval(), input_size=size)
    from sfic_bench.deploying.export import export as write

    exported = write(model, output, format=to, input_size=size, calibration=images)
    batches = " and ".join(map(str, exported.batches))
    plural = "batches" if len(exported.batches) > 1 else "a batch"
    differ = "differ" if len(exported.batches) > 1 else "differs"
    LOG.info(
        "wrote %s: %s of %s %s from torch by %.1e at most", exported.path, plural, batches, differ,
        exported.max_abs_error,
    )  # fmt: skip
    if int8:
        LOG.info("sfic-bench deploy measures what int8 loses in accuracy and gains in time")
    if run is not None:
        expected = trained.normalisation
        LOG.info(
            "%s: its input is RGB, %d×%d, in [0, 1], less %s, over %s; its output is the logits of real and fake",
            trained.variant, size, size, expected.mean, expected.std,
        )  # fmt: skip
    return exported


def _calibration(trained: "TrainedNetwork", data: "FilePath | Manifest", count: int) -> "list[Tensor]":
    """Batches of training images of ``data``, as the network of a run reads them."""
    from sfic_bench.deploying.calibration import evenly, inputs_of
    from sfic_bench.training.splits import UnreadablePaths

    manifest = manifest_of(data)
    examples = rows_of(manifest, SplitName.TRAIN)
    return list(inputs_of(trained, evenly(examples, count), manifest.folder, UnreadablePaths(skip=False)))


def deploy(
    runs: FilePath | Sequence[FilePath],
    *,
    data: "FilePath | Manifest" = "orl",
    compression: Names = (),
    split: SplitName | str = SplitName.TEST,
    runtime: Names = ("onnxruntime", "onnxruntime-int8"),
    calibration: int = 256,
    batch_size: int = 1,
    max_seconds: float = 30.0,
    workers: int = 0,
    skip_unreadable: bool = False,
    trust_code: bool = False,
) -> DeploymentResult:
    """Run trained networks by ONNX Runtime and OpenVINO, in float32 and int8: what is lost, and what is gained.

    Each network is fused, written for the runtime and scored there on the same images as by torch; int8 takes its
    scales from images of the split train. All are timed on the CPU in rounds that alternate in order. Runs of one
    network with several seeds are one row.

    Args:
        runs: folders of finished runs.
        data, compression, split, workers, skip_unreadable, trust_code: as for `sfic_bench.evaluate`.
        runtime: of onnxruntime, onnxruntime-int8, openvino and openvino-int8, or ``"all"``; torch is always there.
        calibration: number of training images on which the scales of int8 are found.
        batch_size: images a call.
        max_seconds: time limit of the samples, seconds.

    Raises:
        MissingDependency: if a runtime is not installed.
        UnusableRun, UnusableData, InvalidValue, UnknownName: as `sfic_bench.evaluate` does.
    """
    with training_packages():
        from sfic_bench.deploying.calibration import evenly
        from sfic_bench.deploying.runtimes import RUNTIMES, runtimes_named
        from sfic_bench.deploying.scores import Deployment
        from sfic_bench.measure.sampler import Stop
        from sfic_bench.training.inference import TrainedNetwork
        from sfic_bench.training.robustness import by_variant, notes_of
        from sfic_bench.training.runs import Run
        from sfic_bench.training.splits import UnreadablePaths

        runtimes = runtimes_named(RUNTIMES if runtime == "all" else names_in(runtime))
        manifest, part = manifest_of(data, compression), member(SplitName, split, "split")
        rows, examples = (rows_of(manifest, name) for name in (part, SplitName.TRAIN))
        if part is SplitName.TRAIN:
            raise InvalidValue("--split train would score the images on which the scales of int8 are found")
        groups = by_variant([TrainedNetwork(Run(path), trust_code=trust_code) for path in paths_in(runs)])
        unreadable = UnreadablePaths(skip=skip_unreadable)
        deployment = Deployment(
            groups=groups, runtimes=runtimes, frame=rows, calibration=evenly(examples, calibration),
            folder=manifest.folder, workers=workers, unreadable=unreadable,
        )  # fmt: skip
        result = DeploymentResult(
            environment=environment(), data=manifest.name, split=part.value, images=len(rows),
            calibration=len(deployment.calibration), batch_size=batch_size,
            runs=[str(path) for path in paths_in(runs)],
            rows=deployment.rows(batch_size, Stop(max_seconds=max_seconds)),
            unreadable=list(unreadable), notes=notes_of(groups),
        )  # fmt: skip
        tell_unreadable(result.unreadable)
    return result


def publish(
    run: FilePath, output: FilePath, *, licence: str | None = None, push: str | None = None, private: bool = False
) -> Path:
    """Write the network of a run as a folder of weights, configuration and card, and upload it on request.

    The card says what the detector was trained on and how, its scores with intervals, its cost beside the vanilla
    network's, and what it cannot tell. `sfic_bench.hub.HubDetector.from_pretrained` loads the folder or the repository.

    Args:
        run: the folder of a finished run.
        output: the folder to make.
        licence: licence of the weights, as the Hub names it.
        push: the repository, ``OWNER/NAME``, to upload the folder to.
        private: make a repository that does not exist private.

    Returns:
        The folder.

    Raises:
        InvalidValue: if the folder is there already, or the upload fails; the folder is kept.
        MissingDependency: if the package of the Hub is not installed.
        UnusableRun: if the folder has no finished run.
    """
    output = Path(output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InvalidValue(f"{output} is there already: choose another folder, or remove it")
    try:
        from sfic_bench.hub import HubDetector
    except ImportError as error:
        raise MissingDependency(
            f"publish needs {error.name or error}, not installed: {install_command('train', 'hub')}"
        ) from None
    detector = HubDetector.from_run(Path(run))
    detector.save_pretrained(output, model_card_kwargs={"license": licence})
    LOG.info("wrote %s: read %s, its card", output, output / "README.md")
    if push is not None:
        from huggingface_hub import HfApi

        hub = HfApi()
        try:
            hub.create_repo(push, private=private, exist_ok=True)
            place = hub.upload_folder(repo_id=push, folder_path=output)
        except Exception as error:  # whatever the Hub's client raises
            raise InvalidValue(f"cannot upload to {push}: {first_line(error)}; {output} is kept") from None
        LOG.info("uploaded to %s", place)
    return output
