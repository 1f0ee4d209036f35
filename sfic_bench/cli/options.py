"""Options that several commands share, and their parsing."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from sfic_bench.choices import OnUnsupported
from sfic_bench.cli.output import Format
from sfic_bench.cli.verbosity import with_verbosity
from sfic_bench.commands.given import names_in
from sfic_bench.errors import InvalidValue, check_count
from sfic_bench.measure.conditions import Device, MemoryLayout, NumberFormat
from sfic_bench.networks import registry
from sfic_bench.networks.grid import Grid, grid_of
from sfic_bench.networks.ratios import PAPER_ALPHAS, PAPER_BETAS


def _complete_backbones(incomplete: str) -> list[str]:
    first, comma, last = incomplete.rpartition(",")
    names = ("all", "detectors", *registry.names(), *registry.detector_names(), *registry.plugin_names())
    return [first + comma + name for name in names if name.startswith(last)]


def alphas_option(default: str) -> Any:
    """The option ``--alpha`` of a grid, whose help says what the ``default`` is."""
    help = f"Shares of the frequency channels, in \\[0, 1]; none for vanilla alone. Default: {default}."
    return typer.Option("--alpha", metavar="A[,A…]|none", help=help, show_default=False)


def betas_option(default: str) -> Any:
    """The option ``--beta`` of a grid, whose help says what the ``default`` is."""
    help = f"Scales of the frequency branch, in (0, 1]. Default: {default}."
    return typer.Option("--beta", metavar="B[,B…]", help=help, show_default=False)


Command = TypeVar("Command", bound=Callable[..., object])


class CommandApp(typer.Typer):
    """Commands whose help is their docstring, with paragraphs that a terminal of any width can fill."""

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Command], Command]:
        """Register a function as the command ``name``; see `typer.Typer.command`."""

        def register(function: Command) -> Command:
            paragraphs = inspect.cleandoc(function.__doc__ or "").split("\n\n")
            settings.setdefault("help", "\n\n".join(" ".join(part.split()) for part in paragraphs))
            super(CommandApp, self).command(name, **settings)(with_verbosity(function))
            return function

        return register


Backbone = Annotated[
    str, typer.Option(metavar="NAME", help="A name from `sfic-bench list`, timm:NAME, … or FILE.py:FUNCTION.")
]
Backbones = Annotated[
    str,
    typer.Option(
        metavar="NAME[,NAME…]|all",
        help="Backbones to build: names from `sfic-bench list`, timm:NAME, torchvision:NAME or FILE.py:FUNCTION; "
        "`*` in a name stands for any letters.",
        autocompletion=_complete_backbones,
    ),
]
Alpha = Annotated[
    float | None, typer.Option(metavar="A", help="Share of the frequency channels; vanilla if not given.")
]
Alphas = Annotated[str | None, alphas_option("the paper's .25, .5, .75")]
Beta = Annotated[float | None, typer.Option(metavar="B", help="Scale of the frequency branch; 1 if only α is given.")]
Betas = Annotated[str | None, betas_option("the paper's .25, .5, .75, 1")]
Unsupported = Annotated[
    OnUnsupported,
    typer.Option(
        "--on-unsupported",
        help="What an operation without a meaning on a pair does: be an error, run on the joined pair, or run on it "
        "and keep vanilla what follows.",
    ),
]
InputSize = Annotated[int, typer.Option(metavar="N", help="Height and width of the input, pixels.")]
Classes = Annotated[int, typer.Option(metavar="N", help="Number of logits.")]
PathsOption = Annotated[
    str, typer.Option("--path", metavar="NAME[,NAME…]|all", help="Execution paths; see `sfic-bench list`.")
]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="cpu|cuda|cuda:N",
        help="The device to run on, or the one of this number.",
        autocompletion=lambda incomplete: [name for name in Device if name.startswith(incomplete)],
    ),
]
DetectorOption = Annotated[
    str,
    typer.Option(
        "--detector",
        metavar="dlib|FILE",
        help="What finds faces: dlib, FILE.onnx of CenterFace or YuNet, or FILE.dat: dlib with a shape predictor.",
    ),
]
UpsampleOption = Annotated[
    int | None,
    typer.Option(
        "--upsample",
        metavar="N",
        help="How often a picture is doubled before the search; if not given: for dlib once, for an ONNX file never.",
        show_default=False,
    ),
]
PrecisionOption = Annotated[NumberFormat, typer.Option("--precision", help="Number format of weights and inputs.")]
BatchSize = Annotated[int, typer.Option("--batch-size", metavar="N", help="Images a call.")]
BatchSizes = Annotated[
    str,
    typer.Option(
        "--batch-size",
        metavar="N[,N…]|auto",
        help="Images a call; auto: 1, 2, 4, … until memory is out or throughput no longer rises by 5%.",
    ),
]
Rounds = Annotated[
    int, typer.Option("--rounds", metavar="N", help="Samples of each row that are taken at least, if time allows.")
]
MemoryLimit = Annotated[
    str | None,
    typer.Option(
        "--memory-limit",
        metavar="SIZE",
        help="Memory that a call may take, such as 8GiB: ends auto, and the largest batch that fits is looked for.",
    ),
]
Profile = Annotated[
    Path | None,
    typer.Option("--profile", metavar="FOLDER", help="Write a trace of one call of each row, for Perfetto or Chrome."),
]
MemorySnapshot = Annotated[
    Path | None,
    typer.Option(
        "--memory-snapshot", metavar="FOLDER", help="Write torch's memory snapshot of one call of each row (CUDA)."
    ),
]
LayoutOption = Annotated[
    MemoryLayout,
    typer.Option("--layout", help="How tensors are stored; both times every path in each, in the same rounds."),
]
EnergyOption = Annotated[
    bool, typer.Option("--energy/--no-energy", help="Count energy on a CUDA device, which takes some 2 seconds a path.")
]
Training = Annotated[
    bool,
    typer.Option("--training", help="Time a training step: forward and backward pass; the optimiser's step apart."),
]
MaxSeconds = Annotated[
    float,
    typer.Option(
        "--max-seconds",
        metavar="S",
        help="Time limit of a table section's samples, which have one round at least, and of each network's check. "
        "Compiling has no limit.",
    ),
]
FlushL2 = Annotated[
    bool,
    typer.Option(
        "--flush-l2/--warm-l2", help="Overwrite a CUDA device's L2 cache before each call. Graphs are timed both ways."
    ),
]
FormatOption = Annotated[Format, typer.Option("--format", help="How the result is written.")]
OutputOption = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write to a file instead of stdout, atomically.")
]


def grid(
    names: str, alphas: str | None, betas: str | None, on_unsupported: OnUnsupported = OnUnsupported.JOIN, *,
    default_alphas: tuple[float, ...] = PAPER_ALPHAS, default_betas: tuple[float, ...] = PAPER_BETAS,
) -> Grid:  # fmt: skip
    """The grid that ``--backbone``, ``--alpha``, ``--beta`` and ``--on-unsupported`` ask for; see `grid_of`.

    Raises:
        UnknownName, InvalidValue: for a name, number or range that cannot be used.
    """
    return grid_of(
        parts(names), *ratios(alphas, betas), on_unsupported,
        default_alphas=default_alphas, default_betas=default_betas,
    )  # fmt: skip


def counts(option: str, text: str) -> tuple[int, ...]:
    """Whole numbers of at least 1 that an option lists.

    Raises:
        InvalidValue: for anything else.
    """
    numbers = parts(text)
    if not numbers or not all(n.isascii() and n.isdigit() and int(n) for n in numbers):
        raise InvalidValue(f"{option} takes whole numbers separated by commas, such as 4,8,16, got {text!r}")
    return tuple(map(int, numbers))


def batch_sizes(text: str) -> tuple[int, ...] | None:
    """The batch sizes that ``--batch-size`` lists, in ascending order; ``None`` for ``auto``.

    Raises:
        InvalidValue: for anything but whole numbers within bounds.
    """
    if text.strip() == "auto":
        return None
    try:
        sizes = sorted(set(map(int, parts(text))))
    except ValueError:
        sizes = []
    if not sizes:
        raise InvalidValue(
            f"--batch-size takes whole numbers separated by commas, such as 1,2,4, or auto, got {text!r}"
        )
    for size in sizes:
        check_count("batch size", size)
    return tuple(sizes)


def ratios(alphas: str | None, betas: str | None) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """The numbers that ``--alpha`` and ``--beta`` list; ``None`` for an option that is not given, no α for ``none``.

    Raises:
        InvalidValue: for text that is no number.
    """
    alpha_values = () if alphas == "none" else None if alphas is None else decimals("--alpha", alphas)
    return alpha_values, None if betas is None else decimals("--beta", betas)


def parts(text: str) -> list[str]:
    """The parts of ``text`` between commas, without spaces and empty parts."""
    return list(names_in(text))


def decimals(option: str, text: str) -> tuple[float, ...]:
    """Numbers that an option lists.

    Raises:
        InvalidValue: for anything else.
    """
    try:
        if numbers := tuple(map(float, parts(text))):
            return numbers
    except ValueError:
        pass
    raise InvalidValue(f"{option} takes numbers separated by commas, such as 0.25,0.5, got {text!r}")
