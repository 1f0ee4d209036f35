"""The paper's claims in words, against its printed cells and against results."""

import json
from pathlib import Path

import pytest
from helpers.command import cpu_seconds, run_command
from helpers.result_files import accuracy_file, accuracy_row

from sfic_bench.paper.claims import audit_words
from sfic_bench.paper.scores import better, printed
from sfic_bench.paper.suspicious import suspicious
from sfic_bench.statistics.interval import Interval

# Counted by hand in the printed tables: the verdict, and words of the finding.
FOUND = {
    "α = .25, β = .75 gains 3.22% AUC over ResNet26 (HQ)": ("true", "90.88 − 87.66 = +3.22"),
    "α = .75, β = .5 is about as good as ResNet26 (LQ)": ("true in part", "AUC 88.81 → 88.99; BACC 81.79 → 81.53"),
    "with β < 1 networks need fewer FLOPs and are still better than vanilla": ("true in part", "24 of 36"),
    "β ≠ 1 limits the accuracy": ("true", "12 of 12"),
    "α adds no FLOPs": ("true in part", "β = 1 alone"),
    "SFIC improves all baselines (significantly, it says)": ("true", "28 of 28 up, by +1.48 to +8.76 points"),
    "SFIC networks generalise better to DF, FF and FS": ("true in part", "6 of 6 columns"),
    "SFIC networks are better than all others on four data sets": ("true in part", "8 of 8 columns"),
    "all five SFIC networks beat all baselines on FF++": ("true", "20 of 20"),
    "SFIC-ResNet26 has about half of M2TR's parameters and FLOPs": ("true in part", "1.07 of the released M2TR"),
    "SFIC networks are smaller than the large baselines": ("true in part", "10.69 to 14.66 GMac"),
    "lightweight baselines score low": ("true in part", "ahead of F3-Net on DFDC, HFF, FF++ HQ, FF++ LQ"),
    "SFIC makes ResNet26 insensitive to compression": ("not borne out", "+1.15, ResNet50 +1.08, ResNet101 +1.22"),
    "SFIC networks are significantly better across compressions": ("true in part", "4 of 5 networks"),
    "SFIC networks are generally better across data sets": ("true in part", "10 of 12 columns; a single one"),
    "SFIC improves six backbones on CelebDF": ("true in part", "6 of 60 cells"),
    "70.7 and 71.0 on CelebDF are close to most methods": ("true in part", "8 of 15, SFIC-VGGNet16 is 7 of 15"),
}  # fmt: skip


def test_claims_are_tested_on_the_printed_cells() -> None:
    rows = {row.says: row for row in audit_words(printed())}
    assert rows.keys() == FOUND.keys()
    for says, (verdict, words) in FOUND.items():
        assert rows[says].verdict == verdict and words in rows[says].finding, rows[says]


def test_figures_to_doubt_are_named() -> None:
    found = {(row.place, row.what): row.finding for row in suspicious()}
    assert found["V, VI", "Multi-task has one figure for AUC and BACC"].startswith("10 of 10")
    assert found["IV to VI", "M2TR's AUC has one decimal, as no other network's"].startswith("14 of 14")
    assert any("99.99" in finding and finding.count("SFIC-VGGNet13") == 3 for finding in found.values())


@pytest.mark.parametrize(
    ("a", "b", "outcome"),
    [((1, 2), (3, 4), False), ((3, 4), (1, 2), True), ((1, 3), (2, 4), None), ((2, 2), (2, 2), False)],
)
def test_intervals_that_overlap_leave_a_comparison_open(
    a: tuple[float, float], b: tuple[float, float], outcome: bool | None
) -> None:
    first, second = (Interval(estimate=sum(x) / 2, low=x[0], high=x[1]) for x in (a, b))
    assert better(first, second) is outcome
    assert better(Interval(estimate=9.0), second) is None


@pytest.mark.parametrize("data_set", ["FF++", "FF++ (paper-120k)"])
def test_claims_are_tested_on_results(tmp_path: Path, data_set: str) -> None:
    """AUC .7 [.6, .75] of ResNet-26; of its SFIC form .95 [.85, 1] in one experiment and .2 [.1, .25] in the other."""
    rows = []
    for compression, auc in (("HQ", 0.95), ("LQ", 0.2)):
        data = {"train_on": f"{data_set} {compression}", "test_on": f"{data_set} {compression}"}
        rows += [accuracy_row("resnet26", 0.7, **data), accuracy_row("resnet26", auc, **data, alpha=0.5, beta=1.0)]
    path = tmp_path / "own.json"
    path.write_text(json.dumps(accuracy_file(rows)))
    status, out, _ = run_command("audit", "--claims", "--results", path, "--format", "json")
    assert status == 0
    own = {row["says"]: row for row in json.loads(out)["rows"] if row["source"] == "own.json"}
    assert len(own) == 14  # three of 17 are about printed costs
    improves = own["SFIC improves all baselines (significantly, it says)"]
    assert (improves["verdict"], improves["holds"], improves["of"]) == ("true in part", 2, 4)
    assert own["SFIC networks generalise better to DF, FF and FS"]["verdict"] == "not measured"


def test_results_are_for_claims_alone(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    path.write_text(json.dumps(accuracy_file([accuracy_row("resnet26", 0.9)])))
    status, _, err = run_command("audit", "--results", path)
    assert status == 2 and "--results needs --claims" in err


def test_claims_need_no_torch_and_no_time() -> None:
    code = """
import sys
from sfic_bench.cli.main import main
sys.argv = ["sfic-bench", "audit", "--claims"]
try:
    main()
except SystemExit as end:
    assert end.code == 0 and "torch" not in sys.modules
"""
    assert cpu_seconds("-c", code) < 3
