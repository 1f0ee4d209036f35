"""Results in the formats of other programs."""

import json
import re
from pathlib import Path

import pytest
from helpers.command import run_command
from helpers.result_files import accuracy_file, accuracy_row, cost_file, cost_row, timing_file, timing_row
from helpers.samples import quiet

MACS = 12_345_678_901
SAMPLE = re.compile(r'(\w+)\{((?:\w+="(?:[^"\\]|\\.)*",?)+)\} (\S+)')


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    documents = {
        "times": timing_file([timing_row("net", quiet(seed=1)), timing_row('"odd"\\name', quiet(seed=2))]),
        "costs": cost_file([cost_row("net", macs={"paper": MACS, "conv-linear": 7})]),
        "scores": accuracy_file([accuracy_row("net", 0.9)]),
    }
    paths = {name: tmp_path / f"{name}.json" for name in documents}
    for name, document in documents.items():
        paths[name].write_text(json.dumps(document))
    return paths


def exchanged(format: str, *files: Path) -> str:
    status, out, err = run_command("report", *files, "--format", format)
    assert status == 0, err
    return out


def test_openmetrics_has_each_figure_once_with_its_unit(files: dict[str, Path]) -> None:
    text = exchanged("openmetrics", files["times"], files["costs"])
    *lines, end = text.splitlines()
    assert end == "# EOF" and text.endswith("\n")
    samples = [SAMPLE.fullmatch(line) for line in lines if not line.startswith("#")]
    assert all(samples)
    found = {(m[1], m[2]): float(m[3]) for m in samples if m is not None}
    assert len(found) == len(samples)  # no figure is there twice
    (macs,) = (value for (name, labels), value in found.items() if 'convention="paper"' in labels)
    assert macs == MACS and f" {MACS}\n" in text
    times = json.loads(files["times"].read_text())["rows"]
    latencies = [value for (name, _), value in found.items() if name == "sfic_bench_latency_seconds"]
    assert latencies == [row["latency_ms"]["median"] / 1000 for row in times]
    assert r'network="\"odd\"\\name"' in text and 'file="times.json"' in text
    # A family is not interrupted, and its descriptions come before its samples.
    families = [re.split(r"[ {]", line.removeprefix("# "))[0 if line[0] != "#" else 1] for line in lines]
    assert len([name for name, before in zip(families, [None, *families], strict=False) if name != before]) == len(
        set(families)
    )
    assert "# UNIT sfic_bench_latency_seconds seconds" in lines


def test_google_benchmark_has_each_sample_as_a_repetition(files: dict[str, Path]) -> None:
    document = json.loads(exchanged("google-benchmark", files["times"]))
    row = json.loads(files["times"].read_text())["rows"][0]
    own = [b for b in document["benchmarks"] if b["family_index"] == 0]
    single = [b for b in own if b["run_type"] == "iteration"]
    assert [b["real_time"] for b in single] == row["latency_ms"]["samples"]
    assert [b["repetition_index"] for b in single] == list(range(len(single))) and single[0]["repetitions"] == len(
        single
    )
    (median,) = (b for b in own if b["run_type"] == "aggregate")
    assert median["name"] == f"{single[0]['name']}_median" and median["real_time"] == row["latency_ms"]["median"]
    assert {b["time_unit"] for b in own} == {"ms"}


def test_github_action_has_names_that_read_alone(files: dict[str, Path]) -> None:
    entries = json.loads(exchanged("github-action", files["times"], files["costs"]))
    assert all(entry.keys() >= {"name", "unit", "value"} for entry in entries)
    names = [entry["name"] for entry in entries]
    assert len(set(names)) == len(names)
    time = entries[0]
    assert time["unit"] == "ms" and "–" in time["range"] and re.match(r"median of \d+ samples", time["extra"])
    assert re.fullmatch(r"net, .*batch \d+, \d+×\d+, times.json: latency", time["name"])
    assert {"unit": "MACs", "value": MACS} in [{k: e[k] for k in ("unit", "value")} for e in entries]


def test_what_a_format_cannot_take_is_an_error(files: dict[str, Path]) -> None:
    for request, words in (
        ((files["scores"], "--format", "openmetrics"), "openmetrics takes times and costs, not accuracy"),
        ((files["costs"], "--format", "google-benchmark"), "takes times, and there are none"),
        ((files["times"], "--base", files["times"], "--format", "github-action"), "--base and --image are for pages"),
    ):
        status, out, err = run_command("report", *request)
        assert status == 2 and words in err and not out


def test_the_format_is_written_to_a_file_of_any_name(files: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "metrics.prom"
    assert run_command("report", files["costs"], "--format", "openmetrics", "-o", path)[0] == 0
    assert path.read_text() == exchanged("openmetrics", files["costs"])
