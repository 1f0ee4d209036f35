"""One cell of a sweep: what is asked, what it needs, and the key that its result is kept by."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

from sfic_bench.report.environment import version_of
from sfic_bench.units import format_ratio
from sfic_bench.version import __version__


@dataclass(frozen=True, kw_only=True, slots=True)
class Needs:
    """What a cell needs of one node, or of each of several.

    Attributes:
        hosts: nodes that it runs on at once.
        cpus: cores, and torch's threads; ``None`` for all that the node has, so that no other cell runs there.
        gpus: whole ones, or a share of one.
        accelerator_type: as Ray names it, such as ``H100``.
        resources: by name, what the cluster's administrator gave to nodes.
        workers: processes that decode images, for each device.
    """

    hosts: int = 1
    cpus: float | None = 1
    gpus: float = 0
    accelerator_type: str | None = None
    resources: Mapping[str, float] = field(default_factory=dict)
    workers: int = 0

    def __str__(self) -> str:
        parts = ["a whole node" if self.cpus is None else f"{self.cpus:g} CPUs"]
        parts += [f"{self.gpus:g} GPUs"] if self.gpus else []
        parts += [f"accelerator_type {self.accelerator_type}"] if self.accelerator_type else []
        each = ", ".join([*parts, *(f"{amount:g} {name}" for name, amount in self.resources.items())])
        return each if self.hosts == 1 else f"{self.hosts} nodes with {each} each"

    @property
    def shape(self) -> tuple[object, ...]:
        """What is the same for needs that the same nodes can meet."""
        return self.hosts, self.cpus, self.gpus, self.accelerator_type, tuple(sorted(self.resources.items()))

    @property
    def named(self) -> dict[str, float]:
        """What a node must have besides cores and GPUs, by Ray's names; that of an accelerator's type is asked for a trace of."""
        kind = {f"accelerator_type:{self.accelerator_type}": 0.001} if self.accelerator_type else {}
        return kind | dict(self.resources)

    @property
    def threads(self) -> int | None:
        """Of torch on one node, all processes together; ``None`` for as many as it has cores."""
        return None if self.cpus is None else max(1, int(self.cpus))


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One result to be had.

    Attributes:
        command: ``cost``, ``latency`` or ``accuracy``.
        asked: what determines the result, as JSON has it.
        needs: of the node that it runs on.
        files: paths by `content`, of manifests and of networks' files.
        block: where in the sweep file it was asked for.
    """

    command: str
    asked: Mapping[str, Any]
    needs: Needs
    files: Mapping[str, str] = field(default_factory=dict)
    block: str = ""

    @property
    def device(self) -> str:
        """``cpu`` or ``cuda``; counting needs none, and is done on a CPU."""
        return str(self.asked.get("device", "cpu"))

    @property
    def network(self) -> str:
        """The network's name and ratios."""
        alpha, beta = self.asked["alpha"], self.asked["beta"]
        name = str(self.asked["backbone"])
        return name if alpha is None else f"{name} α={format_ratio(alpha)} β={format_ratio(beta)}"

    def __str__(self) -> str:
        asked, pixels = self.asked, "{0}×{0}".format(self.asked["input_size"])
        match self.command:
            case "cost":
                told = [pixels]
            case "latency":
                mode = ["training"] if asked["training"] else []
                told = [f"{asked['batch_size']}×{pixels}", asked["dtype"], asked["device"], *mode]
            case _:
                told = [asked["train_on"], f"seed {asked['seed']}"]
        return f"{self.command} of {self.network}, {', '.join(told)}"

    def key(self, code: str, torch: str, device_kind: str) -> str:
        """A file name that is the same wherever the same result would come out.

        Args:
            code: of `code_version`.
            torch: its version.
            device_kind: the device's name where the result is a time, else its type or nothing.
        """
        asked = {**self.asked, "backbone": _named(str(self.asked["backbone"]), self.files)}
        determines = [self.command, asked, code, torch, device_kind]
        digest = hashlib.sha256(json.dumps(determines, sort_keys=True).encode()).hexdigest()
        readable = "-".join(
            part
            for part in (self.command, _slug(self.network), _slug(str(self.asked.get("seed", ""))))
            if part
        )
        return f"{readable[:80]}-{digest[:16]}"


def _named(backbone: str, files: Mapping[str, str]) -> str:
    """A network's name that says all of it: with the version of the library, or by the content of the file, it is from."""
    place, colon, what = backbone.rpartition(":")
    if not colon:
        return backbone
    digest = next((digest for digest, path in files.items() if path == place), None)
    return f"{digest or f'{place} {version_of(place)}'}:{what}"


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


def _sources(folder: Traversable, prefix: str) -> "list[tuple[str, bytes]]":
    found = []
    for each in folder.iterdir():
        name = f"{prefix}{each.name}"
        if each.is_dir() and name != "cli":
            found += _sources(each, f"{name}/")
        elif name.endswith((".py", ".csv")):
            found.append((name, each.read_bytes()))
    return found


def content(data: bytes) -> str:
    """What names a file by what is in it."""
    return "sha256:" + hashlib.sha256(data).hexdigest()
