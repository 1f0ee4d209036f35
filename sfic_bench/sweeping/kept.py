"""The files that a sweep keeps: each job's result, why a job failed, and what the sweep was asked for."""

from collections.abc import Iterable
from typing import Literal

from msgspec import DecodeError, Struct, field, json, to_builtins

from sfic_bench.results.read import Result
from sfic_bench.sweeping.jobs.job import Facts
from sfic_bench.sweeping.store import Store, UnusableStore

PLAN, DRIVER = "state/plan.json", "state/driver.json"
"""Where a sweep keeps its `Plan` and its `Driver`."""

Cause = Literal["", "input", "machine", "defect"]
"""What is to blame for a failure."""


class JobRecord(Struct, frozen=True, kw_only=True):
    """How a result came about.

    Attributes:
        host: the machine's name; ``node`` differs for each node of one host.
        started: seconds since 1970.
        threads: number of torch's threads.
        code, torch: versions that it was computed with; ``""`` in files of older versions.
        facts: everything else that determines the result.
        run: the folder of a training's run in the sweep's store; otherwise ``""``.
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
    facts: Facts = field(name="asked")
    run: str = ""
    note: str = ""


class _Recorded(Struct):
    record: JobRecord = field(name="cell")


class Failure(Struct, frozen=True, kw_only=True):
    """Why a job, which ``title`` describes, failed."""

    title: str = field(name="cell")
    host: str
    reason: str
    cause: Cause
    time: float
    facts: Facts = field(name="asked", default_factory=dict)


class Plan(Struct, frozen=True, kw_only=True):
    """What the last sweep was asked for: a description of each job, by key."""

    titles: dict[str, str] = field(name="cells")


def keep(store: Store, result: Result, record: JobRecord) -> None:
    """Write a result as the commands write it, with its record beside it under ``cell``.

    Raises:
        UnwritableOutput: if it cannot be written.
    """
    data = json.encode({**to_builtins(result), "cell": record})
    store.write_bytes(f"results/{record.key}.json", json.format(data, indent=1) + b"\n")


def kept(store: Store, key: str) -> tuple[Result, JobRecord] | None:
    """The result under ``key`` and its record; ``None`` if there is none.

    Raises:
        UnusableStore: for a result that is broken, or of an older version.
    """
    data = store.read_bytes(f"results/{key}.json")
    if data is None:
        return None
    try:
        return json.decode(data, type=Result), json.decode(data, type=_Recorded).record
    except (DecodeError, UnicodeDecodeError) as error:
        raise UnusableStore(f"cannot read results/{key}.json in {store.root}: {error}") from None


def put_damaged_aside(store: Store, keys: Iterable[str]) -> list[str]:
    """Move results that cannot be read to the folder ``damaged``, so that they are computed again; returns their keys.

    Raises:
        UnwritableOutput: if one cannot be moved.
    """
    damaged = []
    for key in keys:
        try:
            kept(store, key)
        except UnusableStore:
            store.write_bytes(f"damaged/{key}.json", store.read_bytes(f"results/{key}.json") or b"")
            store.remove(f"results/{key}.json")
            damaged.append(key)
    return damaged


def record_of(store: Store, key: str) -> JobRecord | None:
    """The record of the result under ``key``, whichever version wrote it; ``None`` if no such record can be read."""
    try:
        recorded = store.read(f"results/{key}.json", _Recorded)
    except UnusableStore:
        return None
    return None if recorded is None else recorded.record
