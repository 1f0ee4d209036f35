"""The paper's accuracy tables by one command each."""

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from helpers.command import TIMEOUT_S, run_command
from helpers.paper_data import SIZE, write_data_sets
from helpers.sweeps import run_sweep

from sfic_bench.choices import TableNumber
from sfic_bench.data.draws import data_name
from sfic_bench.paper.wide import DataName, PaperTable, filled
from sfic_bench.results.accuracy import AccuracyRow
from sfic_bench.statistics.interval import Interval

QUICK = ("--epochs", "1", "--input-size", str(SIZE), "--batch-size", "8")


def row(train: str, test: str, auc: Interval, backbone: str = "resnet26", **more: float) -> AccuracyRow:
    return AccuracyRow(
        backbone=backbone, alpha=more.get("alpha"), beta=more.get("beta"), train_on=train, test_on=test, seeds=3,
        frame_auc=auc, frame_bacc=Interval(estimate=0.9), video_auc=None, video_bacc=None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.80, 0.90, "reproduced"), (0.88, 0.95, "higher"), (0.70, 0.87, "lower"), (0.87, 0.8766, "reproduced")],
)
def test_a_cell_is_compared_with_the_printed_one(low: float, high: float, verdict: str) -> None:
    """Table II prints 87.66 for the AUC of ResNet26 on HQ."""
    table, names = PaperTable.of("II"), {"FF++ (paper-120k) HQ": data_name("FF++ (paper-120k) HQ")}
    score = Interval(estimate=(low + high) / 2, low=low, high=high)
    cells = filled(table, [row("FF++ (paper-120k) HQ", "FF++ (paper-120k) HQ", score)], names)
    assert (cells[0].model, cells[0].metric, cells[0].printed) == ("ResNet26", "AUC", 87.66)
    assert (cells[0].verdict, cells[0].seeds, cells[0].measured_on) == (verdict, 3, "")
    assert cells[1].verdict == "undecided"  # a BACC without an interval
    assert Counter(cell.verdict for cell in cells[2:]) == {"missing": len(cells) - 2}


def test_other_data_are_shown_and_not_compared() -> None:
    names = {name: data_name(name) for name in ("FF++ HQ", "FF++ (paper-120k, 3 short) HQ", "FF++ (paper-120k) HQ")}
    assert names["FF++ (paper-120k, 3 short) HQ"] == DataName(name="FF++ HQ", is_papers=False)
    score = Interval(estimate=0.8, low=0.7, high=0.9)
    others = [row(name, name, score) for name in names if "3 short" in name or name == "FF++ HQ"]
    cell = filled(PaperTable.of("II"), others, names)[0]
    assert (cell.verdict, cell.measured_on) == ("other data", "FF++ HQ → FF++ HQ")
    papers = row("FF++ (paper-120k) HQ", "FF++ (paper-120k) HQ", score)
    assert filled(PaperTable.of("II"), [*others, papers], names)[0].verdict == "reproduced"


