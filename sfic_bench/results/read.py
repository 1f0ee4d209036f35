"""Reads result files, this package's and pytest-benchmark's: checks them, and upgrades those of older versions.

An error says where in the file it is.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import DecodeError, Struct, ValidationError, json
from msgspec.structs import replace

from sfic_bench.errors import SficBenchError
from sfic_bench.files import read_file
from sfic_bench.results.accuracy import AccuracyResult
from sfic_bench.results.audit import AuditResult
from sfic_bench.results.cost import CostResult
from sfic_bench.results.deployment import DeploymentResult
from sfic_bench.results.environment import Environment
from sfic_bench.results.fields import label
from sfic_bench.results.pytest_benchmark import PytestResult
from sfic_bench.results.robustness import RobustnessResult
from sfic_bench.results.scores import ScoresResult
from sfic_bench.results.tables import PaperTableResult
from sfic_bench.results.timing import TimingResult
from sfic_bench.results.upgrade import RECIPE_BEFORE, AccuracyResultV1, TimingResultV1

if TYPE_CHECKING:
    import pandas as pd

Result = (
    CostResult
    | TimingResult
    | AccuracyResult
    | AuditResult
    | ScoresResult
    | PaperTableResult
    | RobustnessResult
    | DeploymentResult
)
"""The results that can be read back, compared and shown."""


class UnreadableResult(SficBenchError):
    """A file that is no result file, or a broken one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ResultFile:
    """One result file, upgraded to this version of sfic-bench.

    Attributes:
        kind: ``"cost"``, ``"measurement"``, ``"accuracy"``, ``"audit"``, ``"scores"``, ``"table"``, ``"robustness"``,
            ``"deployment"`` or ``"pytest-benchmark"``.
    """

    path: Path
    kind: str
    result: Result

    @property
    def environment(self) -> Environment:
        return self.result.environment

    @property
    def timing(self) -> TimingResult | None:
        """The times; ``None`` in a file of another kind."""
        return self.result if isinstance(self.result, TimingResult) else None

    @property
    def cost(self) -> CostResult | None:
        """The counts; ``None`` in a file of another kind."""
        return self.result if isinstance(self.result, CostResult) else None

    @property
    def accuracy(self) -> AccuracyResult | None:
        """The accuracies; ``None`` in a file of another kind."""
        return self.result if isinstance(self.result, AccuracyResult) else None

    @property
    def audit(self) -> AuditResult | None:
        """The audit of the paper's figures; ``None`` in a file of another kind."""
        return self.result if isinstance(self.result, AuditResult) else None

    @property
    def scores(self) -> ScoresResult | None:
        """The scores of one trained network; ``None`` in a file of another kind."""
        return self.result if isinstance(self.result, ScoresResult) else None

    @property
    def table(self) -> PaperTableResult | None:
        """A table of the paper; ``None`` in a file of another kind."""
        return self.result if isinstance(self.result, PaperTableResult) else None

    @property
    def robustness(self) -> RobustnessResult | None:
        """Scores on corrupted images; ``None`` in a file of another kind."""
        return self.result if isinstance(self.result, RobustnessResult) else None

    @property
    def deployment(self) -> DeploymentResult | None:
        """Networks on several runtimes; ``None`` in a file of another kind."""
        return self.result if isinstance(self.result, DeploymentResult) else None

    def to_frame(self) -> "pd.DataFrame":
        """The rows as a data frame, see `sfic_bench.to_frame`."""
        return self.result.to_frame()

    def _repr_html_(self) -> str:
        return self.result._repr_html_()


class _Header(Struct):
    schema: str | None = None
    machine_info: object = None
    benchmarks: object = None


WRITTEN: Mapping[str, type[Result]] = {
    "sfic-bench/cost/1": CostResult,
    "sfic-bench/measurement/2": TimingResult,
    "sfic-bench/accuracy/2": AccuracyResult,
    "sfic-bench/audit/1": AuditResult,
    "sfic-bench/scores/2": ScoresResult,
    "sfic-bench/table/1": PaperTableResult,
    "sfic-bench/robustness/1": RobustnessResult,
    "sfic-bench/deployment/1": DeploymentResult,
}
"""The schemas that this version writes and reads back."""

OLDER: Mapping[str, type[TimingResultV1 | AccuracyResultV1]] = {
    "sfic-bench/measurement/1": TimingResultV1,
    "sfic-bench/accuracy/1": AccuracyResultV1,
}
"""The schemas of older versions."""


