"""Results as data frames, from Python."""

import io
from pathlib import Path

import pandas as pd
import pytest
from helpers.command import run_command

import sfic_bench
from sfic_bench.errors import InvalidValue
from sfic_bench.statistics.interval import Interval

REPORTS = Path(__file__).parent.parent / "reports"


def test_a_frame_has_the_columns_and_figures_of_csv(tmp_path: Path) -> None:
    path = tmp_path / "costs.json"
    request = ("flops", "--backbone", "mobilenet", "--alpha", ".5", "--beta", ".5,1")
    assert run_command(*request, "--format", "json", "-o", path)[0] == 0
    frame = sfic_bench.to_frame(sfic_bench.read(str(path)))
    _, text, _ = run_command(*request, "--format", "csv")
    expected = pd.read_csv(io.StringIO(text))
    assert list(frame.columns) == list(expected.columns) and len(frame) == 3
    pd.testing.assert_frame_equal(frame[["alpha", "params", "macs_paper"]], expected[["alpha", "params", "macs_paper"]])


@pytest.mark.parametrize("path", sorted(REPORTS.glob("*.json")), ids=lambda path: path.stem)
def test_every_committed_result_is_a_frame(path: Path) -> None:
    result = sfic_bench.read(path)
    frame = sfic_bench.to_frame(result)
    assert len(frame) and not frame.columns.has_duplicates
    if result.timing is not None:
        timed = frame[frame["latency_ms"].notna()]
        assert (timed["latency_ms_low"] <= timed["latency_ms"]).all() and len(timed)


def test_what_has_no_rows_is_an_error() -> None:
    with pytest.raises(InvalidValue, match="Interval has no rows"):
        sfic_bench.to_frame(Interval(estimate=1.0))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        sfic_bench.nothing  # noqa: B018  # looking it up is the test
