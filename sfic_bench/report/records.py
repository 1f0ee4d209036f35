"""Result files, read and checked: ours (costs, measurements) and pytest-benchmark's.

Whatever cannot be used is found here, with its place in the file.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from msgspec import UNSET, DecodeError, Struct, UnsetType, ValidationError, json

from sfic_bench.errors import SficBenchError
from sfic_bench.report.rows import AccuracyRow, CostRow, Family, MeasuredRow, PytestRow, Row, label

Kind = Literal["cost", "measurement", "accuracy", "pytest-benchmark"]


class UnreadableRecords(SficBenchError):
    """A file that is no result file, or a broken one."""


class _Cost(Struct, frozen=True, kw_only=True):
    environment: dict[str, Any]
    rows: list[CostRow]


class _Measurement(Struct, frozen=True, kw_only=True):
    environment: dict[str, Any]
    families: list[Family]
    rows: list[MeasuredRow]


class _Accuracy(Struct, frozen=True, kw_only=True):
    environment: dict[str, Any]
    rows: list[AccuracyRow]


class _Pytest(Struct, frozen=True, kw_only=True):
    machine_info: dict[str, Any]
    benchmarks: list[PytestRow]


class _Header(Struct):
    schema: str | UnsetType = UNSET
    machine_info: Any = UNSET
    benchmarks: Any = UNSET


SCHEMAS: Mapping[str, int] = {"cost": 1, "measurement": 1, "accuracy": 1}
"""Kinds of file that this version reads, and the newest version of each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Records:
    """One result file.

    Attributes:
        kind: which command wrote it.
        environment: on what it was made, as the file has it.
        rows: all of one type, each with a ``key`` of its own: name, α, β and what else tells it apart.
        families: what was timed together; none but in measurements.
    """

    path: Path
    kind: Kind
    environment: Mapping[str, Any]
    rows: Sequence[Row]
    families: Sequence[Family] = ()

    @property
    def costs(self) -> list[CostRow]:
        return [row for row in self.rows if isinstance(row, CostRow)]

    @property
    def accuracies(self) -> list[AccuracyRow]:
        return [row for row in self.rows if isinstance(row, AccuracyRow)]

    @property
    def measured(self) -> list[MeasuredRow]:
        return [row for row in self.rows if isinstance(row, MeasuredRow)]

    def conditions(self) -> dict[str, object]:
        """What times and memory depend on besides the code: machine, libraries and what was asked for.

        Counts depend on none of it, so a cost file has none; nor has one of accuracies, which have a recipe.
        """
        if self.kind in ("cost", "accuracy"):
            return {}
        if self.kind == "pytest-benchmark":
            cpu = self.environment.get("cpu")
            cpu = cpu if isinstance(cpu, dict) else {}
            named = {
                k: self.environment.get(k) for k in ("machine", "python_version", *"device", *_MACHINE[2:])
            }
            return {"processor": cpu.get("brand_raw"), "cpu_count": cpu.get("count"), **named}
        packages = self.environment.get("packages")
        torch = packages.get("torch") if isinstance(packages, dict) else None
        found: dict[str, object] = {k: self.environment.get(k) for k in _MACHINE} | {"torch": torch}
        for asked in ("device", "dtype", "batch_size", "input_size", "channels_last", "training"):
            values = dict.fromkeys(getattr(row, asked) for row in self.measured)
            found[asked] = next(iter(values)) if len(values) == 1 else tuple(values)
        return found


_MACHINE = (
    "processor", "cpu_count", "threads", "torch", "cuda", "cudnn", "triton", "driver", "onednn_max_cpu_isa",
)  # fmt: skip


