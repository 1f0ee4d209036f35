"""The files of a sweep that are kept: what a job found, why one failed, what the sweep is about."""

from typing import Literal

from msgspec import DecodeError, Struct, field, json, to_builtins

from sfic_bench.results.accuracy import AccuracyResult
from sfic_bench.results.cost import CostResult
from sfic_bench.results.fields import Value
from sfic_bench.results.read import Result
from sfic_bench.results.timing import TimingResult
from sfic_bench.sweep.store import Store, UnusableStore

PLAN, DRIVER = "state/plan.json", "state/driver.json"
"""What was asked for, and what was being done."""


class JobRecord(Struct, frozen=True, kw_only=True):
    """How a kept result came about.

    Attributes:
        host: the machine's name; ``node`` tells nodes of one host apart.
        started: seconds since 1970.
        threads: of torch.
        code, torch: versions that it was computed with; ``""`` in files of older versions.
        asked: everything else that determines the result.
        run: the folder of a training's run in the sweep's store.
        note: what was done otherwise than the sweep file says.
    """

    key: str
    host: str
    node: str
    started: float
    seconds: float
    threads: int
    code: str = ""
    torch: str = ""
    asked: dict[str, Value | list[str]]
    run: str = ""
    note: str = ""


class _Recorded(Struct):
    cell: JobRecord


class Kept(Struct, frozen=True):
    """A job's result and its record."""

    result: Result
    record: JobRecord


class Failure(Struct, frozen=True, kw_only=True):
    """Why a job failed; ``cause`` is what is to blame."""

    cell: str
    host: str
    reason: str
    cause: Literal["", "input", "machine", "defect"]
    time: float
    asked: dict[str, Value | list[str]] = field(default_factory=dict)


class Plan(Struct, frozen=True, kw_only=True):
    """What the last sweep was asked for: each job in words, by key."""

    cells: dict[str, str]


def keep(store: Store, key: str, result: Result, record: JobRecord) -> None:
    """Write a result as the commands write it, with its record beside it under ``cell``.

    Raises:
        UnwritableOutput: if it cannot be written.
    """
    data = json.encode({**to_builtins(result), "cell": record})
    store.write_bytes(f"results/{key}.json", json.format(data, indent=1) + b"\n")


def kept(store: Store, key: str) -> Kept | None:
    """The result under ``key``; ``None`` if there is none.

    Raises:
        UnusableStore: for one that is broken, or of an older version.
    """
    data = store.read_bytes(f"results/{key}.json")
    if data is None:
        return None
    try:
        result = json.decode(data, type=CostResult | TimingResult | AccuracyResult)
        return Kept(result, json.decode(data, type=_Recorded).cell)
    except DecodeError as error:
        raise UnusableStore(f"cannot read results/{key}.json in {store.root}: {error}") from None


def record_of(store: Store, key: str) -> JobRecord | None:
    """The record of the result under ``key``, whichever version wrote it; ``None`` if there is none that can be read."""
    data = store.read_bytes(f"results/{key}.json")
    try:
        return None if data is None else json.decode(data, type=_Recorded).cell
    except DecodeError:
        return None
