"""What each command shows on a terminal of 80 columns, as texts in ``tests/screens``.

After a change that is meant, ``python tests/test_screens.py`` renews the texts; read their difference.
"""

import io
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import chdir
from functools import partial
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from helpers.command import run_command
from helpers.deployment import deployment_result
from helpers.robustness import robustness_result
from helpers.screen import Terminal, plain, terminal
from msgspec import json
from rich.console import Console

from sfic_bench.cli.output import INTERVALS_LEFT_OUT
from sfic_bench.reporting import Table, to_terminal
from sfic_bench.reporting.accuracy_tables import protocol_table
from sfic_bench.reporting.deployment_tables import deployment_table
from sfic_bench.reporting.prediction_tables import prediction_tables
from sfic_bench.reporting.robustness_tables import robustness_tables
from sfic_bench.reporting.score_tables import score_tables
from sfic_bench.reporting.timing_tables import timing_tables
from sfic_bench.results.predictions import PredictionsResult
from sfic_bench.results.read import ResultFile, read

SCREENS = Path(__file__).parent / "screens"
OLD = Path(__file__).parent / "golden" / "v1"
NEW = ("scores", "batches")
"""Files of this version, which lie beside those of older ones."""
WIDTH = 80

COMMANDS: dict[str, tuple[str, ...]] = {
    "flops": ("flops", "--backbone", "resnet26,mobilenet", "--alpha", ".5", "--beta", ".5,1"),
    "flops-per-layer": ("flops", "--backbone", "mobilenet", "--alpha", ".5", "--beta", ".5", "--per-layer"),
    "audit": ("audit",),
    "audit-claims": ("audit", "--claims"),
    "explain": ("explain", "--backbone", "mobilenet", "--alpha", ".5"),
    "compare": ("compare", "latency.json", "latency-avx2.json", "--ignore", "onednn_max_cpu_isa"),
    "list": ("list",),
}
FILES = ("latency", "stage2", "training", "batches", "accuracy", "scores")
HELP = (
    *("flops", "audit", "latency", "stage2", "compare", "report", "accuracy", "table", "train", "evaluate", "predict"),
    *(
        "attention",
        "robustness",
        "explain",
        "export",
        "deploy",
        "publish",
        "framework config",
        "framework import",
        "list",
        "env",
        "data import",
        "data check",
        "data extract",
    ),
    *("sweep run", "sweep status"),
)


def shown(*arguments: str, width: int = WIDTH) -> str:
    with terminal(width), chdir(OLD):  # the same paths on every machine
        status, out, err = run_command(*arguments, stdout=Terminal())
    assert status in (0, 1), err
    return out


def tables_of(file: ResultFile) -> list[Table]:
    if file.scores is not None:
        return score_tables(f"{file.scores.run} on {file.scores.data}, {file.scores.split}", file.scores)
    return [protocol_table(file.accuracy)] if file.accuracy else timing_tables(file.timing) if file.timing else []


def table_of_file(name: str, width: int = WIDTH) -> str:
    """A file's result as the command that wrote it shows it."""
    return on_terminal(tables_of(read((OLD.parent if name in NEW else OLD) / f"{name}.json")), width)


def on_terminal(tables: Sequence[Table], width: int = WIDTH) -> str:
    """The tables of a result as its command shows them."""
    out = io.StringIO()
    with terminal(width):
        to_terminal(tables, Console(file=out, width=width))
    return out.getvalue()


def scored_files(width: int = WIDTH) -> str:
    """What ``predict`` shows of the files in ``tests/golden/predictions.json``."""
    result = json.decode((OLD.parent / "predictions.json").read_bytes(), type=PredictionsResult)
    out = io.StringIO()
    with terminal(width):
        to_terminal(prediction_tables(result, per_frame=False), Console(file=out, width=width))
    return out.getvalue()


def screens() -> dict[str, Callable[[], str]]:
    """What makes each screen, by name."""
    return {
        **{name: partial(shown, *arguments) for name, arguments in COMMANDS.items()},
        "robustness": lambda: on_terminal(robustness_tables(robustness_result(), INTERVALS_LEFT_OUT)),
        "deploy": lambda: on_terminal([deployment_table(deployment_result(), INTERVALS_LEFT_OUT)]),
        "predict": scored_files,
        **{name: partial(table_of_file, name) for name in FILES},
        "help": partial(shown, "--help"),
        **{f"help-{command.replace(' ', '-')}": partial(shown, *command.split(), "--help") for command in HELP},
    }


@pytest.mark.parametrize("name", list(screens()))
def test_a_screen_is_as_it_was(name: str) -> None:
    screen = plain(screens()[name]())
    assert screen == (SCREENS / f"{name}.txt").read_text(encoding="utf-8"), "run `python tests/test_screens.py`"


def test_every_screen_is_tested() -> None:
    assert {path.stem for path in SCREENS.glob("*.txt")} == set(screens())


@pytest.mark.parametrize("width", [80, 100, 200])
@pytest.mark.parametrize("name", ["flops", "compare", "audit"])
def test_no_line_is_wider_than_the_terminal(name: str, width: int) -> None:
    assert max(map(len, shown(*COMMANDS[name], width=width).splitlines())) <= width


@pytest.mark.parametrize("name", ["latency", "accuracy", "scores"])
def test_wide_shows_every_column(name: str) -> None:
    assert "left out" in table_of_file(name) and "left out" not in table_of_file(name, 10_000)


def test_the_format_wide_and_a_pipe_show_every_column() -> None:
    call = COMMANDS["flops"]
    assert re.search("left out at this width: .*conv-linear GMac", shown(*call))
    wide = shown(*call, "--format", "wide")
    with terminal(WIDTH):
        piped = run_command(*call)[1]
    assert wide == piped and "conv-linear" in wide.splitlines()[2] and "left out" not in wide


if __name__ == "__main__":
    SCREENS.mkdir(exist_ok=True)
    for path in SCREENS.glob("*.txt"):
        path.unlink()
    for name, screen in screens().items():
        (SCREENS / f"{name}.txt").write_text(plain(screen()), encoding="utf-8")
