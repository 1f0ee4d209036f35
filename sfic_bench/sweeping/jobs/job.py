"""What all jobs of a sweep have: a network, what they need of a node, and the key that their result is kept by."""

import hashlib
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar, Protocol

import msgspec
from msgspec import Struct

from sfic_bench.measure.conditions import Device
from sfic_bench.networks.variant import Variant
from sfic_bench.results.environment import version_of
from sfic_bench.results.fields import Value
from sfic_bench.results.read import Result
from sfic_bench.version import __version__

Facts = dict[str, Value | list[str]]
"""What determines a result, by name."""

ReportRate = Callable[[float], object]
"""A function that is called with the images a second of a training, about once a second."""


class Needs(Struct, frozen=True, kw_only=True):
    """What a job needs of one node, or of each of several.

    Attributes:
        hosts: number of nodes that it runs on at once.
        cpus: cores, and torch's threads; ``None`` for all that the node has, so that no other job runs there.
        gpus: number of GPUs, or a share of one.
        accelerator_type: Ray's name of the GPU, such as ``H100``.
        resources: amounts by name, as the cluster's administrator declared them.
        workers: number of processes that decode images, for each device.
    """

    hosts: int = 1
    cpus: float | None = 1
    gpus: float = 0
    accelerator_type: str | None = None
    resources: dict[str, float] = {}
    workers: int = 0

    def __str__(self) -> str:
        parts = ["a whole node" if self.cpus is None else f"{self.cpus:g} CPUs"]
        parts += [f"{self.gpus:g} GPUs"] if self.gpus else []
        parts += [f"accelerator_type {self.accelerator_type}"] if self.accelerator_type else []
        on_one = ", ".join([*parts, *(f"{amount:g} {name}" for name, amount in self.resources.items())])
        return on_one if self.hosts == 1 else f"{self.hosts} nodes with {on_one} each"

    @property
    def shape(self) -> tuple[object, ...]:
        """A value that is the same for all needs that the same nodes can meet."""
        return self.hosts, self.cpus, self.gpus, self.accelerator_type, tuple(sorted(self.resources.items()))

    @property
    def named(self) -> dict[str, float]:
        """What a node must have besides cores and GPUs, by Ray's names; Ray gives each type of accelerator a name."""
        kind = {f"accelerator_type:{self.accelerator_type}": 0.001} if self.accelerator_type else {}
        return kind | self.resources

    @property
    def threads(self) -> int | None:
        """Threads of torch on one node, all processes together; ``None`` for as many as it has cores."""
        return None if self.cpus is None else max(1, int(self.cpus))


class PeerHosts(Protocol):
    """The hosts of a training besides the first, which they wait for at ``address``."""

    address: str

    def check(self, wait_s: float = 0) -> None:
        """Wait up to ``wait_s`` seconds for their end, and raise the error that ended one of them, if any did."""

    def stop(self) -> None:
        """End those that still run."""


StartPeers = Callable[[Path, int], PeerHosts]
"""Starts the other hosts of a training, given the run's folder and the batch size."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Workplace:
    """What a job has on the node that it runs on.

    Attributes:
        folder: gives a run's folder by its name; it is on this machine inside the ``with`` block.
        threads: number of torch's threads.
        start_peers: starts the other hosts of a training; ``None`` where an engine has one node.
        batch_size: the batch size that fits the memory, if the recipe's did not; otherwise ``None``.
    """

    folder: Callable[[str], AbstractContextManager[Path]]
    threads: int
    report_rate: ReportRate
    start_peers: StartPeers | None = None
    batch_size: int | None = None


class Done(Struct, frozen=True, kw_only=True):
    """A job's result; ``run`` and ``note`` are those of its `JobRecord`."""

    result: Result
    run: str = ""
    note: str = ""


class Job(Struct, frozen=True, kw_only=True, tag_field="command"):
    """The work of one cell of a sweep's grid, which gives one result.

    Attributes:
        needs: what it needs of the node that it runs on.
        files: the paths of manifests and of networks' files, by their content; see `sfic_bench.sweeping.manifests`.
        block: its place in the sweep file.
    """

    network: Variant
    needs: Needs
    files: dict[str, str] = {}
    block: str = ""

    order: ClassVar[int] = 0
    """Jobs of a lower order begin first."""

    is_timed: ClassVar[bool] = False
    """Whether the result is a time, which depends on the kind of device and is disturbed by other jobs on the node."""

    @property
    def command(self) -> str:
        """The command that gives the same result: ``cost``, ``latency`` or ``accuracy``."""
        return str(self.__struct_config__.tag)

    @property
    def device(self) -> Device:
        """The kind of device that it runs on; counting is done on a CPU."""
        return Device.CPU

    def facts(self) -> Facts:
        """Everything that determines the result, besides code, torch and device; of the base class, the network's part.

        A network's name has the version of the library or the content of the file that it comes from.
        """
        v, name = self.network, self.network.backbone
        place, colon, function = name.rpartition(":")
        if colon:
            content = next((content for content, path in self.files.items() if path == place), None)
            name = f"{content or f'{place} {version_of(place)}'}:{function}"
        return {"backbone": name, "alpha": v.alpha, "beta": v.beta, "on_unsupported": str(v.on_unsupported)}

    def run(self, key: str, workplace: Workplace) -> Done:
        """Compute the result; ``key`` names what is kept meanwhile."""
        raise NotImplementedError

    def key(self, code: str, torch: str, device_kind: str) -> str:
        """A file name that is the same wherever the same result would come out.

        It depends on `facts`, `code_version`, torch's version and, if the result is a time, the kind of device.
        """
        determines = [self.command, self.facts(), code, torch, device_kind]
        digest = hashlib.sha256(json.dumps(determines, sort_keys=True).encode()).hexdigest()
        return f"{self.readable_key}-{digest[:16]}"

    @property
    def readable_key(self) -> str:
        """The beginning of the job's key, which does not depend on code, torch or device."""
        seed = self.facts().get("seed", "")
        parts = (self.command, _slug(str(self.network)), _slug(str(seed)))
        return "-".join(part for part in parts if part)[:80]


def plain(value: object) -> Facts:
    """A struct or dataclass of plain values as a mapping."""
    return msgspec.convert(msgspec.to_builtins(value), Facts)


def _slug(text: str) -> str:
    text = text.rpartition("/")[2].replace("α=", "a").replace("β=", "b")
    return "-".join("".join(c if c.isascii() and (c.isalnum() or c in "._") else " " for c in text).split())


@cache
def code_version() -> str:
    """The version, and a digest of all code that can determine a result: everything but the command line's."""
    package, digest = Path(__file__).parents[2], hashlib.sha256()
    files = {path.relative_to(package).as_posix(): path for path in package.rglob("*.*")}
    for name, path in sorted(files.items()):
        if path.suffix in (".py", ".csv") and not name.startswith("cli/"):
            digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return f"{__version__}+{digest.hexdigest()[:12]}"
