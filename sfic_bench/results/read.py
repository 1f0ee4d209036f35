"""Result files, read, checked and upgraded: ours and pytest-benchmark's.

Whatever cannot be used is noticed here, and the message says where in the file it is.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from msgspec import UNSET, DecodeError, Struct, UnsetType, ValidationError, json

from sfic_bench.errors import SficBenchError
from sfic_bench.results.accuracy import AccuracyResult
from sfic_bench.results.cost import CostResult
from sfic_bench.results.environment import Environment
from sfic_bench.results.fields import Key, label
from sfic_bench.results.pytest_benchmark import PytestResult
from sfic_bench.results.timing import TimingResult
from sfic_bench.results.upgrade import AccuracyResultV1, TimingResultV1

Result = CostResult | TimingResult | AccuracyResult
"""The results that can be read back, compared and shown."""

Kind = Literal["cost", "measurement", "accuracy", "pytest-benchmark"]


class UnreadableResult(SficBenchError):
    """A file that is no result file, or a broken one."""


class _Row(Protocol):
    @property
    def key(self) -> Key: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class ResultFile:
    """One result file, as this version of sfic-bench has it.

    Attributes:
        kind: which command wrote it, or pytest-benchmark.
    """

    path: Path
    kind: Kind
    result: Result

    @property
    def environment(self) -> Environment:
        return self.result.environment

    @property
    def timing(self) -> TimingResult | None:
        """Its times; ``None`` if it is of another kind."""
        return self.result if isinstance(self.result, TimingResult) else None

    @property
    def cost(self) -> CostResult | None:
        """Its counts; ``None`` if it is of another kind."""
        return self.result if isinstance(self.result, CostResult) else None

    @property
    def accuracy(self) -> AccuracyResult | None:
        """Its accuracies; ``None`` if it is of another kind."""
        return self.result if isinstance(self.result, AccuracyResult) else None


class _Header(Struct):
    schema: str | UnsetType = UNSET
    machine_info: object = UNSET
    benchmarks: object = UNSET


WRITTEN: Mapping[str, tuple[Kind, type[Result]]] = {
    "sfic-bench/cost/1": ("cost", CostResult),
    "sfic-bench/measurement/2": ("measurement", TimingResult),
    "sfic-bench/accuracy/2": ("accuracy", AccuracyResult),
}
"""The schemas that this version writes and reads back."""

OLDER: Mapping[str, tuple[Kind, type[TimingResultV1 | AccuracyResultV1]]] = {
    "sfic-bench/measurement/1": ("measurement", TimingResultV1),
    "sfic-bench/accuracy/1": ("accuracy", AccuracyResultV1),
}
"""Schemas of older versions, which are upgraded when read."""


def read(path: Path) -> ResultFile:
    """Read and check a result file, and upgrade it if an older version wrote it.

    Raises:
        UnreadableResult: if it is missing, broken, of another schema or a newer one, has no rows or has a row twice; the
            message says where.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnreadableResult(f"cannot read {path}: {error.strerror or error}") from None
    if not data.strip():
        raise UnreadableResult(f"{path} is empty; expected a result file (JSON)")
    header = _decode(path, data, _Header)
    if header.schema is UNSET and header.benchmarks is not UNSET and header.machine_info is not UNSET:
        file = ResultFile(path=path, kind="pytest-benchmark", result=_upgraded(path, _decode(path, data, PytestResult)))
    else:
        file = _ours(path, data, header.schema)
    if not file.result.rows:
        raise UnreadableResult(f"{path} has no rows")
    _check_rows(path, file.result.rows)
    return file


def _ours(path: Path, data: bytes, schema: str | UnsetType) -> ResultFile:
    if schema is not UNSET and schema in WRITTEN:
        kind, newest = WRITTEN[schema]
        return ResultFile(path=path, kind=kind, result=_decode(path, data, newest))
    if schema is not UNSET and schema in OLDER:
        kind, older = OLDER[schema]
        return ResultFile(path=path, kind=kind, result=_upgraded(path, _decode(path, data, older)))
    raise UnreadableResult(f"{path} has {_unknown(schema)}")


def _unknown(schema: str | UnsetType) -> str:
    """What is wrong with the ``schema`` of a file, and what to do about it."""
    known = ", ".join(WRITTEN)
    if schema is not UNSET:
        kind, _, version = schema.rpartition("/")
        newest = {name.rpartition("/")[0]: int(name.rpartition("/")[2]) for name in WRITTEN}
        if kind in newest and re.fullmatch(r"\d{1,9}", version):
            age, todo = ("a newer", "update sfic-bench")
            if int(version) < newest[kind]:
                age, todo = ("an unknown", "write the file again")
            return f"{age} schema, {schema}; this version reads {known}: {todo}"
    what = "no schema" if schema is UNSET else f"schema {schema[:80]!r}"
    return (
        f"{what}; expected one of {known}, or pytest-benchmark's JSON: write it with "
        "`sfic-bench flops` or `sfic-bench latency` and --format json"
    )


def _upgraded(path: Path, old: TimingResultV1 | AccuracyResultV1 | PytestResult) -> Result:
    try:
        return old.upgraded()
    except (ValueError, SficBenchError) as error:
        raise UnreadableResult(f"{path}: {error}") from None


T = TypeVar("T")


def _decode(path: Path, data: bytes, type: type[T]) -> T:
    try:
        return json.decode(data, type=type)
    except ValidationError as error:
        message = re.sub(r"`str` matching regex '.*'", "text without control characters", str(error))
        raise UnreadableResult(f"{path}: {message}") from None
    except DecodeError as error:
        raise UnreadableResult(f"{path}: {error}{_place(data, str(error))}") from None
    except UnicodeDecodeError as error:
        raise UnreadableResult(f"{path} is not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise UnreadableResult(f"{path} is nested too deeply for a result file") from None


def _place(data: bytes, message: str) -> str:
    """Line and text of the byte that msgspec's ``message`` names."""
    match = re.search(r"\(byte (\d+)\)", message)
    if match is None:
        return ""
    at = int(match[1])
    line = 1 + data.count(b"\n", 0, at)
    near = data[at : at + 12].split(b"\n")[0].decode(errors="replace")
    return f", line {line}, at {near!r}"


def _check_rows(path: Path, rows: Sequence[_Row]) -> None:
    seen = set()
    for row in rows:
        if row.key in seen:
            raise UnreadableResult(f"{path} has two rows for {label(row.key)}; expected one")
        seen.add(row.key)
