"""The sweep file: from TOML to jobs.

Three kinds of block, each as often as wanted: ``[[cost]]``, ``[[latency]]`` and ``[[accuracy]]``. Keys are the options of
`sfic-bench flops`, ``latency`` and ``accuracy``, with underscores. A key that is given a list is an axis, and a block is
the product of its axes; ``path``, ``data`` and ``compression`` belong together in one job instead.
"""

import itertools
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeVar, Union, get_type_hints

import msgspec
from msgspec import Meta, Struct, structs

from sfic_bench.errors import InvalidValue, SficBenchError, UnknownName
from sfic_bench.measure.conditions import Conditions, Device
from sfic_bench.measure.paths import EXECUTION_PATHS
from sfic_bench.measure.sampler import Stop
from sfic_bench.networks.grid import Grid, grid_of
from sfic_bench.networks.variant import OnUnsupported
from sfic_bench.sweep.jobs import AnyJob, CostJob, TimingJob, TrainJob
from sfic_bench.sweep.jobs.job import Needs
from sfic_bench.sweep.manifests import EMBEDDED, content_name, manifests, named_by_content
from sfic_bench.train.recipe import EvaluationProtocol, Recipe

T = TypeVar("T")
Ratios = Literal["none"] | float | list[float]
Amount = Annotated[float, Meta(ge=0)]


class BadSweep(SficBenchError):
    """A sweep file that cannot be used."""