def read(path: Path) -> Records:
    """Read and check a result file.

    Raises:
        UnreadableRecords: if it is missing, broken, of another schema or a newer one, has no rows or
            a row twice; the message names the place.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnreadableRecords(f"cannot read {path}: {error.strerror or error}") from None
    if not data.strip():
        raise UnreadableRecords(f"{path} is empty; expected a result file (JSON)")
    header = _decode(path, data, _Header)
    if header.schema is UNSET and header.benchmarks is not UNSET and header.machine_info is not UNSET:
        records = _pytest(path, data)
    else:
        records = _ours(path, data, header.schema)
    if not records.rows:
        raise UnreadableRecords(f"{path} has no rows")
    _unique(path, records.rows)
    return records


def _ours(path: Path, data: bytes, schema: str | UnsetType) -> Records:
    known = ", ".join(f"sfic-bench/{name}/{version}" for name, version in SCHEMAS.items())
    found = re.fullmatch(r"sfic-bench/([a-z0-9-]+)/(\d{1,9})", "" if schema is UNSET else schema)
    if found is None or found[1] not in SCHEMAS:
        has = "no schema" if schema is UNSET else f"schema {schema[:80]!r}"
        raise UnreadableRecords(
            f"{path} has {has}; expected one of {known}, or pytest-benchmark's JSON: write it with "
            "`sfic-bench flops` or `sfic-bench latency` and --format json"
        )
    if int(found[2]) != SCHEMAS[found[1]]:
        age = "a newer" if int(found[2]) > SCHEMAS[found[1]] else "an unknown"
        todo = "update sfic-bench" if age == "a newer" else "write the file again"
        raise UnreadableRecords(f"{path} has {age} schema, {found[0]}; this version reads {known}: {todo}")
    if found[1] == "cost":
        cost = _decode(path, data, _Cost)
        return Records(path=path, kind="cost", environment=cost.environment, rows=cost.rows)
    if found[1] == "accuracy":
        accuracy = _decode(path, data, _Accuracy)
        return Records(path=path, kind="accuracy", environment=accuracy.environment, rows=accuracy.rows)
    measured = _decode(path, data, _Measurement)
    for i, row in enumerate(measured.rows):
        if (row.status == "ok") != (row.latency_ms is not None):
            raise UnreadableRecords(f"{path}: status and latency_ms contradict each other - at `$.rows[{i}]`")
    return Records(
        path=path,
        kind="measurement",
        environment=measured.environment,
        rows=measured.rows,
        families=measured.families,
    )


def _pytest(path: Path, data: bytes) -> Records:
    found = _decode(path, data, _Pytest)
    for i, row in enumerate(found.benchmarks):
        if row.stats.data is UNSET:
            raise UnreadableRecords(
                f"{path} has no raw times - at `$.benchmarks[{i}].stats.data`; run pytest with --benchmark-save-data"
            )
    return Records(path=path, kind="pytest-benchmark", environment=found.machine_info, rows=found.benchmarks)


T = TypeVar("T")


def _decode(path: Path, data: bytes, type: type[T]) -> T:
    try:
        return json.decode(data, type=type)
    except ValidationError as error:
        said = re.sub(r"`str` matching regex '.*'", "text without control characters", str(error))
        raise UnreadableRecords(f"{path}: {said}") from None
    except DecodeError as error:
        raise UnreadableRecords(f"{path}: {error}{_place(data, str(error))}") from None
    except UnicodeDecodeError as error:
        raise UnreadableRecords(f"{path} is not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise UnreadableRecords(f"{path} is nested too deeply for a result file") from None


def _place(data: bytes, message: str) -> str:
    """Line and text of the byte that msgspec's ``message`` names."""
    found = re.search(r"\(byte (\d+)\)", message)
    if found is None:
        return ""
    at = int(found[1])
    line = 1 + data.count(b"\n", 0, at)
    near = data[at : at + 12].split(b"\n")[0].decode(errors="replace")
    return f", line {line}, at {near!r}"


def _unique(path: Path, rows: Iterable[Row]) -> None:
    seen = set()
    for row in rows:
        if row.key in seen:
            raise UnreadableRecords(f"{path} has two rows for {label(row.key)}; expected one")
        seen.add(row.key)
