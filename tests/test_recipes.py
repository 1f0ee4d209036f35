"""Recipes by name and from files, and what their settings do to a training."""

import io
import math
import re
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.command import run_command
from kornia.augmentation import RandomJPEG
from PIL import Image
from torch import Tensor

from sfic_bench.choices import Initialisation
from sfic_bench.cli.recipe_options import HELP, PANELS
from sfic_bench.errors import InvalidValue, UnknownName
from sfic_bench.results.upgrade import RECIPE_BEFORE
from sfic_bench.training.augment import Augment
from sfic_bench.training.presets import FIELDS, Preset, described, recipe_of
from sfic_bench.training.recipe import Augmentation, Keep, Optimiser, Recipe, Schedule


def test_every_preset_says_what_it_is_for() -> None:
    assert {preset.value for preset in Preset} == {"paper", "released", "modern"}
    assert all(preset.description and described(preset.recipe) == preset for preset in Preset)
    assert described(recipe_of("modern", {"epochs": 5, "seed": 3})) == "modern with epochs 5, seed 3"


def test_a_file_changes_the_fields_of_a_preset(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('base = "modern"\nepochs = 5\nkeep = "last"\njpeg_quality = 60\n')
    recipe = recipe_of(str(path), {"epochs": 6})
    assert (recipe.epochs, recipe.keep, recipe.jpeg_quality) == (6, Keep.LAST, 60)
    assert recipe.optimiser is Optimiser.ADAMW
    path.write_text("")
    assert recipe_of(str(path), {}) == Recipe()


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ('base = "modren"', UnknownName, "did you mean 'modern'"),
        ("epoch = 5", UnknownName, "unknown field in .*mine.toml: 'epoch'; did you mean 'epochs'"),
        ('epochs = "5"', InvalidValue, r"mine.toml: Expected `int`, got `str` - at `\$.epochs`"),
        ("epochs = 0", InvalidValue, "mine.toml: epochs must be at least 1, got 0"),
        ('keep = "worst"', UnknownName, "unknown keep 'worst'"),
        ("epochs = ", InvalidValue, "cannot read the recipe .*mine.toml: Invalid value"),
    ],
)
def test_a_file_that_is_no_recipe(tmp_path: Path, text: str, error: type[Exception], message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(error, match=message):
        recipe_of(str(path), {})


def test_names_that_are_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'modern'"):
        recipe_of("modrn", {})
    with pytest.raises(InvalidValue, match=re.escape("none.toml: No such file")):
        recipe_of(str(tmp_path / "none.toml"), {})
    status, _, err = run_command("train", "-o", str(tmp_path / "run"), "--recipe", "modrn")
    assert status == 2 and "did you mean 'modern'" in err and not (tmp_path / "run").exists()


def test_every_field_is_an_option_with_a_help() -> None:
    assert set(FIELDS) - set(HELP) == {"fused"}
    assert {field.name for group in PANELS.values() for field in fields(group)} == set(FIELDS)


def test_older_results_were_trained_as_the_defaults_say() -> None:
    assert {**asdict(Recipe(initialisation=Initialisation.TORCH)), **RECIPE_BEFORE} == asdict(
        Recipe(initialisation=Initialisation.TORCH)
    )
    assert set(FIELDS) - set(RECIPE_BEFORE) == {
        "epochs", "batch_size", "learning_rate", "decay", "seed", "input_size", "precision", "flip", "rotation",
        "perspective", "fused",
    }  # fmt: skip


@pytest.mark.parametrize(
    "bad",
    [
        {"ema": 1.0}, {"clip": -1.0}, {"accumulate": 0}, {"patience": -1}, {"jpeg_quality": 0}, {"jpeg_quality": 101},
        {"resize_scale": 0.0}, {"cutout": 1.5}, {"weight_decay": math.nan}, {"init": ""}, {"warmup": -1.0},
    ],
)  # fmt: skip
def test_values_out_of_range(bad: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue, match=next(iter(bad)).replace("_", " ")):
        Recipe(**bad)


def test_learning_rates() -> None:
    step = Recipe(learning_rate=0.1, decay=0.5)
    assert [step.learning_rate_at(e) for e in (0.01, 0.99, 1.01, 2.5)] == [0.1, 0.1, 0.05, 0.025]
    cosine = Recipe(learning_rate=0.1, schedule=Schedule.COSINE, epochs=10)
    # Half a cosine from 1 to 0: half the rate in the middle, (1 + cos(π/4)) / 2 after a quarter.
    assert cosine.learning_rate_at(5) == pytest.approx(0.05)
    assert cosine.learning_rate_at(2.5) == pytest.approx(0.1 * (1 + math.sqrt(0.5)) / 2)
    assert cosine.learning_rate_at(10) == pytest.approx(0, abs=1e-9)
    warm = Recipe(learning_rate=0.1, schedule=Schedule.COSINE, epochs=10, warmup=2.0)
    assert [warm.learning_rate_at(e) for e in (0.5, 1.0, 2.0)] == pytest.approx([0.025, 0.05, 0.1])
    assert warm.learning_rate_at(6) == pytest.approx(0.05)  # the middle between epochs 2 and 10


def picture(n: int = 8, size: int = 48) -> Tensor:
    """Smooth images with a square, bytes n×3×size×size."""
    ramp = torch.linspace(60, 200, size).expand(n, 3, size, size).clone()
    ramp[:, :, size // 4 : size // 2, size // 4 : size // 2] = 30
    return ramp.byte()


PLAIN: dict[str, Any] = {"flip": 0.0, "rotation": 0.0}


@pytest.mark.parametrize(
    "distortion",
    [
        {"resize": 1.0}, {"blur": 1.0}, {"brightness": 1.0}, {"noise": 1.0}, {"jpeg": 1.0}, {"cutout": 1.0},
        {"flip": 1.0}, {"rotation": 30.0}, {"perspective": 0.5},
    ],
)  # fmt: skip
def test_each_distortion_changes_training_images_alone(distortion: dict[str, Any]) -> None:
    augment = Augment(Augmentation(**(PLAIN | distortion)))
    images = picture()
    torch.manual_seed(1)
    changed, _ = augment.train().augmented(images, None)
    torch.manual_seed(1)
    again, _ = augment.augmented(images, None)
    assert changed.shape == images.shape and torch.equal(changed, again)
    assert changed.min() >= 0 and changed.max() <= 1
    assert (changed - images / 255).abs().mean() > 1e-3
    untouched, _ = augment.eval().augmented(images, None)
    assert torch.equal(untouched, images / 255)


def test_a_distortion_meets_its_share_of_the_images() -> None:
    images = picture(200, 16)
    for name in ("resize", "blur", "noise", "jpeg", "cutout"):
        torch.manual_seed(2)
        changed, _ = Augment(Augmentation(**(PLAIN | {name: 0.3}))).train().augmented(images, None)
        share = float(((changed - images / 255).abs().amax(dim=(1, 2, 3)) > 1e-6).float().mean())
        assert share == pytest.approx(0.3, abs=0.11), name  # 3.4 standard deviations of 200 draws


def test_masks_move_and_do_not_change() -> None:
    augment = Augment(Augmentation(flip=1.0, rotation=0.0, noise=1.0, jpeg=1.0, brightness=1.0)).train()
    masks = torch.zeros(4, 48, 48)
    masks[:, :, :10] = 1
    images, moved = augment.augmented(picture(4), masks)
    assert moved is not None and torch.equal(moved, masks.flip(2)) and images.shape[1] == 3


@pytest.mark.parametrize("quality", [40, 70, 95])
def test_jpeg_is_nearly_that_of_an_encoder(quality: int) -> None:
    torch.manual_seed(0)
    smooth = torch.nn.functional.interpolate(torch.rand(1, 3, 12, 12), (96, 96), mode="bicubic").clamp(0, 1)
    image = (smooth[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(image).save(encoded, "JPEG", quality=quality)
    real = np.abs(np.asarray(Image.open(encoded)).astype(float) - image).mean()
    distortion = Augment(Augmentation(**(PLAIN | {"jpeg": 1.0, "jpeg_quality": quality}))).changing[0]
    assert isinstance(distortion, RandomJPEG)
    of_this_quality = RandomJPEG(jpeg_quality=(quality, quality + 1e-3), p=1.0)
    ours = of_this_quality(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)[0].permute(1, 2, 0).numpy()
    assert np.abs(ours * 255 - image).mean() == pytest.approx(real, rel=0.15)
