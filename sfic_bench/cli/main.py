"""The command ``sfic-bench``: all commands, and how errors become a line on stderr and an exit status."""

import errno
import logging
import os
import shlex
import sys
import tempfile
import traceback
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from sfic_bench.cli.defaults import CONFIG, use_defaults
from sfic_bench.cli.options import CommandApp
from sfic_bench.cli.output import LOG, say
from sfic_bench.cli.verbosity import QUIET, VERBOSE, listen_as
from sfic_bench.errors import InvalidValue, SficBenchError, first_line
from sfic_bench.version import __version__

EPILOG = (
    "Exit status: 0 success, 1 a check failed, 2 input that cannot be used, 3 runs that cannot be compared, "
    "70 a defect of sfic-bench."
)

COMMANDS: Mapping[str, str] = {
    "flops": "flops:flops_command",
    "audit": "audit:audit_command",
    "latency": "latency:latency_command",
    "stage2": "latency:stage2_command",
    "compare": "compare:compare_command",
    "report": "report:report_command",
    "data": "data:data_app",
    "accuracy": "accuracy:accuracy_command",
    "table": "table:table_command",
    "train": "training:train_command",
    "evaluate": "training:evaluate_command",
    "robustness": "robustness:robustness_command",
    "predict": "predict:predict_command",
    "attention": "training:attention_command",
    "sweep": "sweep:sweep_app",
    "explain": "explain:explain_command",
    "export": "export:export_command",
    "deploy": "deploy:deploy_command",
    "publish": "publish:publish_command",
    "framework": "framework:framework_app",
    "list": "info:list_command",
    "env": "info:env_command",
}
"""For each command, or group of commands, the module in `sfic_bench.cli` and the name of its function or `Typer`."""


def app_with(names: Iterable[str] = COMMANDS) -> CommandApp:
    """The command line with the commands ``names``; the modules of others are not imported."""
    app = CommandApp(
        help="Benchmark and profile space-frequency interactive convolution in any CNN backbone.",
        epilog=EPILOG,
        no_args_is_help=True,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for name in names:
        place, _, attribute = COMMANDS[name].partition(":")
        module = import_module(f"{__package__}.{place}")
        command = getattr(module, attribute)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name, epilog=getattr(module, "EPILOG", None))(command)
    return app


def _version(is_given: bool) -> None:
    if is_given:
        print(f"sfic-bench {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.toml",
            callback=use_defaults,
            envvar=CONFIG,
            show_envvar=False,
            help="Defaults of options: a table for each command, such as \\[latency]. An environment variable such as "
            "SFIC_BENCH_LATENCY_DEVICE or SFIC_BENCH_CONFIG comes before them.",
        ),
    ] = None,
    verbose: Annotated[bool, VERBOSE] = False,
    quiet: Annotated[bool, QUIET] = False,
) -> None:
    del version, config  # their callbacks have done all
    listen_as(verbose=verbose, quiet=quiet)


# The base class of all usage errors, whose module depends on typer's release.
_UsageError: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")


DEFECT = 70
"""The exit status of an error that nobody foresaw; `EX_SOFTWARE` of BSD's ``sysexits.h``."""


def main() -> NoReturn:
    """Run a command; an error that the caller can correct is one line on stderr and exit status 2."""
    try:
        words = _in_new_words(sys.argv[1:])
        status = app_with(_needed(words))(words, prog_name="sfic-bench", standalone_mode=False)
    except SficBenchError as error:
        if LOG.isEnabledFor(logging.DEBUG):
            say("".join(traceback.format_exception(error)).rstrip())
        say(f"sfic-bench: {error}")
        status = error.exit_status
    except _UsageError as error:
        command = "sfic-bench" if error.ctx is None else error.ctx.command_path
        say(f"sfic-bench: {error.format_message()} (see {command} --help)")
        status = 2
    except (typer.Abort, KeyboardInterrupt):
        say("sfic-bench: interrupted")
        status = 130
    except BrokenPipeError:  # the reader, such as head, has closed the pipe
        sys.stderr.close()
        status = 0
    except Exception as error:
        status = _report(error)
    sys.exit(status or 0)


def _needed(words: list[str]) -> Iterable[str]:
    """The command that ``words`` begin with, where they do and no file has defaults of other commands; else all."""
    return words[:1] if words and words[0] in COMMANDS and CONFIG not in os.environ else COMMANDS


RENAMED = {"--dtype": "--precision"}
"""Options that had another name in the release before, which is understood until the next one."""


def _in_new_words(arguments: list[str]) -> list[str]:
    """``arguments`` with today's names of options that were renamed, which stderr is told.

    Raises:
        InvalidValue: for an argument with half of a surrogate pair, which no file's name can have.
    """
    words = []
    for argument in arguments:
        try:
            os.fsencode(argument)
        except UnicodeEncodeError:
            raise InvalidValue(f"the argument {argument!r} is no text: expected Unicode characters") from None
        name, equals, value = argument.partition("=")
        if name in RENAMED:
            say(f"sfic-bench: {name} is called {RENAMED[name]} now; the next release will not know {name}")
        words.append(f"{RENAMED.get(name, name)}{equals}{value}")
    return words


def _report(error: Exception) -> int:
    """Say in one line what nobody foresaw, and where the traceback is; returns the exit status."""
    if isinstance(error, OSError) and error.filename is not None:
        say(f"sfic-bench: {error.filename}: {error.strerror or error}")
        return 2
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        say(f"sfic-bench: cannot write the output: {error.strerror}")
        return 2
    handle, path = tempfile.mkstemp(prefix="sfic-bench-", suffix=".log")
    with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as log:
        log.write(f"sfic-bench {__version__}, {sys.version}\n{shlex.join(sys.argv)}\n\n")
        traceback.print_exception(error, file=log)
    say(
        f"sfic-bench: a defect of sfic-bench: {type(error).__name__}: {first_line(error)}; please report it with {path}"
    )
    return DEFECT
