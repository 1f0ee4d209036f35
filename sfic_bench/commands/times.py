"""Times: how long networks and layers take on this machine, beside their vanilla forms."""

import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from sfic_bench.choices import OnUnsupported
from sfic_bench.commands.costs import tell_kept
from sfic_bench.commands.given import FilePath, Names, Ratios, grid_named, names_in, paths_in, several
from sfic_bench.commands.watcher import UNWATCHED, Watcher
from sfic_bench.errors import InvalidValue, UnknownName, check_count, member
from sfic_bench.measure.conditions import Conditions, Device, MemoryLayout, NumberFormat, parse_bytes
from sfic_bench.measure.paths import EXECUTION_PATHS
from sfic_bench.networks.grid import Grid
from sfic_bench.networks.ratios import PAPER_ALPHAS, PAPER_BETAS
from sfic_bench.networks.variant import Stage2Layer, Variant
from sfic_bench.results.timing import Family, TimingResult

if TYPE_CHECKING:
    from sfic_bench.timing.recording import FolderRecorder

LOG = logging.getLogger(__name__)

# torch's memory profiler announces each start and stop on stderr; both variables are read when torch loads.
os.environ.setdefault("KINETO_LOG_LEVEL", "99")
os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")

BatchSizes = int | Sequence[int] | Literal["auto"]
"""One batch size, several, or ``"auto"``: powers of two until memory is out or throughput no longer rises."""


def latency(
    backbone: Names = "resnet26",
    *,
    alpha: Ratios = None,
    beta: Ratios = None,
    path: Names = "reference,fused",
    device: Device | str = Device.CPU,
    precision: NumberFormat | str = NumberFormat.FP32,
    batch_size: BatchSizes = 4,
    input_size: int = 256,
    layout: MemoryLayout | str = MemoryLayout.CONTIGUOUS,
    training: bool = False,
    flush_l2: bool = True,
    energy: bool = True,
    on_unsupported: OnUnsupported | str = OnUnsupported.JOIN,
    max_seconds: float = 30.0,
    rounds: int = 10,
    memory_limit: str | None = None,
    profile: FilePath | None = None,
    memory_snapshot: FilePath | None = None,
    watch: Watcher = UNWATCHED,
) -> TimingResult:
    """Time networks on this machine, each against its vanilla form in the same rounds.

    Every path is first checked against the float64 reference on random input; a path with a wrong result gets no time.

    Examples:
        >>> result = latency("mobilenet", alpha=0.5, beta=0.5, path="fused", input_size=32, max_seconds=0.1, rounds=1)
        >>> [(row.alpha, row.beta) for row in result.rows]
        [(None, None), (0.5, 0.5)]

    Args:
        backbone, alpha, beta, on_unsupported: as for `sfic_bench.flops`.
        path: execution paths, see `sfic_bench.list_names`, or ``"all"``.
        device, precision, layout: where and how the networks run, see `sfic_bench.measure.conditions`.
        batch_size: images a call: one number, several, or ``"auto"``, which tries 1, 2, 4, … until memory is out or
            throughput no longer rises by 5%.
        input_size: height and width of the input, pixels.
        training: time a training step instead of inference.
        flush_l2: overwrite a CUDA device's L2 cache before each call.
        energy: count energy on a CUDA device.
        max_seconds: time limit, seconds, of the samples of each backbone and batch size, and of each network's check.
        rounds: samples of each row that are taken at least, if time allows.
        memory_limit: memory that a call may take, such as ``"8GiB"``.
        profile: folder for a trace of one call of each row.
        memory_snapshot: folder for torch's memory snapshot of one call of each row, on a CUDA device.
        watch: gets the rows so far after each backbone and batch size.

    Returns:
        The rows. After Ctrl-C within a round they hold the rounds that were finished, and ``stopped_by`` of the last
        family is ``"interrupt"``.

    Raises:
        InvalidValue: for a number that cannot be used, an input that is too small, or a memory snapshot on a CPU.
        UnknownName: for a name that does not exist.
    """
    grid = grid_named(backbone, alpha, beta, on_unsupported)
    tell_kept(grid)
    from sfic_bench.measure.devices import device_named  # imports torch

    conditions = Conditions(
        device=device_named(device), dtype=member(NumberFormat, precision, "precision"), input_size=input_size,
        layout=member(MemoryLayout, layout, "layout"), training=training, flush_l2=flush_l2, energy=energy,
    )  # fmt: skip
    return _timed(
        list(grid), path, conditions, batch_size, max_seconds, rounds, memory_limit, profile, memory_snapshot, watch
    )


