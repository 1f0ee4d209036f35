"""Results and messages that must not change: the commands wrote them from these files before the code was rebuilt."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).parent / "golden"
FILES = sorted((GOLDEN / "v1").glob("*.json"))


def run(*arguments: str) -> str:
    done = subprocess.run([sys.executable, "-m", "sfic_bench", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


def rows(markdown: str) -> list[list[str]]:
    """Cells of every table row that has a figure; the others are headings and rulers."""
    lines = [line for line in markdown.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [row for row in cells if any(re.search(r"\d", cell) for cell in row)]


def test_a_report_of_old_files_has_every_figure_that_it_had() -> None:
    was = rows((GOLDEN / "report.md").read_text(encoding="utf-8"))
    now = rows(run("report", *map(str, FILES), "--format", "markdown"))
    for row in was:
        figures = [cell for cell in row if re.search(r"\d", cell)]
        assert any(all(cell in new for cell in figures) for new in now), row
    assert len(was) > 200


@pytest.mark.parametrize(
    ("golden", "more"),
    [
        ("compare", ["--ignore", "onednn_max_cpu_isa"]),
        ("compare-relative", ["--ignore", "onednn_max_cpu_isa", "--relative"]),
    ],
)
def test_a_comparison_of_old_files_says_what_it_said(golden: str, more: list[str]) -> None:
    was: dict[str, Any] = json.loads((GOLDEN / f"{golden}.json").read_text(encoding="utf-8"))
    base, head = (str(GOLDEN / "v1" / f"{name}.json") for name in ("latency", "latency-avx2"))
    now = json.loads(run("compare", base, head, *more, "--format", "json"))
    assert (now["verdict"], now["counts"]) == (was["verdict"], was["counts"])
    for old, new in zip(was["rows"], now["rows"], strict=True):
        assert {name: new[name] for name in old} == old


def test_the_audit_says_what_it_said() -> None:
    was = json.loads((GOLDEN / "audit.json").read_text(encoding="utf-8"))
    now = json.loads(run("audit", "--format", "json"))
    for part, lines in was.items():
        assert len(lines) == len(now[part])
        for old, new in zip(lines, now[part], strict=True):
            assert {name: new[name] for name in old} == old
