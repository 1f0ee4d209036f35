"""The command line, the dataclasses and the blocks of a sweep file have the same names and the same defaults."""

import dataclasses
import inspect
import re
from collections.abc import Callable

import msgspec
import pytest
from helpers.command import run_command

from sfic_bench.cli.accuracy import accuracy_command
from sfic_bench.cli.data import data_app
from sfic_bench.cli.flops import flops_command
from sfic_bench.cli.latency import latency_command, stage2_command
from sfic_bench.cli.main import app_with
from sfic_bench.cli.table import table_command
from sfic_bench.cli.training import train_command
from sfic_bench.measure.conditions import Conditions
from sfic_bench.measure.sampler import Stop
from sfic_bench.networks.variant import Variant
from sfic_bench.sweeping.blocks import BLOCKS, KEYS
from sfic_bench.sweeping.jobs.job import Needs
from sfic_bench.training.presets import Preset
from sfic_bench.training.recipe import Recipe, TrainingDevices

Command = Callable[..., None]

NEEDS = {"cpus", "gpus", "accelerator_type", "resources"}
WITHOUT_OPTION = {"fused", "hosts"}
"""A recipe's field that only a sweep file or Python changes, and what torchrun is told."""


def command_defaults(command: Command) -> dict[str, object]:
    return {name: _plain(parameter.default) for name, parameter in inspect.signature(command).parameters.items()}


def declared_defaults(declaration: type) -> dict[str, object]:
    if declaration is Recipe:  # an option that is not given leaves what the named recipe has
        return {"recipe": Preset.PAPER.value, **{field.name: None for field in dataclasses.fields(Recipe)}}
    if dataclasses.is_dataclass(declaration):
        return {field.name: field.default for field in dataclasses.fields(declaration)}
    info = msgspec.inspect.type_info(declaration)
    assert isinstance(info, msgspec.inspect.StructType)
    defaults = {
        field.name: field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        for field in info.fields
    }
    return {KEYS.get(name, name): _plain(default) for name, default in defaults.items()}


def _plain(default: object) -> object:
    """A default as the command line writes it: a list is a text with commas."""
    if isinstance(default, list):
        return ",".join(map(str, default))
    return str(default) if isinstance(default, int) and not isinstance(default, bool) else default


@pytest.mark.parametrize(
    ("command", "declarations", "without"),
    [
        (latency_command, [Conditions], set()),
        (stage2_command, [Conditions], {"input_size"}),  # its --size is that of S
        (train_command, [Recipe, TrainingDevices], WITHOUT_OPTION),
        (accuracy_command, [Recipe, TrainingDevices], WITHOUT_OPTION | {"seed"}),  # it has --seeds
        (table_command, [Recipe, TrainingDevices], WITHOUT_OPTION | {"seed"}),
    ],
)
def test_options_have_the_defaults_of_the_dataclasses(
    command: Command, declarations: list[type], without: set[str]
) -> None:
    options = command_defaults(command)
    fields = {name: _plain(default) for kind in declarations for name, default in declared_defaults(kind).items()}
    assert fields.keys() - options.keys() == without
    assert {name: options[name] for name in fields if name not in without} == {
        name: default for name, default in fields.items() if name not in without
    }


@pytest.mark.parametrize(
    ("kind", "command", "only_in_block", "only_options"),
    [
        ("cost", flops_command, NEEDS, {"convention", "per_layer", "peers", "workers"}),
        ("latency", latency_command, NEEDS, {"profile", "memory_snapshot"}),
        ("accuracy", accuracy_command, NEEDS | WITHOUT_OPTION, {"runs", "against", "no_vanilla"}),
        ("table", table_command, NEEDS | WITHOUT_OPTION | {"compression"}, {"runs", "results", "dry_run"}),
    ],
)
def test_a_block_has_the_names_and_defaults_of_its_command(
    kind: str, command: Command, only_in_block: set[str], only_options: set[str]
) -> None:
    keys, options = declared_defaults(BLOCKS[kind]), command_defaults(command)
    assert keys.keys() - options.keys() == only_in_block
    assert options.keys() - keys.keys() == only_options | {"format", "output"}
    # A block must name its networks or its table, and a table on the command line its data.
    shared = (keys.keys() & options.keys()) - ({"number", "data"} if kind == "table" else {"backbone"})
    assert {name: keys[name] for name in shared} == {name: options[name] for name in shared}


def test_other_defaults_are_declared_once() -> None:
    for command in (latency_command, stage2_command):
        defaults = command_defaults(command)
        assert defaults["max_seconds"] == declared_defaults(Stop)["max_seconds"]
        assert defaults["rounds"] == _plain(Stop().min_rounds)
    assert command_defaults(accuracy_command)["seeds"] == str(Recipe().seed)
    assert command_defaults(flops_command)["on_unsupported"] == declared_defaults(Variant)["on_unsupported"]
    assert declared_defaults(Needs).keys() >= NEEDS
    assert Preset.PAPER.recipe == Recipe()


@pytest.mark.parametrize("command", ["train", "accuracy", "table"])
def test_the_help_says_what_the_papers_recipe_has(command: str) -> None:
    _, out, _ = run_command(command, "--help")
    for text in ("[paper: 20]", "[paper: 0.0001]", "[paper: step]", "[paper: random]"):
        assert text in " ".join(out.replace("│", " ").split()), text


def test_every_output_can_be_given_as_o() -> None:
    commands = {"flops": "FILE", "audit": "FILE", "export": "FILE", "train": "DIR", "data import": "FILE"}
    for command, what in commands.items():
        status, out, _ = run_command(*command.split(), "--help")
        assert status == 0 and re.search(rf"--output\s+-o\s+{what}", out), command
    for registered in (*app_with().registered_commands, *data_app.registered_commands):
        assert registered.callback is not None
        for name, parameter in inspect.signature(registered.callback).parameters.items():
            if name == "output":
                (option,) = parameter.annotation.__metadata__
                # Typer takes the first name for a default until it makes the command.
                assert (option.default, *option.param_decls) == ("-o", "--output"), registered.callback.__name__
