"""The sections, tables, Markdown, images and messages that `sfic-bench report` writes."""

import json
import sys
from pathlib import Path

import altair
import pandas as pd
import pytest
from altair.utils.schemapi import validate_jsonschema
from helpers.command import run_command as run
from helpers.mangled_files import mangled
from helpers.report_files import documents
from helpers.result_files import accuracy_file, accuracy_row, timing_file, timing_row
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import ValidationError

from sfic_bench.errors import SficBenchError
from sfic_bench.extras import install_command
from sfic_bench.reporting.overview import front
from sfic_bench.reporting.page import sections, to_markdown
from sfic_bench.reporting.page.charts import pareto
from sfic_bench.results.read import read
from sfic_bench.results.write import to_json
from sfic_bench.training.scores import METRIC_NAMES

REPORTS = Path(__file__).parents[2] / "reports"


def test_sections_and_slower_rows(page: Path) -> None:
    text = page.read_text()
    for heading in (
        "Verdict",
        "Fewer MACs but slower",
        "Measured accuracy",
        "Parameters and MACs",
        "Layers",
        "Where the figures are from",
    ):
        assert f">{heading}</h2>" in text
    assert "pytest-benchmark, Z80" in text and "3 of 3 timed SFIC rows have fewer MACs" in text
    assert "https://" not in text.split('<script type="application/json" id="config">')[0].replace(
        "https://vega.github.io/schema", ""
    )


def test_every_chart_is_valid_vega_lite(page: Path) -> None:
    files = [*REPORTS.glob("*.json"), *page.parent.glob("*.json")]
    charts = [make() for section in sections([read(file) for file in files]) for make in section.charts.values()]
    assert len(charts) > 40
    schema = altair.load_schema()
    for spec in charts:
        validate_jsonschema(spec, schema)
    with pytest.raises(ValidationError, match="barr"):
        validate_jsonschema(charts[0] | {"mark": "barr"}, schema)


def test_times_that_are_nearly_equal_are_drawn_close_to_each_other() -> None:
    def ends(*times: float) -> str:
        frame = pd.DataFrame({"ms": times, "auc": [60.0, 70.0], "backbone": ["vgg10", "vgg13"]})
        _, points, *_ = pareto(frame, "ms", "auc", highest=True)["layer"]
        return " to ".join(f"{end:.1f}" for end in points["encoding"]["x"]["scale"].get("domain", []))

    assert ends(311.0, 315.0) == "285.7 to 342.9"
    assert ends(311.0, 588.0) == ""


def test_networks_side_by_side(tmp_path: Path) -> None:
    files = documents() | {
        "times.json": timing_file([
            timing_row("resnet26", [3.0, 4.0, 5.0], sfic=False, path="reference"),
            timing_row("resnet26", [1.0, 2.0, 3.0], sfic=False, path="compiled"),
            timing_row("resnet26", [4.0, 5.0, 6.0], path="compiled"),
            timing_row("third", [1.0], sfic=False),
        ])
    }  # fmt: skip
    for name, document in files.items():
        (tmp_path / name).write_text(json.dumps(document))
    (section,) = (s for s in sections([read(tmp_path / n) for n in files]) if s.name == "networks")
    (table,) = section.tables  # pytest-benchmark's setting has no network of the others
    assert table.title.endswith("torch 2.13.0; orl hq → orl hq")
    assert [" ".join(filter(None, row)) for row in table.rows] == [
        "resnet26 256×256, 2 classes 0.00 0.00 0.00 compiled 2.0 1.0–3.0 0.0 70.0 60.0–75.0 3",
        "resnet26 0.5 1 256×256, 2 classes 0.00 0.00 0.00 compiled 5.0 4.0–6.0 0.0 80.0 70.0–85.0 3",
    ]
    ((caption, chart),) = section.charts.items()  # third has no accuracy, and another setting only one network
    points = next(iter(chart()["datasets"].values()))
    assert caption.startswith("AUC against time, ")
    assert [(point["ms"], point["auc"], point["front"]) for point in points] == [(2, 70, True), (5, 80, True)]
    assert not [s for s in sections([read(tmp_path / "times.json")]) if s.name == "networks"]


def test_scores_of_a_trained_network(page: Path) -> None:
    (section,) = (s for s in sections([read(page.parent / "scores.json")]) if s.name == "trained")
    every, thresholds, groups, calibration = section.tables
    document = documents()["scores.json"]
    assert [row[0] for row in every.rows] == list(METRIC_NAMES)
    fpr = document["at_thresholds"]["eer"]["frame"]["fpr"]
    (at_eer,) = (row for row in thresholds.rows if row[0] == "eer")
    assert (
        f"{100 * fpr['estimate']:.1f}" in at_eer and "chosen on the run's 300 validation images" in thresholds.notes[0]
    )
    assert ["method", "swap"] in [row[:2] for row in groups.rows] and len(groups.sections) == 2
    assert sum(int(row[1]) for row in calibration.rows) == 900
    ((caption, draw),) = section.charts.items()
    assert "runs/net" in caption
    points = json.dumps(draw())
    assert all(f'"images": {of["images"]}' in points for of in document["reliability"])
    assert json.loads(json.dumps(document)) == json.loads(to_json(read(page.parent / "scores.json").result))


