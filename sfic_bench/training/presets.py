"""Recipes by name or from a TOML file, with single fields changed."""

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, fields
from enum import StrEnum
from pathlib import Path

import msgspec

from sfic_bench.choices import Initialisation, Interpolation, McsMode
from sfic_bench.errors import InvalidValue, UnknownName, first_line, member
from sfic_bench.files import read_file
from sfic_bench.training.recipe import ENUMS, Keep, Optimiser, Recipe, Schedule


class Preset(StrEnum):
    """A recipe that has a name."""

    PAPER = "paper"
    RELEASED = "released"
    MODERN = "modern"

    @property
    def description(self) -> str:
        """What the recipe is for."""
        return {
            Preset.PAPER: "what the paper says in Section IV-A",
            Preset.RELEASED: "the paper's, with what only the authors' code has: perspective, frozen MCSConv kernels",
            Preset.MODERN: "for detectors that meet images from anywhere: AdamW, cosine, averaged weights, distortions",
        }[self]

    @property
    def recipe(self) -> Recipe:
        """The recipe itself."""
        return RECIPES[self]


RECIPES: Mapping[Preset, Recipe] = {
    Preset.PAPER: Recipe(),
    # The released code's perspective is bilinear with strength 0.5, and its MCSConv kernels are buffers.
    Preset.RELEASED: Recipe(
        perspective=0.5, interpolation=Interpolation.BILINEAR, mcs=McsMode.FROZEN,
        initialisation=Initialisation.RELEASED,
    ),
    # The kinds of distortion and JPEG's range are those of the field's common benchmark (DeepfakeBench, NeurIPS 2023).
    Preset.MODERN: Recipe(
        optimiser=Optimiser.ADAMW, learning_rate=5e-4, weight_decay=0.02, schedule=Schedule.COSINE, warmup=1.0,
        clip=1.0, ema=0.999, keep=Keep.BEST,
        resize=0.3, blur=0.2, brightness=0.5, noise=0.2, jpeg=0.5, cutout=0.3,
    ),
}  # fmt: skip
"""The recipe of each preset."""

FIELDS = tuple(field.name for field in fields(Recipe))


def recipe_of(source: str, changes: Mapping[str, object]) -> Recipe:
    """The recipe that a preset's name or the path of a TOML file gives, with ``changes``, by field.

    The file has fields of `Recipe`, and ``base``, the name of the preset whose other fields it takes (``paper`` if it
    has none).

    Raises:
        UnknownName: for a name that is no preset and no path ending with ``.toml``, or an unknown field in the file.
        InvalidValue: for a file that cannot be read, or a value of another kind or out of range.
    """
    if source.endswith(".toml"):
        return _changed(_from_file(Path(source)), changes, "")
    if source not in set(Preset):
        raise UnknownName("recipe", source, [*(preset.value for preset in Preset), "FILE.toml"])
    return _changed(Preset(source).recipe, changes, "")


def _from_file(path: Path) -> Recipe:
    try:
        values = tomllib.loads(read_file(path).decode())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise InvalidValue(f"cannot read the recipe {path}: {reason}") from None
    base = values.pop("base", Preset.PAPER.value)
    if base not in set(Preset):
        raise UnknownName(f"base in {path}:", str(base), [preset.value for preset in Preset])
    for name in values:
        if name not in FIELDS:
            raise UnknownName(f"field in {path}:", name, ["base", *FIELDS])
    return _changed(Preset(base).recipe, values, f"{path}: ")


def _changed(recipe: Recipe, changes: Mapping[str, object], prefix: str) -> Recipe:
    """``recipe`` with ``changes``, whose kinds are checked; ``prefix`` begins the message of an error."""
    if not changes:
        return recipe
    named = {n: member(ENUMS[n], v, n) if n in ENUMS and isinstance(v, str) else v for n, v in changes.items()}
    try:
        return msgspec.convert({**asdict(recipe), **named}, Recipe)
    except msgspec.ValidationError as error:
        raise InvalidValue(f"{prefix}{first_line(error)}") from None


def described(recipe: Recipe) -> str:
    """The nearest preset and what differs from it, such as ``modern with epochs 5, seed 3``."""
    values = asdict(recipe)
    differences = {
        preset: {name: value for name, value in values.items() if value != getattr(preset.recipe, name)}
        for preset in Preset
    }
    nearest = min(Preset, key=lambda preset: len(differences[preset]))
    changed = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in differences[nearest].items())
    return f"{nearest} with {changed}" if changed else str(nearest)
