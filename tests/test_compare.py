"""`sfic-bench compare`: verdicts, exit statuses, and which runs are compared at all."""

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.command import cpu_seconds
from helpers.command import run_command as run
from helpers.result_files import accuracy_file, accuracy_row, bench_file, cost_file, cost_row, timing_file, timing_row
from helpers.samples import quiet, skewed

from sfic_bench.comparing.verdicts import compare
from sfic_bench.results.read import read

Write = Callable[[str, Any], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def one(name: str, document: Any) -> Path:
        path = tmp_path / name
        path.write_bytes(document if isinstance(document, bytes) else json.dumps(document).encode())
        return path

    return one


def test_four_verdicts_and_rows_on_one_side(write: Write) -> None:
    rng = np.random.default_rng(1)
    noisy = [10 * rng.lognormal(0, 0.3, 30) for _ in range(2)]
    base = write("base.json", timing_file([
        timing_row("slower", quiet(seed=1)), timing_row("faster", quiet(seed=2)),
        timing_row("same", quiet(seed=3)), timing_row("unclear", noisy[0]), timing_row("gone", quiet(seed=4)),
    ]))  # fmt: skip
    head = write("head.json", timing_file([
        timing_row("slower", quiet(1.1, seed=5)), timing_row("faster", quiet(0.9, seed=6)),
        timing_row("same", quiet(seed=7)), timing_row("unclear", noisy[1]), timing_row("new", quiet(seed=8)),
    ]))  # fmt: skip
    status, out, _ = run("compare", base, head, "--format", "json")
    assert status == 1
    document = json.loads(out)
    times = {r["name"]: r for r in document["rows"] if r["metric"] in ("latency_ms", "")}
    assert {name: r["verdict"] for name, r in times.items()} == {
        "slower": "regressed",
        "faster": "improved",
        "same": "equivalent",
        "unclear": "inconclusive",
        "gone": "removed",
        "new": "added",
    }
    assert times["slower"]["low"] < 1.1 < times["slower"]["high"]
    assert re.search(
        r"30 \+ 30 samples could have shown \+\d.*; about ([\d,]+) \+ \1 samples would settle it",
        times["unclear"]["note"],
    )
    assert document["verdict"] == "regressed" and document["counts"]["added"] == 1
    status, out, _ = run("compare", base, head)
    assert out.startswith("regressed: 1 regressed, 1 inconclusive, 1 improved, 1 added, 1 removed")
    status, out, _ = run("compare", base, head, "--format", "csv")
    assert len(out.splitlines()) == 1 + len(document["rows"])


def test_exit_statuses_of_what_did_not_regress(write: Write) -> None:
    rng = np.random.default_rng(2)
    base = write("base.json", timing_file([timing_row("net", 10 * rng.lognormal(0, 0.3, 30))]))
    head = write("head.json", timing_file([timing_row("net", 10 * rng.lognormal(0, 0.3, 30))]))
    assert run("compare", base, head)[0] == 0
    assert run("compare", base, head, "--fail-on-inconclusive")[0] == 1
    assert run("compare", base, head, "--fail-on-change")[0] == 1
    same = write("same.json", timing_file([timing_row("net", quiet())]))
    assert run("compare", same, same, "--fail-on-inconclusive", "--fail-on-change")[0] == 0


def test_counts_have_no_tolerance(write: Write) -> None:
    base = write("base.json", cost_file([cost_row("net", params=10**12)]))
    more = write("more.json", cost_file([cost_row("net", params=10**12 + 1)]))
    status, out, _ = run("compare", base, more, "--margin", "50%")
    assert status == 1 and "1,000,000,000,001" in out and "+1" in out
    assert run("compare", more, base)[0] == 0
    assert run("compare", more, base, "--fail-on-change")[0] == 1


def test_a_count_that_leaves_more_out_is_no_improvement(write: Write) -> None:
    base = write("base.json", cost_file([cost_row("net")]))
    less = cost_row("net", macs={"paper": 300, "conv-linear": 400}, unsupported={"paper": {"fft": 2}})
    _, out, _ = run("compare", base, write("head.json", cost_file([less])), "--format", "json")
    (row,) = (r for r in json.loads(out)["rows"] if r["metric"] == "macs paper")
    assert row["verdict"] == "inconclusive" and "fft ×2" in row["note"]


def test_a_wrong_path_regressed_and_a_missing_one_is_inconclusive(write: Write) -> None:
    rows = [timing_row("net", quiet()), timing_row("net", quiet(), path="reference")]
    base = write("base.json", timing_file(rows))
    wrong = timing_row("net", None, status="wrong", reason="differs by 3")
    gone = timing_row("net", None, path="reference", reason="out of memory")
    status, out, _ = run("compare", base, write("head.json", timing_file([wrong, gone])), "--format", "json")
    times = {r["where"]: r for r in json.loads(out)["rows"] if r["metric"] == "latency_ms"}
    assert status == 1
    assert (times["fused"]["verdict"], times["fused"]["note"]) == ("regressed", "differs by 3")
    assert (times["reference"]["verdict"], times["reference"]["note"]) == ("inconclusive", "out of memory")


def test_memory_is_held_to_the_margin(write: Write) -> None:
    def at(peak: int) -> Path:
        row = timing_row("net", quiet(), peak_bytes={"peak_allocated": peak})
        return write(f"{peak}.json", timing_file([row]))

    assert run("compare", at(1000), at(1015))[0] == 0
    assert run("compare", at(1000), at(1025))[0] == 1


def test_relative_times_do_not_depend_on_the_machines_speed(write: Write) -> None:
    rng = np.random.default_rng(3)
    base, head = ([timing_row("net", quiet(s, seed=i), sfic=False), timing_row("net", quiet(2 * s, seed=i + 9))]
                  for i, s in enumerate((1.0, 1.3)))  # fmt: skip
    weather = rng.lognormal(0, 0.3, 30)
    for row in head:
        row["latency_ms"]["samples"] = list(row["latency_ms"]["samples"] * weather)
    first, second = write("a.json", timing_file(base)), write("b.json", timing_file(head))
    assert run("compare", first, second)[0] == 1
    status, out, _ = run("compare", first, second, "--relative", "--format", "json")
    (row,) = (r for r in json.loads(out)["rows"] if r["metric"] == "latency ÷ vanilla")
    assert status == 0 and row["verdict"] == "equivalent" and row["base"] == pytest.approx(2, rel=0.01)
    assert "it was the machine" not in out
    alone = write("alone.json", timing_file(base[1:]))
    status, _, err = run("compare", alone, alone, "--relative")
    assert status == 2 and "no vanilla row" in err


def test_when_everything_moves_the_machine_is_suspected(write: Write) -> None:
    base = write("base.json", timing_file([timing_row(f"net{i}", quiet(seed=i)) for i in range(3)]))
    head = write("head.json", timing_file([timing_row(f"net{i}", quiet(1.2, seed=i + 9)) for i in range(3)]))
    assert "all 3 times regressed" in run("compare", base, head)[1]
    assert "it was the machine" not in run("compare", base, base)[1]


def test_pytest_benchmarks_files(write: Write) -> None:
    base = write("a.json", bench_file({"t::a": quiet(1e-3), "t::b": quiet(1e-3, seed=1)}))
    head = write("b.json", bench_file({"t::a": quiet(2e-3), "t::b": quiet(1e-3, seed=2)}))
    status, out, _ = run("compare", base, head)
    assert status == 1 and out.startswith("regressed: 1 regressed, 1 equivalent")
    without = bench_file({"t::a": [1]})
    del without["benchmarks"][0]["stats"]["data"]
    status, _, err = run("compare", base, write("c.json", without))
    assert status == 2 and "--benchmark-save-data" in err


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d["environment"].update(processor="6502"), "processor is Z80 in * and 6502 in *"),
        (lambda d: d["environment"]["packages"].update(torch="9"), "torch is 2.13.0 in * and 9 in *"),
        (lambda d: d["rows"][0].update(device="cuda"), "device is cpu in * and cuda in *"),
        (lambda d: d["rows"][0].update(dtype="bf16"), "dtype is fp32 in * and bf16 in *"),
        (lambda d: d["rows"][0].update(batch_size=8), "batch_size is 4 in * and 8 in *"),
        (lambda d: d["rows"][0].update(backbone="other"), "no row in common"),
    ],
)
def test_unlike_runs_are_not_compared(write: Write, change: Callable[[dict[str, Any]], None], says: str) -> None:
    document = timing_file([timing_row("net", quiet())])
    other = copy.deepcopy(document)
    change(other)
    status, out, err = run("compare", write("base.json", document), write("head.json", other))
    assert status == 3 and out == "" and err.count("\n") == 1
    for part in says.split("*"):
        assert part in err


