"""What all jobs of a sweep have: a network, what they need of a node, and the key that their result is kept by."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
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

Facts = Mapping[str, Value | list[str]]
"""What determines a result, by name."""

ReportRate = Callable[[float], object]
"""Is given the images a second of a training, now and then."""


class Needs(Struct, frozen=True, kw_only=True):
    """What a job needs of one node, or of each of several.

    Attributes:
        hosts: nodes that it runs on at once.
        cpus: cores, and torch's threads; ``None`` for all that the node has, so that no other job runs there.
        gpus: whole ones, or a share of one.
        accelerator_type: as Ray names it, such as ``H100``.
        resources: by name, what the cluster's administrator gave to nodes.
        workers: processes that decode images, for each device.
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
        """What is the same for needs that the same nodes can meet."""
        return self.hosts, self.cpus, self.gpus, self.accelerator_type, tuple(sorted(self.resources.items()))

    @property
    def named(self) -> dict[str, float]:
        """What a node must have besides cores and GPUs, by Ray's names; of an accelerator's type a trace is asked for."""
        kind = {f"accelerator_type:{self.accelerator_type}": 0.001} if self.accelerator_type else {}
        return kind | self.resources

    @property
    def threads(self) -> int | None:
        """Threads of torch on one node, all processes together; ``None`` for as many as it has cores."""
        return None if self.cpus is None else max(1, int(self.cpus))


class PeerHosts(Protocol):
    """The hosts beside the first of a training that takes several; they wait for it at ``address``."""

    address: str

    def check(self, wait_s: float = 0) -> None:
        """Raise what ended one of them, if something has within ``wait_s`` seconds or they are all done by then."""

    def stop(self) -> None:
        """End those that still run."""


StartPeers = Callable[[Path, int], PeerHosts]
"""Starts the other hosts of a training, given the run's folder and the images of a step."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Workplace:
    """What a job has on the node that it runs on.

    Attributes:
        folder: the folder that a run is kept in, by its name; on this machine while the block runs.
        threads: of torch.
        report_rate: is told how fast a training is.
        start_peers: starts the other hosts of a training; ``None`` where an engine has one node.
        batch_size: less than the recipe's after the memory was too small for that.
    """

    folder: Callable[[str], AbstractContextManager[Path]]
    threads: int
    report_rate: ReportRate
    start_peers: StartPeers | None = None
    batch_size: int | None = None


class Done(Struct, frozen=True, kw_only=True):
    """A job's result, and what else is to be known of how it came about.

    Attributes:
        run: the run of a training, as a folder's name in the sweep's store.
        note: what was done otherwise than the sweep file says.
    """

    result: Result
    run: str = ""
    note: str = ""


class Job(Struct, frozen=True, kw_only=True, tag_field="command"):
    """One result to be had.

    Attributes:
        needs: of the node that it runs on.
        files: paths by content, see `sfic_bench.sweep.manifests`, of manifests and of networks' files.
        block: where in the sweep file it stands.
    """

    network: Variant
    needs: Needs
    files: dict[str, str] = {}
    block: str = ""

    order: ClassVar[int] = 0
    """Jobs of a lower order begin first."""

    is_timed: ClassVar[bool] = False
    """Whether the result is a time, which is one of one kind of device, and disturbed by any other job beside it."""

    @property
    def command(self) -> str:
        """The command whose result it is: ``cost``, ``latency`` or ``accuracy``."""
        return str(self.__struct_config__.tag)

    @property
    def device(self) -> Device:
        """The kind of device that it runs on; counting needs none, and is done on a CPU."""
        return Device.CPU

    def facts(self) -> Facts:
        """Everything that determines the result, besides code, torch and device.

        Files are named by their content, so that it does not matter where they lie.
        """
        raise NotImplementedError

    def run(self, key: str, workplace: Workplace) -> Done:
        """Compute the result; ``key`` names what is kept meanwhile."""
        raise NotImplementedError

    def smaller_batch(self, batch_size: int | None) -> int | None:
        """The batch to try after ``batch_size``, or the job's own, was too large for the memory; ``None`` if it has none."""
        return None

    def network_facts(self) -> dict[str, Value | list[str]]:
        """The network's part of `facts`."""
        v = self.network
        return {
            "backbone": named_by_version(v.backbone, self.files),
            "alpha": v.alpha,
            "beta": v.beta,
            "on_unsupported": str(v.on_unsupported),
        }

    def key(self, code: str, torch: str, device_kind: str) -> str:
        """A file name that is the same wherever the same result would come out.

        Args:
            code: of `code_version`.
            torch: its version.
            device_kind: the device's name where the result is a time, else nothing.
        """
        determines = [self.command, self.facts(), code, torch, device_kind]
        digest = hashlib.sha256(json.dumps(determines, sort_keys=True).encode()).hexdigest()
        return f"{self.readable_key}-{digest[:16]}"

    @property
    def readable_key(self) -> str:
        """How the keys of this job begin, whatever determines its result."""
        seed = self.facts().get("seed", "")
        parts = (self.command, _slug(str(self.network)), _slug(str(seed)))
        return "-".join(part for part in parts if part)[:80]


def plain(value: object) -> dict[str, Value | list[str]]:
    """A struct or dataclass of plain values as a mapping."""
    return msgspec.convert(msgspec.to_builtins(value), dict[str, Value | list[str]])


def named_by_version(backbone: str, files: Mapping[str, str]) -> str:
    """A network's name with the version of the library, or the content of the file, that it comes from."""
    place, colon, name = backbone.rpartition(":")
    if not colon:
        return backbone
    content = next((content for content, path in files.items() if path == place), None)
    return f"{content or f'{place} {version_of(place)}'}:{name}"


def _slug(text: str) -> str:
    text = text.rpartition("/")[2].replace("α=", "a").replace("β=", "b")
    return "-".join("".join(c if c.isascii() and (c.isalnum() or c in "._") else " " for c in text).split())


@cache
def code_version() -> str:
    """The version, and a digest of all code that can determine a result: everything but the command line's."""
    digest = hashlib.sha256()
    for name, data in sorted(_sources(resources.files("sfic_bench"), "")):
        digest.update(name.encode() + b"\0" + data + b"\0")
    return f"{__version__}+{digest.hexdigest()[:12]}"


def _sources(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        name = f"{prefix}{entry.name}"
        if entry.is_dir() and name != "cli":
            yield from _sources(entry, f"{name}/")
        elif name.endswith((".py", ".csv")):
            yield name, entry.read_bytes()
