"""Options that several commands share, and their parsing."""

from pathlib import Path
from typing import Annotated

import typer

from sfic_bench import backbones
from sfic_bench.cli.output import Format
from sfic_bench.errors import InvalidValue
from sfic_bench.spec import PAPER_ALPHAS, PAPER_BETAS, Grid


def _complete_backbones(incomplete: str) -> list[str]:
    done, comma, last = incomplete.rpartition(",")
    return [done + comma + n for n in ("all", *backbones.names()) if n.startswith(last)]


Backbones = Annotated[
    str,
    typer.Option(
        metavar="NAME[,NAME…]|all",
        help="Backbones to build; see `sfic-bench list`.",
        autocompletion=_complete_backbones,
    ),
]
Alphas = Annotated[
    str | None,
    typer.Option(
        metavar="A[,A…]",
        help="Shares of the frequency channels, in \\[0, 1]. Default: the paper's .25, .5, .75.",
        show_default=False,
    ),
]
Betas = Annotated[
    str | None,
    typer.Option(
        metavar="B[,B…]",
        help="Scales of the frequency branch, in (0, 1]. Default: the paper's .25, .5, .75, 1.",
        show_default=False,
    ),
]
InputSize = Annotated[int, typer.Option(metavar="N", help="Height and width of the input, pixels.")]
Classes = Annotated[int, typer.Option(metavar="N", help="Number of logits.")]
FormatOption = Annotated[Format, typer.Option("--format", help="How the result is written.")]
OutputOption = Annotated[
    Path | None,
    typer.Option("--output", metavar="FILE", help="Write to a file instead of stdout, atomically."),
]


def grid(names: str, alphas: str | None, betas: str | None) -> Grid:
    """The grid that ``--backbone``, ``--alpha`` and ``--beta`` ask for.

    Raises:
        UnknownName, InvalidValue: for a name, number or range that cannot be used.
    """
    wanted = backbones.names() if names == "all" else tuple(_parts(names))
    for name in wanted:
        backbones.check_name(name)
    return Grid(
        backbones=wanted,
        alphas=PAPER_ALPHAS if alphas is None else _numbers("--alpha", alphas),
        betas=PAPER_BETAS if betas is None else _numbers("--beta", betas),
    )


def _parts(text: str) -> list[str]:
    return [part for part in (p.strip() for p in text.split(",")) if part]


def _numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(map(float, _parts(text)))
    except ValueError:
        raise InvalidValue(
            f"{option} takes numbers separated by commas, such as 0.25,0.5, got {text!r}"
        ) from None