def test_conditions_that_may_differ_are_named(write: Write) -> None:
    document = timing_file([timing_row("net", quiet())])
    base = write("base.json", document)
    document["environment"]["packages"]["torch"] = "9"
    head = write("head.json", document)
    assert run("compare", base, head)[0] == 3
    assert run("compare", base, head, "--ignore", "torch")[0] == 0
    status, _, err = run("compare", base, head, "--ignore", "torhc")
    assert status == 2 and "did you mean 'torch'" in err
    assert run("compare", base, write("cost.json", cost_file([cost_row("net")])))[0] == 3
    scores = write("scores.json", accuracy_file([accuracy_row("net", 0.7)]))
    assert run("compare", base, scores)[0] == 3


@pytest.mark.parametrize(
    "option", [("--margin", "2"), ("--margin", "-1%"), ("--confidence", "nan"), ("--confidence", "20%")]
)
def test_bad_options(write: Write, option: tuple[str, str]) -> None:
    good = write("good.json", timing_file([timing_row("net", quiet(n=4))]))
    status, out, err = run("compare", good, good, *option)
    assert status == 2 and out == "" and err.count("\n") == 1


def test_names_stay_text_in_markdown(write: Write) -> None:
    name = "<script>alert(1)</script>|[x](y)"
    base = write("base.json", timing_file([timing_row(name, quiet())]))
    head = write("head.json", timing_file([timing_row(name, quiet(2))]))
    _, out, _ = run("compare", base, head, "--format", "markdown")
    assert out.startswith("### regressed: 1 regressed")
    assert r"\<script\>alert(1)\</script\>\|\[x](y)" in out


