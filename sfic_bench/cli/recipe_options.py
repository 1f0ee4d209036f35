"""The options of a recipe and of training devices, which ``train``, ``accuracy`` and ``table`` share.

Each field of `Recipe` is an option, whose help is here and whose type and default are the dataclass's.
"""

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from functools import wraps
from typing import Annotated, Any, get_args, get_type_hints

import typer

from sfic_bench.cli import options, training_options
from sfic_bench.commands.given import training_packages
from sfic_bench.measure.conditions import Device
from sfic_bench.training.presets import Preset, recipe_of
from sfic_bench.training.recipe import Augmentation, NetworkSettings, Optimisation, Recipe, TrainingDevices

HELP: Mapping[str, tuple[str | None, str]] = {
    "input_size": ("N", "Height and width of the input, pixels."),
    "initialisation": (None, "How first weights of the paper's backbones are drawn."),
    "mcs": (None, "Train the kernels of MCSConv, or freeze them as the released code does."),
    "init": ("random|imagenet|FILE|RUN", "Where first weights come from."),
    "freeze": ("N", "Epochs in which only the classifier is trained."),
    "epochs": ("N", "Passes over the images."),
    "batch_size": ("N", "Images a step, over all devices."),
    "accumulate": ("N", "Parts of a step's images, each with its own forward and backward pass, to save memory."),
    "optimiser": (None, "Adam, or AdamW."),
    "learning_rate": ("X", "Highest learning rate."),
    "schedule": (None, "How the learning rate falls: by --decay after each epoch, or as half a cosine."),
    "decay": ("X", "Factor by which each epoch changes the learning rate."),
    "warmup": ("EPOCHS", "Epochs in which the learning rate rises from 0; a part of one is possible."),
    "weight_decay": ("X", "Weight decay, of all weights but biases and norms."),
    "clip": ("X", "Largest norm of the gradient; 0 for no limit."),
    "ema": ("X", "Decay of the moving average of the weights, such as 0.999; 0 for none."),
    "label_smoothing": ("X", "Share of each label that goes to both classes alike."),
    "keep": (None, "Whose weights the run keeps: the last epoch's, or those of the best AUC on the validation split."),
    "patience": ("N", "Stop after N epochs without a better AUC on the validation split; 0 for never."),
    "seed": ("N", "Seed of weights, order and augmentation."),
    "precision": (None, "Number format of the products."),
    "compile": (None, "Train through torch.compile."),
    "flip": ("P", "Probability of a horizontal flip."),
    "rotation": ("DEGREES", "Largest angle of a rotation, either way."),
    "perspective": ("X", "Strength of a perspective, which half of the images get."),
    "interpolation": (None, "Interpolation of the perspective."),
    "resize": ("P", "Probability of a smaller image that is enlarged again."),
    "resize_scale": ("X", "Smallest scale of --resize."),
    "blur": ("P", "Probability of a Gaussian blur."),
    "blur_sigma": ("PIXELS", "Largest standard deviation of --blur."),
    "brightness": ("P", "Probability of another brightness and contrast."),
    "brightness_change": ("X", "Largest share by which --brightness changes them."),
    "noise": ("P", "Probability of Gaussian noise."),
    "noise_std": ("X", "Largest standard deviation of --noise, where white is 1."),
    "jpeg": ("P", "Probability of a JPEG compression."),
    "jpeg_quality": ("Q", "Lowest quality of --jpeg; the highest is 100."),
    "cutout": ("P", "Probability of a grey rectangle."),
    "cutout_share": ("X", "Largest share of the image that --cutout covers."),
    "draft": (None, "Decode a JPEG file at a half, quarter or eighth of its size where that is large enough."),
}  # fmt: skip
"""For each option its metavariable, if its kind does not tell, and its help."""

DEVICE_OPTIONS: Mapping[str, Any] = {
    "device": options.DeviceOption,
    "devices": Annotated[
        int, typer.Option("--devices", metavar="N", help="Devices on this machine; not needed under torchrun.")
    ],
    "workers": training_options.Workers,
    "skip_unreadable": training_options.SkipUnreadable,
}
"""The fields of `TrainingDevices` that are options, those that other commands have too among them."""

PANELS: Mapping[str, type] = {"Network": NetworkSettings, "Optimisation": Optimisation, "Augmentation": Augmentation}
"""The title of each group of options in a command's help."""

RECIPE_HELP = f"Recipe that the options below change: {', '.join(Preset)}, or a TOML file of its fields."


def with_recipe(*, without: tuple[str, ...] = ()) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options that make its parameters ``recipe`` and ``devices``.

    An option that is not given leaves the value of the preset or file that ``--recipe`` names.

    Args:
        without: fields of `Recipe` that are no option of this command.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        of_recipe = {parameter.name: parameter for parameter in _recipe_parameters(without)}
        of_devices = {parameter.name: parameter for parameter in _device_parameters()}

        @wraps(command)
        def expanded(**values: Any) -> None:
            source = values.pop("recipe")
            given = {name: values.pop(name) for name in of_recipe.keys() - {"recipe"}}
            recipe = recipe_of(source, {name: value for name, value in given.items() if value is not None})
            given_devices = {name: values.pop(name) for name in of_devices}
            devices = TrainingDevices(**given_devices | {"device": _device(given_devices["device"])})
            command(recipe=recipe, devices=devices, **values)

        parameters: list[inspect.Parameter] = []
        for parameter in inspect.signature(command, eval_str=True).parameters.values():
            made = {"recipe": of_recipe, "devices": of_devices}.get(parameter.name)
            parameters += [parameter] if made is None else made.values()
        # Typer reads a command's options from its signature.
        parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
        expanded.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        expanded.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return expanded

    return decorate


def _device(name: str) -> Device:
    """The kind of device; a number needs torch."""
    if name in set(Device):
        return Device(name)
    with training_packages():
        from sfic_bench.measure.devices import device_named

        return device_named(name)


def _recipe_parameters(without: tuple[str, ...]) -> Iterator[inspect.Parameter]:
    option = typer.Option("--recipe", metavar="NAME|FILE.toml", help=RECIPE_HELP)
    yield _parameter("recipe", Annotated[str, option], Preset.PAPER.value)
    kinds, defaults = get_type_hints(Recipe), Recipe()
    for title, group in PANELS.items():
        for field in dataclasses.fields(group):
            if field.name in HELP and field.name not in without:
                default = getattr(defaults, field.name)
                shown = default if isinstance(default, str) else f"{default:g}"
                if isinstance(default, bool):
                    shown = "yes" if default else "no"
                option = _option(field.name, kinds[field.name], paper=str(shown), panel=title)
                yield _parameter(field.name, Annotated[kinds[field.name] | None, option], None)


def _device_parameters() -> Iterator[inspect.Parameter]:
    defaults = TrainingDevices()
    for name, annotation in DEVICE_OPTIONS.items():
        kind, option = get_args(annotation)
        option = copy(option)
        option.rich_help_panel = "Devices"
        yield _parameter(name, Annotated[kind, option], getattr(defaults, name))


def _option(name: str, kind: type, *, paper: str, panel: str) -> Any:
    """The option of a field, whose help says what the paper's recipe has; a preset's truth value can be negated."""
    metavar, text = HELP[name]
    flag = f"--{name.replace('_', '-')}"
    if kind is bool:
        flag += f"/--no-{name.replace('_', '-')}"
    text = f"{text} \\[paper: {paper}]"
    return typer.Option(flag, metavar=metavar, help=text, show_default=False, rich_help_panel=panel)


def _parameter(name: str, annotation: Any, default: object) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