@pytest.mark.parametrize(
    ("number", "networks", "columns", "quoted"),
    [("II", 13, 2, 0), ("III", 14, 2, 0), ("IV", 11, 4, 0), ("V", 11, 4, 0), ("VI", 11, 6, 0), ("VII", 18, 1, 0),
     ("VIII", 18, 1, 0), ("IX", 4, 1, 11)],
)  # fmt: skip
def test_exactly_the_papers_networks_are_trained(number: str, networks: int, columns: int, quoted: int) -> None:
    """Table IX has 15 rows: two SFIC networks, F3-Net and M2TR, which this package has, and 11 others."""
    table = PaperTable.of(number)
    assert (len(table.networks), len(table.places)) == (networks, columns)
    assert sum(cell.verdict == "quoted" for cell in filled(table, [], {})) == quoted


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with the runs of Table IX, and the data."""
    folder = tmp_path_factory.mktemp("tables")
    data = write_data_sets(folder)
    status, out, err = run_command("table", "IX", "--data", data, "--runs", folder / "runs", *QUICK, "--format", "json")
    assert status == 0, err
    (folder / "IX.json").write_text(out)
    return folder, data


def test_a_table_from_manifests_to_its_wide_form(trained: tuple[Path, str], tmp_path: Path) -> None:
    folder, data = trained
    cells = json.loads((folder / "IX.json").read_text())["rows"]
    assert Counter(cell["verdict"] for cell in cells) == {"other data": 4, "quoted": 11}
    assert {cell["measured_on"] for cell in cells if cell["measured"]} == {"FF++ HQ → CelebDF"}
    # Nothing is trained again.
    before = {path: path.stat().st_mtime_ns for path in (folder / "runs").rglob("*") if path.is_file()}
    again = ("table", "IX", "--data", data, "--runs", folder / "runs", *QUICK)
    status, out, _ = run_command(*again)
    assert status == 0 and "Table IX, measured and printed" in out and "4 other data" in out
    assert {path: path.stat().st_mtime_ns for path in before if path.name != "config.json"}.items() <= before.items()
    for format, words in (("csv", "model,alpha,beta"), ("markdown", "### Table IX"), ("table", "FF++ →")):
        status, out, _ = run_command(*again, "--format", format)
        assert status == 0 and words in out
    page = tmp_path / "page.html"
    assert run_command("report", folder / "IX.json", "-o", page)[0] == 0
    assert "Table IX, measured and printed" in page.read_text()


def test_a_dry_run_says_what_is_left(trained: tuple[Path, str]) -> None:
    folder, data = trained
    before = sorted((folder / "runs").rglob("*"))
    status, out, err = run_command("table", "IX", "--data", data, "--runs", folder / "runs", *QUICK, "--dry-run")
    assert status == 0 and "4 of 4 trainings are finished" in out, err
    more = ("--seeds", "7,8")
    status, out, err = run_command("table", "IX", "--data", data, "--runs", folder / "runs", *QUICK, *more, "--dry-run")
    assert status == 0 and "4 of 8 trainings are finished" in out and "left on this machine" in out, err
    assert out.count("0 of 1") == 4 and sorted((folder / "runs").rglob("*")) == before


def test_a_sweep_makes_a_table(tmp_path: Path) -> None:
    data = [f'"{Path(name).name}"' for name in write_data_sets(tmp_path).split(",")]
    block = f'[[table]]\nnumber = "IX"\ndata = [{", ".join(data)}]\nepochs = 1\ninput_size = 32\nbatch_size = 8\n'
    status, _, err = run_sweep(tmp_path, block)
    assert status == 0, err
    accuracies = tmp_path / "out" / "accuracy.json"
    status, out, err = run_command("table", "IX", "--results", accuracies, "--format", "json")
    assert status == 0, err
    assert Counter(cell["verdict"] for cell in json.loads(out)["rows"]) == {"other data": 4, "quoted": 11}


def test_what_is_lacking_is_named(tmp_path: Path) -> None:
    status, _, err = run_command("table", "V")
    assert status == 2 and "--data and --runs are needed to train" in err
    status, _, err = run_command("table", "V", "--data", "orl", "--runs", tmp_path / "runs")
    assert status == 2 and "no manifest has data of Table V, whose columns are DFDC, HFF, FF++ HQ, FF++ LQ" in err
    status, _, err = run_command("table", "I")
    assert status == 2 and "'I' is not one of 'II', 'III'" in err


@pytest.mark.thorough
def test_a_killed_table_goes_on(tmp_path: Path) -> None:
    data = write_data_sets(tmp_path)
    call = ("table", "IX", "--data", data, "--runs", str(tmp_path / "runs"), *QUICK)
    command = [sys.executable, "-m", "sfic_bench", *call]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + TIMEOUT_S
    while not (finished := list((tmp_path / "runs").rglob("result.json"))) and time.monotonic() < end:
        time.sleep(0.01)
    process.kill()
    process.wait()
    before = {path: path.stat().st_mtime_ns for path in finished}
    status, out, err = run_command(*call)
    assert status == 0 and "4 other data" in out, err
    assert before and {path: path.stat().st_mtime_ns for path in before} == before
    assert len(list((tmp_path / "runs").rglob("result.json"))) == 4


@pytest.fixture(scope="module")
def eight(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, dict[str, dict[str, Any]]]:
    """All tables, made by one command each, and the folder and the manifests of the data."""
    folder = tmp_path_factory.mktemp("eight")
    data, results = write_data_sets(folder), {}
    for number in TableNumber:
        call = ("table", number, "--data", data, "--runs", folder / "runs", *QUICK, "--format", "json")
        status, out, err = run_command(*call)
        assert status == 0, err
        results[number.value] = json.loads(out)
    return folder, data, results


@pytest.mark.thorough
def test_all_eight_tables_by_one_command_each(eight: tuple[Path, str, dict[str, dict[str, Any]]]) -> None:
    for number, result in eight[2].items():
        verdicts = {cell["verdict"] for cell in result["rows"]}
        assert verdicts == {"other data", *(["quoted"] if number == "IX" else [])}, number
        is_unmasked = any("multi-task learnt by its classification loss alone" in note for note in result["notes"])
        assert is_unmasked == (number in ("IV", "V", "VI"))


@pytest.mark.thorough
def test_all_eight_tables_by_one_sweep(eight: tuple[Path, str, dict[str, dict[str, Any]]]) -> None:
    folder, data, results = eight
    names = ", ".join(f'"{Path(name).name}"' for name in data.split(","))
    numbers = ", ".join(f'"{number}"' for number in TableNumber)
    block = f"[[table]]\nnumber = [{numbers}]\ndata = [{names}]\nepochs = 1\ninput_size = 32\nbatch_size = 8\n"
    status, _, err = run_sweep(folder, block)
    assert status == 0, err
    files = [argument for path in (folder / "out").glob("accuracy*.json") for argument in ("--results", path)]
    for number in TableNumber:
        status, out, err = run_command("table", number, *files, "--format", "json")
        assert status == 0, err
        assert _measured(json.loads(out)) == _measured(results[number.value]), number


def _measured(result: dict[str, Any]) -> dict[str, float]:
    return {
        f"{cell['model']} {cell['alpha']} {cell['beta']} {cell['train_on']} {cell['test_on']} {cell['metric']}":
        cell["measured"]["estimate"]
        for cell in result["rows"] if cell["measured"]
    }  # fmt: skip