def test_what_the_commands_write_can_be_read(tmp_path: Path) -> None:
    for arguments in (
        ("flops", "--backbone", "mobilenet", "--alpha", ".5", "--beta", "1", "--per-layer"),
        ("latency", "--backbone", "mobilenet", "--alpha", ".5", "--beta", "1", "--input-size", "32",
         "--batch-size", "1", "--path", "reference,cuda-graph", "--max-seconds", "3"),
        ("stage2", "--channels", "8", "--size", "8", "--alpha", ".5", "--beta", "1", "--max-seconds", "3"),
    ):  # fmt: skip
        target = tmp_path / f"{arguments[0]}.json"
        assert run(*arguments, "--format", "json", "--output", target)[0] == 0
        records = read(target)
        comparison = compare(records, records)
        assert comparison.counts["regressed"] == 0 and len(comparison.rows) > 0
        assert run("compare", target, target)[0] == 0


def test_committed_results_can_be_read() -> None:
    for path in sorted((Path(__file__).parents[1] / "reports").glob("*.json")):
        assert read(path).result.rows


def test_a_thousand_rows_take_less_than_twice_the_import_of_pandas_and_no_torch(write: Write) -> None:
    rng = np.random.default_rng(4)
    for name in ("base.json", "head.json"):
        times = skewed(rng, 1000, 30, 0.01)
        path = write(name, timing_file([timing_row(f"net{i}", t) for i, t in enumerate(times)]))
    folder = path.parent

    # The two take turns, and the least time of each counts, so that other processes do not decide this.
    pairs = [
        (cpu_seconds("-m", "sfic_bench", "compare", folder / "base.json", folder / "head.json"),
         cpu_seconds("-c", "import pandas"))
        for _ in range(5)
    ]  # fmt: skip
    compared, imported = map(min, zip(*pairs, strict=True))
    assert compared < 2 * imported
    blocked = (
        "import sys; sys.modules['torch'] = None; from sfic_bench.__main__ import main;"
        f"sys.argv = ['sfic-bench', 'compare', {str(folder / 'base.json')!r}, {str(folder / 'head.json')!r}]; main()"
    )
    cpu_seconds("-c", blocked)


