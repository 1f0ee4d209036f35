"""Defaults of options from environment variables, and from a TOML file that has a table for each command."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import typer

from sfic_bench.errors import InvalidValue, UnknownName
from sfic_bench.files import read_file

VARIABLES = "SFIC_BENCH"
"""The beginning of the environment variables that give options, such as ``SFIC_BENCH_LATENCY_DEVICE``."""

CONFIG = f"{VARIABLES}_CONFIG"
"""The environment variable that names the file with the defaults of options."""


def use_defaults(context: typer.Context, path: Path | None) -> Path | None:
    """Let environment variables and, behind them, the file ``path`` give the defaults of all commands.

    Raises:
        InvalidValue: for a file that cannot be read or is no TOML, or a value that is no text, number or list of them.
        UnknownName: for a command or an option that does not exist.
    """
    defaults: dict[str, object] = {}
    if path is not None:
        try:
            tables = tomllib.loads(read_file(path).decode())
        except OSError as error:
            raise InvalidValue(f"cannot read {path}: {error.strerror or error}") from None
        except ValueError as error:  # no TOML, or no text
            raise InvalidValue(f"{path} is no TOML: {error}") from None
        defaults = _defaults(path, context.command, tables)
    if any(name.startswith(f"{VARIABLES}_") for name in os.environ):
        _add_variables(defaults, context.command, VARIABLES)
    context.default_map = defaults
    return path


def _add_variables(defaults: dict[str, object], command: object, prefix: str) -> None:
    """Add to ``defaults`` what variables say, whose names begin with ``prefix``."""
    for name, child in getattr(command, "commands", {}).items():
        of_child = defaults[name] = cast(dict[str, object], defaults.get(name, {}))
        start = f"{prefix}_{name.upper()}"
        _add_variables(of_child, child, start)
        for option in _options(child):
            if (value := os.environ.get(f"{start}_{option.upper()}")) is not None:
                of_child[option] = value


def _options(command: object) -> list[str]:
    return [parameter.name for parameter in getattr(command, "params", ()) if parameter.param_type_name == "option"]


def _defaults(path: Path, command: object, table: Mapping[str, object]) -> dict[str, object]:
    """What the ``table`` of ``path`` says of a command, or of a group of commands."""
    defaults: dict[str, object] = {}
    children = getattr(command, "commands", None)
    options = _options(command)
    for key, value in table.items():
        if children is not None:
            if key not in children:
                raise UnknownName(f"command in {path}", key, children)
            if not isinstance(value, dict):
                raise InvalidValue(f"{path}: {key} is a command, whose options are a table: [{key}]")
            defaults[key] = _defaults(path, children[key], value)
        elif (name := key.replace("-", "_")) not in options:
            raise UnknownName(f"option of {getattr(command, 'name', '')} in {path}", key, options)
        else:
            defaults[name] = _value(path, key, value)
    return defaults


def _value(path: Path, key: str, value: object) -> object:
    """A value as the command line would give it; a list is its elements with commas between."""
    if isinstance(value, list):
        return ",".join(str(_value(path, key, element)) for element in value)
    if not isinstance(value, bool | float | int | str):
        raise InvalidValue(f"{path}: {key} must be a text, a number or a list of them, got {value!r}")
    return value if isinstance(value, bool) else str(value)