def as_file(result: Result, name: str) -> ResultFile:
    """A result of this process, as if it had been read from the file ``name``.

    Raises:
        UnreadableResult: for anything that is not written to result files.
    """
    kinds = {kind: schema.split("/")[1] for schema, kind in WRITTEN.items()}
    if type(result) not in kinds:
        known = ", ".join(kind.__name__ for kind in kinds)
        raise UnreadableResult(f"a {type(result).__name__} is no result that can be read back: expected one of {known}")
    return ResultFile(path=Path(name), kind=kinds[type(result)], result=result)


def read(path: Path | str) -> ResultFile:
    """Read and check a result file, and upgrade it if an older version wrote it.

    Raises:
        UnreadableResult: if it is missing, broken, of an unknown schema, has no rows or has a row twice; the message
            says where.
    """
    path = Path(path)
    try:
        data = read_file(path)
    except OSError as error:
        raise UnreadableResult(f"cannot read {path}: {error.strerror or error}") from None
    if not data.strip():
        raise UnreadableResult(f"{path} is empty; expected a result file (JSON)")
    try:
        kind, result = _decode(data)
    except ValidationError as error:
        message = re.sub(r"`str` matching regex '.*'", "text without control characters", str(error))
        raise UnreadableResult(f"{path}: {message}") from None
    except DecodeError as error:
        raise UnreadableResult(f"{path}: {error}{_place(data, str(error))}") from None
    except UnicodeDecodeError as error:
        raise UnreadableResult(f"{path} is not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise UnreadableResult(f"{path} is nested too deeply for a result file") from None
    except (ValueError, SficBenchError) as error:
        raise UnreadableResult(f"{path}: {error}") from None
    return ResultFile(path=path, kind=kind, result=result)


def read_accuracies(path: Path) -> AccuracyResult:
    """Read a file of accuracies, see `read`.

    Raises:
        UnreadableResult: also for a file of another kind.
    """
    accuracy = read(path).accuracy
    if accuracy is None:
        raise UnreadableResult(f"{path} holds no accuracies: expected what `sfic-bench accuracy` or `sweep` writes")
    return accuracy


def _decode(data: bytes) -> tuple[str, Result]:
    """The kind of a result file, and the result in it."""
    header = json.decode(data, type=_Header)
    schema = header.schema or ""
    result: Result
    if schema in WRITTEN:
        kind, result = schema.split("/")[1], json.decode(data, type=WRITTEN[schema])
    elif schema in OLDER:
        kind, result = schema.split("/")[1], json.decode(data, type=OLDER[schema]).upgraded()
    elif not schema and header.benchmarks is not None and header.machine_info is not None:
        kind, result = "pytest-benchmark", json.decode(data, type=PytestResult).upgraded()
    else:
        raise UnreadableResult(_unknown(schema))
    if isinstance(result, AccuracyResult | PaperTableResult) and result.recipe:
        result = replace(result, recipe={**RECIPE_BEFORE, **result.recipe})
    if not result.rows:
        raise UnreadableResult("it has no rows")
    keys = set()
    for row in result.rows:
        if row.key in keys:
            raise UnreadableResult(f"it has two rows for {label(row.key)}; expected one")
        keys.add(row.key)
    return kind, result


def _unknown(schema: str) -> str:
    """What is wrong with the ``schema`` of a file, and how to correct it."""
    known = ", ".join(WRITTEN)
    kind, _, version = schema.rpartition("/")
    newest = {name.rpartition("/")[0]: int(name.rpartition("/")[2]) for name in WRITTEN}
    if kind in newest and re.fullmatch(r"\d{1,9}", version):
        age, remedy = "a newer", "update sfic-bench"
        if int(version) < newest[kind]:
            age, remedy = "an unknown", "write the file again"
        return f"it has {age} schema, {schema}; this version reads {known}: {remedy}"
    what = f"schema {schema[:80]!r}" if schema else "no schema"
    return (
        f"it has {what}; expected one of {known}, or pytest-benchmark's JSON: write it with "
        "`sfic-bench flops` or `sfic-bench latency` and --format json"
    )


def _place(data: bytes, message: str) -> str:
    """The line and the text at the byte that msgspec's ``message`` names."""
    match = re.search(r"\(byte (\d+)\)", message)
    if match is None:
        return ""
    at = int(match[1])
    line = 1 + data.count(b"\n", 0, at)
    near = data[at : at + 12].split(b"\n")[0].decode(errors="replace")
    return f", line {line}, at {near!r}"