def scores_file(auc: float, width: float, **more: Any) -> dict[str, Any]:
    """A result file of ``evaluate``, whose AUC has an interval and whose EER has none."""
    score = {"estimate": auc, "low": auc - width / 2, "high": auc + width / 2}
    metrics = {"auc": score, "eer": {"estimate": 0.1}, "tpr": None}
    facts = {"run": "r", "data": "faces.csv", "split": "test", "images": 99, "unreadable": []}
    document = {"schema": "sfic-bench/scores/2", "environment": {}, **facts, "scores": {"frame": metrics, "video": {}}}
    return document | more


@pytest.mark.parametrize(
    ("head", "width", "verdict"),
    [(0.8, 0.01, "regressed"), (0.98, 0.01, "improved"), (0.9, 0.004, "equivalent"), (0.9, 0.2, "inconclusive")],
)
def test_scores_are_compared_by_their_intervals(write: Write, head: float, width: float, verdict: str) -> None:
    files = write("base.json", scores_file(0.9, width)), write("head.json", scores_file(head, width))
    status, out, _ = run("compare", *files, "--format", "json")
    (row,) = json.loads(out)["rows"]
    assert status == (verdict == "regressed")
    assert (row["name"], row["metric"], row["verdict"]) == ("auc", "per image", verdict)
    assert row["low"] < head / 0.9 < row["high"]
    assert ("times as many videos would settle it" in row["note"]) == (verdict == "inconclusive")


def test_scores_without_intervals_are_not_compared(write: Write) -> None:
    alone = write("alone.json", scores_file(0.9, 0.1, scores={"frame": {"auc": {"estimate": 0.9}}}))
    status, _, err = run("compare", alone, alone)
    assert status == 3 and f"{alone} has no score with an interval: score more videos" in err


def test_scores_of_other_images_are_not_compared(write: Write) -> None:
    base, head = write("base.json", scores_file(0.9, 0.1)), write("head.json", scores_file(0.9, 0.1, images=98))
    status, _, err = run("compare", base, head)
    assert status == 3 and "images is 99" in err
    base, head = (write(f"{auc}.json", accuracy_file([accuracy_row("net", auc)])) for auc in (0.7, 0.71))
    status, out, _ = run("compare", base, head, "--format", "json")
    assert status == 0 and [r["metric"] for r in json.loads(out)["rows"]] == [
        "auc per image", "bacc per image", "auc per video", "bacc per video",
    ]  # fmt: skip


def test_a_ratio_at_the_margin_is_not_settled_by_more_samples(write: Write) -> None:
    files = [
        write(f"{n}.json", timing_file([timing_row("net", [n * x for x in quiet(seed=3)])])) for n in (1, 1.02)
    ]  # fmt: skip
    _, out, _ = run("compare", *files, "--format", "json")
    (note,) = [r["note"] for r in json.loads(out)["rows"] if r["test"] == "sampled"]
    assert "another --margin settles it" in note
    few = [write(f"few{n}.json", timing_file([timing_row("net", [10, 10 + n])])) for n in (1, 2)]
    _, out, _ = run("compare", *few, "--format", "json")
    (note,) = [r["note"] for r in json.loads(out)["rows"] if r["test"] == "sampled"]
    assert note == "2 + 2 samples are too few for an interval: take at least 4 + 4"