def test_a_matrix_of_training_and_test_data(tmp_path: Path) -> None:
    rows = [accuracy_row("net", auc, train_on=t, test_on=o) for (t, o), auc in
            {("A", "B"): 0.6, ("A", "C"): 0.7, ("B", "A"): 0.8, ("B", "C"): 0.9}.items()]  # fmt: skip
    rows += [accuracy_row("other", 0.5, train_on=name, test_on=name) for name in "AB"]  # the diagonal tells no more
    rows += [accuracy_row("third", 0.5, train_on="A", test_on=name) for name in "AB"]
    for name, part in (("cross", rows), ("intra", [accuracy_row("net", 0.95, train_on="A", test_on="A")])):
        (tmp_path / f"{name}.json").write_text(json.dumps(accuracy_file(part)))
    files = [read(tmp_path / f"{name}.json") for name in ("cross", "intra")]
    (section,) = (s for s in sections(files) if s.name == "scores")
    matrix, _ = section.tables
    assert matrix.title == "net: AUC % by training and test data"
    assert [column.name for column in matrix.columns] == ["trained on", "on B", "on C", "on A"]
    assert matrix.rows == [["A", "60.00", "70.00", "95.00"], ["B", "", "90.00", "80.00"]]


def test_markdown_has_the_verdict_first_and_the_rest_folded(page: Path) -> None:
    folder = page.parent
    status, out, _ = run("report", folder / "times.json", "--format", "markdown")
    assert status == 0 and out.startswith("## Verdict\n")
    assert out.index("fewer MACs but slower") < out.index("<details>")
    assert out.count("<details>") == out.count("</details>") > 2
    assert "<script>" not in out and r"\<script\>" in out
    head = documents()["times.json"]
    for row in head["rows"][:2]:
        row["latency_ms"]["samples"] = [2 * s for s in row["latency_ms"]["samples"]]
    (folder / "head.json").write_text(json.dumps(head))
    target = folder / "report.md"
    status, _, _ = run("report", folder / "head.json", "--base", folder / "times.json", "-o", target)
    out = target.read_text()
    assert status == 0 and "| regressed | against the base | regressed: 2 regressed" in out
    assert out.index("## Verdict") < out.index("## What changed") < out.index("<summary>Fewer MACs")


def test_images(page: Path, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    status, _, err = run("report", page.parent / "times.json", "--format", "markdown", "--image", pictures)
    assert status == 0 and "wrote 8 images" in err
    for name in ("times-1-1", "times-1-4"):
        assert (pictures / f"{name}.svg").read_text().startswith("<svg")
        assert (pictures / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_messages_about_reports_that_cannot_be_written(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times, costs = page.parent / "times.json", page.parent / "costs.json"
    assert run("report", times, "-o", tmp_path / "none" / "x.html")[0] == 2
    status, _, err = run("report", times, costs, "--base", times)
    assert status == 2 and "exactly one FILE" in err
    status, _, err = run("report", costs, "--base", times, "-o", tmp_path / "x.html")
    assert status == 3 and not (tmp_path / "x.html").exists()
    (tmp_path / "bad.json").write_text("{")
    status, _, err = run("report", times, tmp_path / "bad.json", "-o", tmp_path / "x.html")
    assert status == 2 and "bad.json" in err and err.count("\n") == 1
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    status, _, err = run("report", times, "-o", tmp_path / "x.html")
    assert status == 2 and install_command("report") in err
    monkeypatch.setitem(sys.modules, "altair", None)
    assert run("report", times, costs, "--format", "markdown")[0] == 0


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=12), st.booleans())
def test_no_point_beats_the_front(points: list[tuple[int, int]], highest: bool) -> None:
    frame = pd.DataFrame(points, columns=["x", "y"]).astype(float)
    sign = -1 if highest else 1
    kept = front(frame, "x", "y", highest=highest)
    for i in frame.index:
        beaten = any(
            frame.x[j] <= frame.x[i]
            and sign * frame.y[j] <= sign * frame.y[i]
            and (frame.x[j], frame.y[j]) != (frame.x[i], frame.y[i])
            for j in frame.index
        )
        assert not (kept[i] and beaten)
        # Of equal points, one is enough.
        assert kept[i] or beaten or any(kept[j] and points[j] == points[i] for j in frame.index)


@settings(max_examples=100)
@given(data=st.lists(mangled(), min_size=1, max_size=2))
def test_mangled_files_never_make_a_traceback(tmp_path_factory: pytest.TempPathFactory, data: list[bytes]) -> None:
    folder = tmp_path_factory.mktemp("mangled")
    records = []
    for i, content in enumerate(data):
        (folder / f"{i}.json").write_bytes(content)
        try:
            records.append(read(folder / f"{i}.json"))
        except SficBenchError:
            continue
    if not records:
        return
    parts = sections(records)
    to_markdown(parts).encode()
    for part in parts:
        for make in part.charts.values():
            json.dumps(make(), allow_nan=False)
