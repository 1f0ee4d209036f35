"""The third-party counters themselves, and why their figures differ.

Each counter runs in a process of its own, since some leave buffers, hooks or patched torch functions behind, which
would falsify the next counter's figure. A counter's result is compared with the convention that describes how it
counts. Two conventions compared with each other then explain, for each kind of operation, why two counters differ.
"""

import collections
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata

from sfic_bench.counting.conventions import Convention, total
from sfic_bench.counting.formulas import Shape
from sfic_bench.counting.op import CountedCall
from sfic_bench.extras import install_command


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """A third-party counter: ``package`` is its distribution, ``summary`` names the function or backend that is run."""

    name: str
    package: str
    summary: str

    @property
    def version(self) -> str | None:
        """The installed version; ``None`` if the counter is not installed."""
        try:
            return metadata.version(self.package)
        except metadata.PackageNotFoundError:
            return None

    @property
    def convention(self) -> str:
        """The name of the convention that describes the installed version."""
        release = release_of(self.version or "0.7.5")
        if self.name == "ptflops":
            if release < (0, 7, 1):
                return "paper"
            return "ptflops-0.7.1" if release < (0, 7, 4) else "ptflops-0.7.5"
        if self.name == "ptflops-modules":
            return "paper" if release < (0, 7, 4) else "ptflops-0.7.5-modules"
        return "conv-linear" if self.name == "FlopCounterMode" else self.name


COUNTERS: Mapping[str, Counter] = {
    counter.name: counter
    for counter in (
        Counter(name="ptflops", package="ptflops", summary="its default backend"),
        Counter(
            name="ptflops-modules",
            package="ptflops",
            summary="count_functional=False: the hooks alone, which count up to 0.7.3 as they did in 0.7.0",
        ),
        Counter(name="ptflops-aten", package="ptflops", summary="its aten backend"),
        Counter(name="fvcore", package="fvcore", summary="FlopCountAnalysis"),
        Counter(name="thop", package="thop", summary="profile"),
        Counter(name="FlopCounterMode", package="torch", summary="torch.utils.flop_counter, divided by 2"),
    )
}


def release_of(version: str) -> tuple[int, ...]:
    """The first three numbers of a version, ``(0, 7, 1)`` for ``"0.7.1.2"``."""
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerRun:
    """One network for a counter to build and count, in its own process.

    Attributes:
        builder: the function that builds it, as ``"package.module:function"``.
        arguments: keyword arguments of that function that JSON can express.
        input_size: ``(B, C, H, W)``.
    """

    builder: str
    arguments: Mapping[str, object]
    input_size: Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerCount:
    """A counter's result for one network: ``macs``, or the ``reason`` why there is none."""

    macs: int | None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How the MACs of two conventions differ for one `CountedCall.label`; ``biases`` are elements that get a bias."""

    label: str
    reference: int
    peer: int
    biases: int

    @property
    def macs(self) -> int:
        return self.peer - self.reference

    def __str__(self) -> str:
        """The difference in words, for example ``counts batch_norm twice: +29,032,448``."""
        if not self.reference:
            difference = f"counts {self.label}"
        elif not self.peer:
            difference = f"leaves out {self.label}"
        elif self.peer == 2 * self.reference:
            difference = f"counts {self.label} twice"
        elif abs(self.macs) == self.biases:
            difference = f"{'adds' if self.macs > 0 else 'leaves out'} the bias of {self.label}"
        else:
            difference = f"counts {self.label} as {self.peer:,} instead of {self.reference:,}"
        return f"{difference}: {self.macs:+,}"


def differences(calls: Mapping[CountedCall, int], peer: Convention, reference: Convention) -> tuple[Difference, ...]:
    """Kinds of operation for which two conventions differ on the ``calls`` of a network, largest first."""
    reference_terms, peer_terms = total(calls, reference).terms, total(calls, peer).terms
    biases: collections.Counter[str] = collections.Counter()
    for call, times in calls.items():
        if call.macs and call.bias:
            biases[call.label] += call.elements_out * times
    by_label = (
        Difference(
            label=label, reference=reference_terms.get(label, 0), peer=peer_terms.get(label, 0), biases=biases[label]
        )
        for label in {*reference_terms, *peer_terms}
    )
    return tuple(sorted((d for d in by_label if d.macs), key=lambda d: (-abs(d.macs), d.label)))


def run(counter: Counter, runs: Sequence[PeerRun]) -> Iterator[PeerCount]:
    """Let ``counter`` count each of ``runs`` in one process of its own, and yield each result as it comes.

    If the counter is not installed, or its process dies, each missing result is the reason for that.
    """
    if counter.version is None:
        for _ in runs:
            yield PeerCount(macs=None, reason=f"{counter.package} is not installed: {install_command('peers')}")
        return
    worker = [sys.executable, "-m", "sfic_bench.counting.peer_worker", counter.name]
    pipe, missing = subprocess.PIPE, len(runs)
    with subprocess.Popen(worker, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdin and process.stdout and process.stderr
        try:
            payload = [(run.builder, dict(run.arguments), run.input_size) for run in runs]
            process.stdin.write(json.dumps(payload))
            process.stdin.close()
            for line in process.stdout:
                missing -= 1
                yield PeerCount(**json.loads(line))
            last = process.stderr.read().strip().splitlines()[-1:] or ["without a message"]
            for _ in range(missing):
                yield PeerCount(macs=None, reason=f"its process ended: {last[0]}")
        finally:
            process.kill()
