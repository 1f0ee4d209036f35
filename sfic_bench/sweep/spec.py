"""The sweep file: from TOML to cells.

Three kinds of block, each as often as wanted: ``[[cost]]``, ``[[latency]]`` and ``[[accuracy]]``. Keys are the options of
`sfic-bench flops`, ``latency`` and ``accuracy``, with underscores. A key that is given a list is an axis, and a block is
the product of its axes; ``path``, ``data`` and ``compression`` belong together in one cell instead.
"""

import itertools
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from sfic_bench.conditions import Conditions
from sfic_bench.errors import InvalidValue, SficBenchError, UnknownName
from sfic_bench.grids import grid_of
from sfic_bench.spec import EXECUTION_PATHS, Grid, OnUnsupported
from sfic_bench.sweep.cell import Cell, Needs, content
from sfic_bench.sweep.manifests import EMBEDDED, manifests, named_by_content

Text = str | list[str]
Number = float | list[float]
Whole = int | list[int]
Flag = bool | list[bool]
Ratios = Literal["none"] | float | list[float]
Amount = Annotated[float, Meta(ge=0)]


class BadSweep(SficBenchError):
    """A sweep file that cannot be used."""


class Block(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all blocks have: networks, and what a cell needs of its node (see `Needs`)."""

    backbone: Text
    alpha: Ratios | None = None
    beta: Number | None = None
    on_unsupported: OnUnsupported = "error"
    cpus: Annotated[float, Meta(gt=0)] | None = None
    gpus: Amount | None = None
    accelerator_type: Text | None = None
    resources: dict[str, Amount] = {}


class CostBlock(Block, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters and MACs."""

    input_size: Whole = 256
    classes: Whole = 2


class LatencyBlock(Block, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Time and memory. A cell is one SFIC network and its vanilla form, timed in the same rounds."""

    path: Text = field(default_factory=lambda: ["reference", "fused"])
    device: Text = "cpu"
    dtype: Text = "fp32"
    batch_size: Whole = 4
    input_size: Whole = 256
    layout: Text = "contiguous"
    training: Flag = False
    flush_l2: Flag = True
    energy: Flag = True
    max_seconds: Annotated[float, Meta(gt=0)] = 30.0


class AccuracyBlock(Block, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Training and scoring by a protocol. A cell is one run: one network, one seed.

    On ``hosts`` nodes with ``devices`` each; what a cell needs is then needed of each node.
    """

    protocol: str = "intra"
    data: Text = EMBEDDED
    compression: Text = []
    seeds: Whole = 7
    epochs: Whole = 20
    batch_size: Whole = 64
    learning_rate: Number = 1e-4
    decay: Number = 0.5
    input_size: Whole = 256
    precision: Text = "fp32"
    device: Text = "cpu"
    devices: Annotated[int, Meta(ge=1)] = 1
    hosts: Annotated[int, Meta(ge=1)] = 1
    workers: Annotated[int, Meta(ge=0)] = 0
    skip_unreadable: bool = False


class SweepFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that a sweep file can have."""

    cost: list[CostBlock] = []
    latency: list[LatencyBlock] = []
    accuracy: list[AccuracyBlock] = []


def read_sweep(path: Path) -> list[Cell]:
    """The cells that the file at ``path`` asks for; paths in it start from its folder.

    Raises:
        BadSweep: for a file that cannot be read, an unknown key, a value of the wrong type, an empty axis, a cell that is asked
            for twice, or values that cannot be; it names the block.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadSweep(f"cannot read {path}: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSweep(f"{path} is no TOML: {error}") from None
    _check_keys(path, found)
    try:
        file = msgspec.convert(found, SweepFile)
    except msgspec.ValidationError as error:
        raise BadSweep(f"{path}: {error}") from None
    cells = []
    for command in ("cost", "latency", "accuracy"):
        for number, block in enumerate(getattr(file, command), 1):
            place = f"{path}, [[{command}]] {number}"
            try:
                cells += [replace(c, block=place) for c in CELLS[command](block, path.parent)]
            except BadSweep:
                raise
            except SficBenchError as error:
                raise BadSweep(f"{place}: {error}") from None
    if not cells:
        raise BadSweep(f"{path} asks for nothing; expected blocks [[cost]], [[latency]] or [[accuracy]]")
    _check_unique(cells)
    return cells


BLOCKS: Mapping[str, type[Block]] = {"cost": CostBlock, "latency": LatencyBlock, "accuracy": AccuracyBlock}


def _check_keys(path: Path, found: Mapping[str, Any]) -> None:
    """Name an unknown key with the nearest known one, and an axis without values, before types are looked at."""
    for name, blocks in found.items():
        if name not in BLOCKS:
            raise BadSweep(f"{path}: {UnknownName('block', name, BLOCKS)}")
        if not isinstance(blocks, list):
            raise BadSweep(f"{path}: write [[{name}]], not [{name}]: there may be several")
        for number, block in enumerate(blocks, 1):
            place = f"{path}, [[{name}]] {number}"
            for key, value in block.items() if isinstance(block, dict) else ():
                if key not in BLOCKS[name].__struct_fields__:
                    raise BadSweep(f"{place}: {UnknownName('key', key, BLOCKS[name].__struct_fields__)}")
                if value == []:
                    raise BadSweep(f"{place}: {key} is an empty list: give it a value, or leave it out")


def _check_unique(cells: Iterable[Cell]) -> None:
    seen: dict[str, Cell] = {}
    for cell in cells:
        # What determines a result is the same for all cells but these; the device's kind is asked for.
        key = cell.key("", "", cell.needs.accelerator_type or "")
        if key in seen:
            one, other = seen[key].block, cell.block
            both = one if one == other else f"{one} and {other}"
            raise BadSweep(f"{both}: the {cell} is asked for twice")
        seen[key] = cell


def _axes(block: Block, *names: str) -> Iterator[dict[str, Any]]:
    """Every combination of the values that the keys ``names`` list."""
    lists = [_listed(getattr(block, name)) for name in names]
    for name, values in zip(names, lists, strict=True):
        if twice := [str(value) for value, count in Counter(values).items() if count > 1]:
            raise InvalidValue(f"{name} lists {twice[0]} twice")
    for chosen in itertools.product(*lists):
        yield dict(zip(names, chosen, strict=True))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _grid(
    block: Block, folder: Path, alphas: tuple[float, ...] | None, betas: tuple[float, ...] | None
) -> Grid:
    names = [_resolved(name, folder) for name in _listed(block.backbone)]
    if block.alpha is not None:
        alphas = () if block.alpha == "none" else tuple(_listed(block.alpha))
    if block.beta is not None:
        betas = tuple(_listed(block.beta))
    return grid_of(names, alphas, betas, block.on_unsupported)


def _resolved(backbone: str, folder: Path) -> str:
    """Nodes have other working directories: a network's file must have a path that all of them know."""
    place, _, what = backbone.rpartition(":")
    return f"{(folder / place).resolve()}:{what}" if place.endswith(".py") else backbone


def _sources(backbone: str) -> dict[str, str]:
    place = backbone.rpartition(":")[0]
    return {content(Path(place).read_bytes()): place} if place.endswith(".py") else {}


def _networks(grid: Grid) -> Iterator[tuple[dict[str, Any], dict[str, str]]]:
    for v in grid:
        yield asdict(v), _sources(v.backbone)


def _needs(
    block: Block, cpus: float | None, gpus: float, hosts: int = 1, workers: int = 0
) -> Iterator[Needs]:
    for kind in _listed(block.accelerator_type):
        yield Needs(
            hosts=hosts,
            cpus=cpus if block.cpus is None else block.cpus,
            gpus=gpus if block.gpus is None else block.gpus,
            accelerator_type=kind,
            resources=block.resources,
            workers=workers,
        )


def _cost(block: CostBlock, folder: Path) -> Iterator[Cell]:
    for network, files in _networks(_grid(block, folder, None, None)):
        for axes in _axes(block, "input_size", "classes"):
            for needs in _needs(block, 1, 0):
                yield Cell(command="cost", asked=network | axes, needs=needs, files=files)


def _latency(block: LatencyBlock, folder: Path) -> Iterator[Cell]:
    paths = _listed(block.path)
    for name in paths:
        if name not in EXECUTION_PATHS:
            raise UnknownName("execution path", name, EXECUTION_PATHS)
    axes = ("device", "dtype", "batch_size", "input_size", "layout", "training", "flush_l2", "energy")
    grid = _grid(block, folder, None, None)
    forms = Counter(v.backbone for v in grid)
    for network, files in _networks(grid):
        if network["alpha"] is None and forms[network["backbone"]] > 1:
            continue  # it is timed beside each of its SFIC forms
        for asked in _axes(block, *axes):
            conditions = asdict(Conditions(**asked))
            on_gpu = asked["device"] == "cuda"
            if on_gpu and block.gpus is not None and (block.gpus < 1 or block.gpus % 1):
                raise InvalidValue(
                    f"a latency cell shares no GPU: gpus must be a whole number, got {block.gpus:g}"
                )
            if not on_gpu and block.cpus is not None:
                raise InvalidValue(
                    "a latency cell on a CPU takes the whole node, so that nothing disturbs it: leave cpus out"
                )
            for needs in _needs(block, 1 if on_gpu else None, 1 if on_gpu else 0):
                told = {"paths": paths, "max_seconds": block.max_seconds}
                yield Cell(command="latency", asked=network | conditions | told, needs=needs, files=files)


def _accuracy(block: AccuracyBlock, folder: Path) -> Iterator[Cell]:
    from sfic_bench.train.protocols import experiments
    from sfic_bench.train.recipe import Recipe

    data, files = named_by_content(_listed(block.data), folder)
    compression = _listed(block.compression)
    if block.gpus is not None and block.devices > 1 and block.gpus != block.devices:
        raise InvalidValue(
            f"devices = {block.devices} asks for as many GPUs on a node, and gpus is {block.gpus:g}: leave gpus out"
        )
    found = experiments(block.protocol, manifests(data, files, compression))
    axes = ("epochs", "batch_size", "learning_rate", "decay", "input_size", "precision", "seeds", "device")
    for trained in dict.fromkeys(e.train_on for e in found):
        for network, sources in _networks(_grid(block, folder, (0.5,), (1.0,))):
            for asked in _axes(block, *axes):
                seed, device = asked.pop("seeds"), asked.pop("device")
                Recipe(**asked, seed=seed)  # raises for what cannot be
                gpus = block.devices if device == "cuda" else 0
                for needs in _needs(block, 1, gpus, block.hosts, block.workers):
                    told = {
                        "protocol": block.protocol, "data": data, "compression": compression, "train_on": trained,
                        "seed": seed, "device": device, "devices": block.devices, "hosts": block.hosts,
                        "skip_unreadable": block.skip_unreadable,
                        # Sums are taken in another order by other numbers of threads.
                        "threads": needs.threads if device == "cpu" else None,
                    }  # fmt: skip
                    yield Cell(
                        command="accuracy",
                        asked=network | asked | told,
                        needs=needs,
                        files=files | sources,
                    )


CELLS: Mapping[str, Callable[[Any, Path], Iterator[Cell]]] = {
    "cost": _cost,
    "latency": _latency,
    "accuracy": _accuracy,
}
