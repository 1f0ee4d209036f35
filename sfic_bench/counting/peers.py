"""The third-party counters themselves, beside our conventions.

Each runs in a process of its own: some leave buffers in the model, hooks, or patched torch functions
behind, and one of them would falsify the next one's figure. What a counter gives is compared with
the convention that says how it counts; that convention then tells, kind by kind, why the figure
differs from another one.
"""

import collections
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from sfic_bench.counting.conventions import Convention, total
from sfic_bench.counting.formulas import Shape
from sfic_bench.counting.op import Op

INSTALL = "pip install 'sfic-bench[peers]'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """A third-party counter: ``package`` is its distribution, ``summary`` how it is called."""

    name: str
    package: str
    summary: str

    @property
    def version(self) -> str | None:
        """The installed version, or ``None``."""
        try:
            return metadata.version(self.package)
        except metadata.PackageNotFoundError:
            return None

    @property
    def convention(self) -> str:
        """Which of our conventions describes the installed version."""
        release = release_of(self.version or "0.7.5")
        if self.name == "ptflops":
            if release < (0, 7, 1):
                return "paper"
            return "ptflops-0.7.1" if release < (0, 7, 4) else "ptflops-0.7.5"
        if self.name == "ptflops-modules":
            return "paper" if release < (0, 7, 4) else "ptflops-0.7.5-modules"
        return _CONVENTION[self.name]


_CONVENTION = {
    "ptflops-aten": "ptflops-aten",
    "fvcore": "fvcore",
    "thop": "thop",
    "FlopCounterMode": "conv-linear",
}

COUNTERS: Mapping[str, Counter] = {
    counter.name: counter
    for counter in (
        Counter(name="ptflops", package="ptflops", summary="its default backend"),
        Counter(
            name="ptflops-modules",
            package="ptflops",
            summary="count_functional=False: the hooks alone, up to 0.7.3 as up to 0.7.0",
        ),
        Counter(name="ptflops-aten", package="ptflops", summary="its aten backend"),
        Counter(name="fvcore", package="fvcore", summary="FlopCountAnalysis"),
        Counter(name="thop", package="thop", summary="profile"),
        Counter(name="FlopCounterMode", package="torch", summary="torch.utils.flop_counter, divided by 2"),
    )
}


def release_of(version: str) -> tuple[int, ...]:
    """``(0, 7, 1)`` of ``"0.7.1.2"``: enough to tell releases apart."""
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A network for a counter's process to build: ``builder`` is ``"package.module:function"``."""

    builder: str
    arguments: Mapping[str, Any]
    input_size: Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a counter gave for one job: ``macs``, or the ``reason`` why it gave none."""

    macs: int | None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Where two ways of counting part, for one kind of operation.

    Attributes:
        label: the operations, see `Call.label`.
        reference, peer: MACs that each counts for them.
        biases: elements to which these operations add a bias.
    """

    label: str
    reference: int
    peer: int
    biases: int

    @property
    def macs(self) -> int:
        return self.peer - self.reference

    def __str__(self) -> str:
        """For example ``counts batch_norm twice: +29,032,448``."""
        if not self.reference:
            what = f"counts {self.label}"
        elif not self.peer:
            what = f"leaves out {self.label}"
        elif self.peer == 2 * self.reference:
            what = f"counts {self.label} twice"
        elif abs(self.macs) == self.biases:
            what = f"{'adds' if self.macs > 0 else 'leaves out'} the bias of {self.label}"
        else:
            what = f"counts {self.label} as {self.peer:,} instead of {self.reference:,}"
        return f"{what}: {self.macs:+,}"


def differences(ops: Iterable[Op], peer: Convention, reference: Convention) -> tuple[Difference, ...]:
    """Kinds of operation for which two conventions differ on the same network, largest first."""
    ops = tuple(ops)
    ours, theirs = total(ops, reference).terms, total(ops, peer).terms
    biases: collections.Counter[str] = collections.Counter()
    for _, call in ops:
        if call.macs and call.bias:
            biases[call.label] += call.elements_out
    found = (
        Difference(
            label=label,
            reference=ours.get(label, 0),
            peer=theirs.get(label, 0),
            biases=biases[label],
        )
        for label in {*ours, *theirs}
    )
    return tuple(sorted((d for d in found if d.macs), key=lambda d: (-abs(d.macs), d.label)))


def run(counter: Counter, jobs: Sequence[Job]) -> Iterator[Measured]:
    """Run ``counter`` over ``jobs`` in one process of its own, yielding each result as it comes.

    A counter that is not installed, or whose process dies, yields the reason for every job it owes.
    """
    if counter.version is None:
        for _ in jobs:
            yield Measured(macs=None, reason=f"{counter.package} is not installed: {INSTALL}")
        return
    process = subprocess.Popen(
        [sys.executable, "-m", "sfic_bench.counting.peer_worker", counter.name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin and process.stdout and process.stderr
    owed = len(jobs)
    try:
        payload = [(job.builder, dict(job.arguments), job.input_size) for job in jobs]
        process.stdin.write(json.dumps(payload))
        process.stdin.close()
        for line in process.stdout:
            answer = json.loads(line)
            owed -= 1
            yield Measured(macs=answer["macs"], reason=answer["reason"])
        last = process.stderr.read().strip().splitlines()[-1:] or ["without a word"]
        for _ in range(owed):
            yield Measured(macs=None, reason=f"its process ended: {last[0]}")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
