"""The blocks of a sweep file, each of which asks for jobs.

There are ``[[cost]]``, ``[[latency]]``, ``[[accuracy]]`` and ``[[table]]``. Their keys are the options of
`sfic-bench flops`, ``latency``, ``accuracy`` and ``table``, with underscores. A key with a list is an axis, and a block
stands for the product of its axes; only the lists of ``path``, ``data``, ``compression`` and ``logger`` belong together
in one job.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar, Union, get_type_hints

import msgspec
from msgspec import Meta, Struct

from sfic_bench.choices import OnUnsupported, TableNumber
from sfic_bench.errors import InvalidValue, UnknownName
from sfic_bench.measure.conditions import Conditions, Device, parse_bytes
from sfic_bench.measure.paths import EXECUTION_PATHS
from sfic_bench.measure.sampler import Stop
from sfic_bench.networks.grid import Grid, grid_of
from sfic_bench.networks.variant import Variant
from sfic_bench.paper.wide import PaperTable
from sfic_bench.sweeping.jobs import AnyJob, CostJob, TimingJob, TrainJob
from sfic_bench.sweeping.jobs.job import Needs
from sfic_bench.sweeping.manifests import EMBEDDED, content_name, manifests, named_by_content
from sfic_bench.training.presets import Preset, recipe_of
from sfic_bench.training.recipe import IMAGENET_START, RANDOM_START, EvaluationProtocol, Recipe

if TYPE_CHECKING:
    from sfic_bench.data.manifest import Manifest

T = TypeVar("T")
Amount = Annotated[float, Meta(ge=0)]
Alphas = Literal["none"] | float | list[float] | None
Betas = float | list[float] | None
Trainings = Iterable[tuple[EvaluationProtocol, str, Variant]]
"""For each training its protocol, the name of the data that it trains on, and the network."""

CONDITIONS = Conditions.__struct_fields__
KEYS = {"dtype": "precision"}
"""The keys of fields that have another name on the command line."""

RECIPE = tuple(name for name in get_type_hints(Recipe) if name != "seed")


class Block(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all blocks have: what a job needs of its node (see `Needs`)."""

    cpus: Annotated[float, Meta(gt=0)] | None = None
    gpus: Amount | None = None
    accelerator_type: str | list[str] | None = None
    resources: dict[str, Amount] = {}

    def jobs(self, folder: Path) -> Iterator[AnyJob]:
        """The jobs that the block asks for; paths in it start from ``folder``."""
        raise NotImplementedError

    def combinations(self, names: Iterable[str]) -> Iterator[dict[str, object]]:
        """Every combination of the values that the keys ``names`` list."""
        axes = {name: _listed(getattr(self, name)) for name in names}
        for name, values in axes.items():
            if repeated := [value for value, count in Counter(values).items() if count > 1]:
                raise InvalidValue(f"{name} lists {repeated[0]} twice")
        for combination in itertools.product(*axes.values()):
            yield dict(zip(axes, combination, strict=True))

    def needs(self, cpus: float | None, gpus: float, hosts: int = 1, workers: int = 0) -> Iterator[Needs]:
        """The needs of a job for each type of accelerator; ``cpus`` and ``gpus`` are the defaults."""
        cpus, gpus = (cpus if self.cpus is None else self.cpus), (gpus if self.gpus is None else self.gpus)
        kinds = self.accelerator_type
        for kind in kinds if isinstance(kinds, list) else [kinds]:
            yield Needs(
                hosts=hosts, cpus=cpus, gpus=gpus, accelerator_type=kind, resources=self.resources, workers=workers
            )