class Block(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all blocks have: networks, and what a job needs of its node (see `Needs`)."""

    backbone: str | list[str]
    alpha: Ratios | None = None
    beta: float | list[float] | None = None
    on_unsupported: OnUnsupported = OnUnsupported.ERROR
    cpus: Annotated[float, Meta(gt=0)] | None = None
    gpus: Amount | None = None
    accelerator_type: str | list[str] | None = None
    resources: dict[str, Amount] = {}


def _defaults(declaration: type) -> dict[str, object]:
    """The fields of a dataclass or struct and their defaults."""
    info = msgspec.inspect.type_info(declaration)
    assert isinstance(info, msgspec.inspect.StructType | msgspec.inspect.DataclassType)
    return {field.name: field.default for field in info.fields}


def _default(declaration: type, name: str, type: type[T]) -> T:
    value = _defaults(declaration)[name]
    assert isinstance(value, type)
    return value


def _axes(declaration: type, *, without: tuple[str, ...] = ()) -> list[tuple[str, object, object]]:
    """The fields of a declaration as keys of a block, each of which takes a value or a list of values.

    So the names and defaults of a block are those of the declaration that the command line has, too.
    """
    types, defaults = get_type_hints(declaration), _defaults(declaration)
    one_or_list = {name: Union[types[name], list.__class_getitem__(types[name])] for name in defaults}  # noqa: UP007
    return [(name, one_or_list[name], default) for name, default in defaults.items() if name not in without]


class CostBlock(Block, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters and MACs."""

    input_size: int | list[int] = 256
    classes: int | list[int] = 2


class TimingKeys(Block, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Time and memory, besides the axes of `Conditions`. A job is one SFIC network and its vanilla form, timed in the same rounds."""

    path: str | list[str] = msgspec.field(default_factory=lambda: ["reference", "fused"])
    max_seconds: Annotated[float, Meta(gt=0)] = _default(Stop, "max_seconds", float)


class TrainKeys(Block, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Training and scoring by a protocol, besides the axes of `Recipe`. A job is one run: one network, one seed.

    On ``hosts`` nodes with ``devices`` each; what a job needs is then needed of each node.
    """

    protocol: EvaluationProtocol = EvaluationProtocol.INTRA
    data: str | list[str] = EMBEDDED
    compression: str | list[str] = []
    seeds: int | list[int] = _default(Recipe, "seed", int)
    device: Device | list[Device] = Device.CPU
    devices: Annotated[int, Meta(ge=1)] = 1
    hosts: Annotated[int, Meta(ge=1)] = 1
    workers: Annotated[int, Meta(ge=0)] = 0
    skip_unreadable: bool = False


def _block(name: str, keys: type[Block], axes: list[tuple[str, object, object]]) -> type[Block]:
    block: type[Block] = msgspec.defstruct(
        name, axes, bases=(keys,), frozen=True, kw_only=True, forbid_unknown_fields=True
    )  # type: ignore[assignment]  # it makes a type out of data
    return block


TimingBlock = _block("TimingBlock", TimingKeys, _axes(Conditions))
TrainBlock = _block("TrainBlock", TrainKeys, _axes(Recipe, without=("seed",)))


BLOCKS: Mapping[str, type[Block]] = {"cost": CostBlock, "latency": TimingBlock, "accuracy": TrainBlock}
"""The kinds of block that a sweep file can have, each as often as wanted."""


def read_sweep(path: Path) -> list[AnyJob]:
    """The jobs that the file at ``path`` asks for; paths in it start from its folder.

    Raises:
        BadSweep: for a file that cannot be read, an unknown key, a value of the wrong type, an empty axis, a job that is asked
            for twice, or values that cannot be; it names the block.
    """
    try:
        file = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadSweep(f"cannot read {path}: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSweep(f"{path} is no TOML: {error}") from None
    for kind in file:
        if kind not in BLOCKS:
            raise BadSweep(f"{path}: {UnknownName('block', kind, BLOCKS)}")
    jobs: list[AnyJob] = []
    for kind in BLOCKS:
        blocks = file.get(kind, [])
        if not isinstance(blocks, list):
            raise BadSweep(f"{path}: write [[{kind}]], not [{kind}]: there may be several")
        for number, keys in enumerate(blocks, 1):
            place = f"{path}, [[{kind}]] {number}"
            try:
                block = _checked(BLOCKS[kind], keys)
                jobs += [structs.replace(job, block=place) for job in _jobs(block, path.parent)]
            except (SficBenchError, msgspec.ValidationError) as error:
                raise BadSweep(f"{place}: {error}") from None
    if not jobs:
        raise BadSweep(f"{path} asks for nothing; expected blocks [[cost]], [[latency]] or [[accuracy]]")
    _check_unique(jobs)
    return jobs


def _checked(kind: type[Block], keys: object) -> Block:
    """A block, after an unknown key was named with the nearest known one, and an axis without values."""
    for key, value in keys.items() if isinstance(keys, dict) else ():
        if key not in kind.__struct_fields__:
            raise UnknownName("key", str(key), kind.__struct_fields__)
        if value == []:
            raise InvalidValue(f"{key} is an empty list: give it a value, or leave it out")
    return msgspec.convert(keys, kind)


def _jobs(block: Block, folder: Path) -> Iterator[AnyJob]:
    match block:
        case CostBlock():
            return _cost_jobs(block, folder)
        case TimingKeys():
            return _timing_jobs(block, folder)
        case TrainKeys():
            return _train_jobs(block, folder)
    raise AssertionError(f"no jobs are known for {type(block).__name__}")


def _check_unique(jobs: Iterable[AnyJob]) -> None:
    seen: dict[str, AnyJob] = {}
    for job in jobs:
        # What determines a result is the same for all jobs but these; the device's kind is asked for.
        key = job.key("", "", job.needs.accelerator_type or "")
        if key in seen:
            first, second = seen[key].block, job.block
            blocks = first if first == second else f"{first} and {second}"
            raise BadSweep(f"{blocks}: the {job} is asked for twice")
        seen[key] = job


def _listed(value: T | list[T]) -> list[T]:
    return value if isinstance(value, list) else [value]


def _combinations(block: Block, names: Iterable[str]) -> Iterator[dict[str, object]]:
    """Every combination of the values that the keys ``names`` list."""
    axes = {name: _listed(getattr(block, name)) for name in names}
    for name, values in axes.items():
        if twice := [str(value) for value, count in Counter(values).items() if count > 1]:
            raise InvalidValue(f"{name} lists {twice[0]} twice")
    for chosen in itertools.product(*axes.values()):
        yield dict(zip(axes, chosen, strict=True))


def _grid(block: Block, folder: Path, **defaults: tuple[float, ...]) -> Grid:
    names = [_resolved(name, folder) for name in _listed(block.backbone)]
    alphas = None if block.alpha is None else () if block.alpha == "none" else tuple(_listed(block.alpha))
    betas = None if block.beta is None else tuple(_listed(block.beta))
    return grid_of(names, alphas, betas, block.on_unsupported, **defaults)


def _resolved(backbone: str, folder: Path) -> str:
    """The name of a network with a path that all nodes know: they have other working directories."""
    place, _, name = backbone.rpartition(":")
    return f"{(folder / place).resolve()}:{name}" if place.endswith(".py") else backbone


def _sources(backbone: str) -> dict[str, str]:
    """The file that a network comes from, by its content."""
    place = backbone.rpartition(":")[0]
    return {content_name(Path(place).read_bytes()): place} if place.endswith(".py") else {}


def _needs(block: Block, cpus: float | None, gpus: float, hosts: int = 1, workers: int = 0) -> Iterator[Needs]:
    kinds = block.accelerator_type
    for kind in kinds if isinstance(kinds, list) else [kinds]:
        yield Needs(
            hosts=hosts,
            cpus=cpus if block.cpus is None else block.cpus,
            gpus=gpus if block.gpus is None else block.gpus,
            accelerator_type=kind,
            resources=block.resources,
            workers=workers,
        )


def _cost_jobs(block: CostBlock, folder: Path) -> Iterator[CostJob]:
    for network in _grid(block, folder):
        files = _sources(network.backbone)
        for chosen in _combinations(block, ("input_size", "classes")):
            for needs in _needs(block, 1, 0):
                job = {"network": network, **chosen, "needs": needs, "files": files}
                yield msgspec.convert(job, CostJob)


def _timing_jobs(block: TimingKeys, folder: Path) -> Iterator[TimingJob]:
    paths = _listed(block.path)
    for name in paths:
        if name not in EXECUTION_PATHS:
            raise UnknownName("execution path", name, EXECUTION_PATHS)
    grid = _grid(block, folder)
    forms = Counter(network.backbone for network in grid)
    for network in grid:
        if network.is_vanilla and forms[network.backbone] > 1:
            continue  # it is timed beside each of its SFIC forms
        files = _sources(network.backbone)
        for chosen in _combinations(block, _defaults(Conditions)):
            conditions = msgspec.convert(chosen, Conditions)
            on_gpu = conditions.device is Device.CUDA
            if on_gpu and block.gpus is not None and (block.gpus < 1 or block.gpus % 1):
                raise InvalidValue(f"a latency cell shares no GPU: gpus must be a whole number, got {block.gpus:g}")
            if not on_gpu and block.cpus is not None:
                raise InvalidValue(
                    "a latency cell on a CPU takes the whole node, so that nothing disturbs it: leave cpus out"
                )
            for needs in _needs(block, 1 if on_gpu else None, 1 if on_gpu else 0):
                yield TimingJob(
                    network=network, conditions=conditions, paths=paths, max_seconds=block.max_seconds, needs=needs,
                    files=files,
                )  # fmt: skip


def _train_jobs(block: TrainKeys, folder: Path) -> Iterator[TrainJob]:
    from sfic_bench.train.protocols import experiments

    data, files = named_by_content(_listed(block.data), folder)
    compression = _listed(block.compression)
    if block.gpus is not None and block.devices > 1 and block.gpus != block.devices:
        raise InvalidValue(
            f"devices = {block.devices} asks for as many GPUs on a node, and gpus is {block.gpus:g}: leave gpus out"
        )
    trainings = dict.fromkeys(e.train_on for e in experiments(block.protocol, manifests(data, files, compression)))
    grid = [
        (n, files | _sources(n.backbone)) for n in _grid(block, folder, default_alphas=(0.5,), default_betas=(1.0,))
    ]
    axes = [name for name in _defaults(Recipe) if name != "seed"]
    for train_on, (network, read), chosen in itertools.product(trainings, grid, list(_combinations(block, axes))):
        for seed, device in itertools.product(_listed(block.seeds), _listed(block.device)):
            recipe = msgspec.convert(chosen | {"seed": seed}, Recipe)
            gpus = block.devices if device is Device.CUDA else 0
            for needs in _needs(block, 1, gpus, block.hosts, block.workers):
                yield TrainJob(
                    network=network, recipe=recipe, protocol=block.protocol, data=data, compression=compression,
                    train_on=train_on, accelerator=device, devices=block.devices, skip_unreadable=block.skip_unreadable,
                    threads=needs.threads if device is Device.CPU else None, needs=needs,
                    files=read,
                )  # fmt: skip