def stage2(
    *,
    channels: int = 128,
    size: int = 32,
    kernel: int = 3,
    alpha: Ratios = None,
    beta: Ratios = None,
    path: Names = "reference,fused",
    device: Device | str = Device.CPU,
    precision: NumberFormat | str = NumberFormat.FP32,
    batch_size: BatchSizes = 4,
    layout: MemoryLayout | str = MemoryLayout.CONTIGUOUS,
    training: bool = False,
    flush_l2: bool = True,
    energy: bool = True,
    max_seconds: float = 30.0,
    rounds: int = 10,
    memory_limit: str | None = None,
    profile: FilePath | None = None,
    memory_snapshot: FilePath | None = None,
    watch: Watcher = UNWATCHED,
) -> TimingResult:
    """Time a single Stage 2 against the vanilla convolution that it replaces, as `latency` times networks.

    The layer has stride 1, padding that keeps the size, and no bias.

    Args:
        channels: channels in and out.
        size: height and width of S, pixels.
        kernel: kernel size, an odd number.

    Raises:
        InvalidValue, UnknownName: as `latency` does.
    """
    grid = Grid(
        backbones=("stage2",),
        alphas=PAPER_ALPHAS if alpha is None else several(alpha),
        betas=PAPER_BETAS if beta is None else several(beta),
    )
    layers = [Stage2Layer(channels=channels, kernel_size=kernel, alpha=v.alpha, beta=v.beta) for v in grid]
    from sfic_bench.measure.devices import device_named  # imports torch

    conditions = Conditions(
        device=device_named(device), dtype=member(NumberFormat, precision, "precision"), input_size=size,
        layout=member(MemoryLayout, layout, "layout"), training=training, flush_l2=flush_l2, energy=energy,
    )  # fmt: skip
    return _timed(
        layers, path, conditions, batch_size, max_seconds, rounds, memory_limit, profile, memory_snapshot, watch
    )


def _timed(
    networks: Sequence[Variant | Stage2Layer],
    path: Names,
    conditions: Conditions,
    batch_size: BatchSizes,
    max_seconds: float,
    rounds: int,
    memory_limit: str | None,
    profile: FilePath | None,
    memory_snapshot: FilePath | None,
    watch: Watcher,
) -> TimingResult:
    """Time everything; each family's rows are kept before the next family begins."""
    paths = _paths(path)
    sizes = None if batch_size == "auto" else tuple(sorted(set(several(batch_size))))
    for size in sizes or ():
        check_count("batch size", size)
    if not max_seconds > 0:
        raise InvalidValue(f"--max-seconds must be above 0, got {max_seconds}")
    check_count("--rounds", rounds)
    limit = None if memory_limit is None else parse_bytes(memory_limit)
    from sfic_bench import timing
    from sfic_bench.measure.sampler import Stop

    recorders = _recorders(conditions.device, profile, memory_snapshot)
    result: TimingResult | None = None
    with watch.progress("timing", len({network.name for network in networks})) as advance:
        machine = replace(timing.Machine.for_conditions(conditions), memory_limit=limit, recorders=recorders)
        stop, done = Stop.after(max_seconds, rounds), 0
        for result in timing.measure_batches(networks, paths, conditions, machine, stop, max_seconds, sizes):
            finished = _finished(result)
            advance(_place(result.families[-1]), finished - done)
            done = finished
            watch.keep(result)
    for recorder in recorders:
        for row, reason in recorder.missed.items():
            LOG.warning("nothing recorded in %s of %s: %s", recorder.folder, row, reason)
    assert result is not None, "a grid has a network"
    return result


def _paths(names: Names) -> tuple[str, ...]:
    """The execution paths of these names.

    Raises:
        UnknownName, InvalidValue: for a path that does not exist, or none.
    """
    selected = tuple(EXECUTION_PATHS) if names == "all" else tuple(dict.fromkeys(names_in(names)))
    for name in selected:
        if name not in EXECUTION_PATHS:
            raise UnknownName("execution path", name, EXECUTION_PATHS)
    if not selected:
        raise InvalidValue("no execution path is named; see `sfic-bench list`")
    return selected


def _recorders(device: Device, profile: FilePath | None, memory_snapshot: FilePath | None) -> "list[FolderRecorder]":
    """What records calls, with its folders made.

    Raises:
        InvalidValue: for a memory snapshot on a CPU, of which torch has none.
        UnwritableOutput: for a folder that cannot be written to.
    """
    from sfic_bench.timing.recording import SnapshotFolder, TraceFolder

    recorders: list[FolderRecorder] = []
    if memory_snapshot is not None:
        if device is Device.CPU:
            raise InvalidValue(
                "--memory-snapshot needs a CUDA device, since torch keeps no history of a CPU's memory; "
                "--profile FOLDER draws how much is allocated there over time"
            )
        recorders += [SnapshotFolder(folder) for folder in paths_in(memory_snapshot)]
    return recorders if profile is None else [*recorders, *map(TraceFolder, paths_in(profile))]


def _finished(result: TimingResult) -> int:
    """The number of backbones or layers of which no more batch sizes follow."""
    open_curves = sum(curve.ended_by == "interrupt" for curve in result.curves)
    return len({family.name for family in result.families}) - open_curves


def _place(family: Family) -> str:
    return family.name if family.batch_size is None else f"{family.name}, batch {family.batch_size}"