class GridBlock(Block, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What blocks with a grid of networks have."""

    backbone: str | list[str]
    alpha: Alphas = None
    beta: Betas = None
    on_unsupported: OnUnsupported = OnUnsupported.JOIN

    def grid(self, folder: Path) -> Grid:
        """The networks, with the paper's α and β if the block has none."""
        return _grid(folder, self.backbone, self.alpha, self.beta, self.on_unsupported)


class CostBlock(GridBlock, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Parameters and MACs."""

    input_size: int | list[int] = 256
    classes: int | list[int] = 2

    def jobs(self, folder: Path) -> Iterator[CostJob]:
        for network in self.grid(folder):
            files = _sources(network.backbone)
            for sizes in self.combinations(("input_size", "classes")):
                for needs in self.needs(1, 0):
                    yield msgspec.convert({"network": network, **sizes, "needs": needs, "files": files}, CostJob)


class TimingKeys(GridBlock, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Time and memory; the other keys are those of `Conditions`."""

    path: str | list[str] = msgspec.field(default_factory=lambda: ["reference", "fused"])
    batch_size: int | list[int] | Literal["auto"] = Conditions().batch_size
    max_seconds: Annotated[float, Meta(gt=0)] = Stop().max_seconds
    rounds: Annotated[int, Meta(ge=1)] = Stop().min_rounds
    memory_limit: str | None = None

    def jobs(self, folder: Path) -> Iterator[TimingJob]:
        paths = _listed(self.path)
        for name in paths:
            if name not in EXECUTION_PATHS:
                raise UnknownName("execution path", name, EXECUTION_PATHS)
        grid, limit = self.grid(folder), None if self.memory_limit is None else parse_bytes(self.memory_limit)
        forms = Counter(network.backbone for network in grid)
        keys = [KEYS.get(name, name) for name in CONDITIONS]
        for network, chosen in itertools.product(grid, list(self.combinations(keys))):
            if network.is_vanilla and forms[network.backbone] > 1:
                continue  # it is timed beside each of its SFIC forms
            combination = dict(zip(CONDITIONS, chosen.values(), strict=True))
            finds = combination["batch_size"] == "auto"
            conditions = msgspec.convert(combination | ({"batch_size": 1} if finds else {}), Conditions)
            on_gpu = conditions.device is Device.CUDA
            if on_gpu and self.gpus is not None and (self.gpus < 1 or self.gpus % 1):
                raise InvalidValue(f"a latency cell shares no GPU: gpus must be a whole number, got {self.gpus:g}")
            if not on_gpu and self.cpus is not None:
                raise InvalidValue(
                    "a latency cell on a CPU takes the whole node, so that nothing disturbs it: leave cpus out"
                )
            for needs in self.needs(1 if on_gpu else None, 1 if on_gpu else 0):
                yield TimingJob(
                    network=network, conditions=conditions, paths=paths, max_seconds=self.max_seconds,
                    rounds=self.rounds, memory_limit=limit, finds_batch_sizes=finds, needs=needs,
                    files=_sources(network.backbone),
                )  # fmt: skip


class TrainingKeys(Block, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What blocks that train have; the other keys are those of `Recipe`, which change the block's ``recipe``.

    Each of the ``hosts`` has ``devices``, and all that a job needs.
    """

    recipe: str | list[str] = Preset.PAPER.value
    data: str | list[str] = EMBEDDED
    compression: str | list[str] = []
    seeds: int | list[int] = Recipe().seed
    device: Device | list[Device] = Device.CPU
    devices: Annotated[int, Meta(ge=1)] = 1
    hosts: Annotated[int, Meta(ge=1)] = 1
    workers: Annotated[int, Meta(ge=0)] = 0
    skip_unreadable: bool = False
    logger: str | list[str] | None = None

    def trainings(self, folder: Path, choose: "Callable[[Sequence[Manifest]], Trainings]") -> Iterator[TrainJob]:
        """A job for each training that ``choose`` gives for the block's manifests, for each recipe, seed and device."""
        if self.gpus is not None and self.devices > 1 and self.gpus != self.devices:
            raise InvalidValue(
                f"devices = {self.devices} asks for as many GPUs on a node, and gpus is {self.gpus:g}: leave gpus out"
            )
        data, files = named_by_content(_listed(self.data), folder)
        compression = _listed(self.compression)
        chosen = dict.fromkeys(choose(manifests(data, files, compression)))
        recipes = [self._recipe(folder, values) for values in self.combinations(("recipe", *self._given()))]
        for (protocol, train_on, network), recipe, seed, device in itertools.product(
            chosen, recipes, _listed(self.seeds), _listed(self.device)
        ):
            gpus = self.devices if device is Device.CUDA else 0
            for needs in self.needs(1, gpus, self.hosts, self.workers):
                yield TrainJob(
                    network=network, recipe=replace(recipe, seed=seed), protocol=protocol,
                    data=data, compression=compression, train_on=train_on, device=device, devices=self.devices,
                    skip_unreadable=self.skip_unreadable, threads=needs.threads if device is Device.CPU else None,
                    loggers=None if self.logger is None else _listed(self.logger),
                    needs=needs, files=files | _sources(network.backbone),
                )  # fmt: skip

    def _given(self) -> list[str]:
        return [name for name in RECIPE if getattr(self, name) is not None]

    def _recipe(self, folder: Path, values: Mapping[str, object]) -> Recipe:
        changes = dict(values)
        source = str(changes.pop("recipe"))
        if source.endswith(".toml"):
            source = str((folder / source).resolve())
        if changes.get("init", RANDOM_START) not in (RANDOM_START, IMAGENET_START):
            changes["init"] = str((folder / str(changes["init"])).resolve())
        return recipe_of(source, changes)


class TrainKeys(TrainingKeys, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Training and scoring a grid of networks by a protocol."""

    backbone: str | list[str]
    alpha: Alphas = None
    beta: Betas = None
    on_unsupported: OnUnsupported = OnUnsupported.JOIN
    protocol: EvaluationProtocol = EvaluationProtocol.INTRA

    def jobs(self, folder: Path) -> Iterator[TrainJob]:
        from sfic_bench.training.protocols import experiments

        grid = _grid(
            folder, self.backbone, self.alpha, self.beta, self.on_unsupported,
            default_alphas=(0.5,), default_betas=(1.0,),
        )  # fmt: skip

        def choose(read: "Sequence[Manifest]") -> Trainings:
            names = dict.fromkeys(e.train_on for e in experiments(self.protocol, read))
            return itertools.product([self.protocol], names, grid)

        yield from self.trainings(folder, choose)


class TableKeys(TrainingKeys, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Training and scoring the networks of one of the paper's tables, or of several, each training once."""

    number: TableNumber | list[TableNumber]

    def jobs(self, folder: Path) -> Iterator[TrainJob]:
        from sfic_bench.training.tables import PROTOCOLS, experiments_of

        def choose(read: "Sequence[Manifest]") -> Trainings:
            for table in map(PaperTable.of, _listed(self.number)):
                selected, _ = experiments_of(table, read)
                names = dict.fromkeys(e.train_on for e in selected)
                yield from itertools.product([PROTOCOLS[table.number]], names, table.networks)

        yield from self.trainings(folder, choose)


def _with_axes(keys: type[Block], declaration: type, axes: Iterable[str], *, optional: bool = False) -> type[Block]:
    """A kind of block with ``keys``, and with the fields ``axes`` of a declaration, each a value or a list of values.

    So a block has the names and defaults of the declaration, which the command line has too. ``optional`` fields are
    ``None`` by default.
    """
    types, defaults = get_type_hints(declaration), declaration()
    fields: list[tuple[str, object, object]] = []
    for axis in axes:
        kinds = (types[axis], list.__class_getitem__(types[axis]), *([None] if optional else []))
        fields.append((KEYS.get(axis, axis), Union[kinds], None if optional else getattr(defaults, axis)))  # noqa: UP007
    block: type[Block] = msgspec.defstruct(
        f"{declaration.__name__}Block", fields, bases=(keys,), frozen=True, kw_only=True, forbid_unknown_fields=True
    )  # type: ignore[assignment]  # it makes a type out of data
    return block


BLOCKS: Mapping[str, type[Block]] = {
    "cost": CostBlock,
    "latency": _with_axes(TimingKeys, Conditions, (name for name in CONDITIONS if name != "batch_size")),
    "accuracy": _with_axes(TrainKeys, Recipe, RECIPE, optional=True),
    "table": _with_axes(TableKeys, Recipe, RECIPE, optional=True),
}
"""The kinds of block that a sweep file can have, each as often as wanted."""


def _listed(value: T | list[T]) -> list[T]:
    return value if isinstance(value, list) else [value]


def _sources(backbone: str) -> dict[str, str]:
    """The path of the file that a network comes from, if any, by its content."""
    place = backbone.rpartition(":")[0]
    return {content_name(Path(place)): place} if place.endswith(".py") else {}


def _grid(
    folder: Path, backbone: str | list[str], alpha: Alphas, beta: Betas, on_unsupported: OnUnsupported,
    **defaults: tuple[float, ...],
) -> Grid:  # fmt: skip
    names = []
    for name in _listed(backbone):
        place, _, function = name.rpartition(":")
        # A relative path would mean another file on nodes that have another working directory.
        names.append(f"{(folder / place).resolve()}:{function}" if place.endswith(".py") else name)
    alphas = None if alpha is None else () if alpha == "none" else tuple(_listed(alpha))
    betas = None if beta is None else tuple(_listed(beta))
    return grid_of(names, alphas, betas, on_unsupported, **defaults)
