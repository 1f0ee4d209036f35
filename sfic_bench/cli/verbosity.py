"""``-v`` and ``-q``, which every command takes before its name or behind it."""

import inspect
import logging
from collections.abc import Callable
from functools import wraps
from typing import Annotated

import typer

from sfic_bench.cli.output import listen

VERBOSE = typer.Option("-v", "--verbose", help="Say more on stderr: each step, and where an error came from.")
QUIET = typer.Option("-q", "--quiet", help="Say nothing on stderr but warnings and errors.")


def listen_as(*, verbose: bool, quiet: bool) -> None:
    """Write to stderr what this package logs, as much as the two options ask for."""
    listen(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)


def with_verbosity(command: Callable[..., object]) -> Callable[..., object]:
    """``command`` with both options, which its help does not repeat."""

    @wraps(command)
    def run(*args: object, verbose: bool, quiet: bool, **kwargs: object) -> object:
        if verbose or quiet:  # otherwise those before the command's name have their say
            listen_as(verbose=verbose, quiet=quiet)
        return command(*args, **kwargs)

    signature = inspect.signature(command, eval_str=True)
    options = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=False,
            annotation=Annotated[bool, typer.Option(*flags, hidden=True)],
        )
        for name, flags in (("verbose", ("-v", "--verbose")), ("quiet", ("-q", "--quiet")))
    ]  # fmt: skip
    parameters = [*signature.parameters.values(), *options]
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run
