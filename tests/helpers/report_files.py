"""Result files of every kind, for a report."""

import json
from typing import Any

import numpy as np
from msgspec import to_builtins

from helpers.deployment import deployment_result
from helpers.result_files import accuracy_file, accuracy_row, bench_file, cost_file, cost_row, timing_file, timing_row
from helpers.robustness import robustness_result
from helpers.scored import scored
from sfic_bench.results.environment import environment
from sfic_bench.results.scores import ScoresResult
from sfic_bench.results.write import to_json
from sfic_bench.training.groups import score_groups
from sfic_bench.training.scores import reliability, summary
from sfic_bench.training.thresholds import at_thresholds, chosen_thresholds

EVIL = "<script>window.pwned = 1</script><b>net"


def interval(median: float) -> dict[str, Any]:
    return {"median": median, "ci95": [0.95 * median, 1.05 * median]}


def scores_file() -> dict[str, Any]:
    """A file of ``evaluate`` with all that it can have, by images that `scored` makes."""
    predictions, validated = scored(900, 60), scored(300, 60, seed=1)
    thresholds = chosen_thresholds(validated)
    result = ScoresResult(
        environment=environment(), run="runs/net", data="faces.csv", split="test", images=900, unreadable=[],
        scores=summary(predictions), thresholds=thresholds, at_thresholds=at_thresholds(predictions, thresholds),
        groups=score_groups(predictions), reliability=reliability(predictions),
    )  # fmt: skip
    document: dict[str, Any] = json.loads(to_json(result))
    return document


def documents() -> dict[str, Any]:
    """The result files by their names."""
    rng = np.random.default_rng(0)
    rows = []
    for scale, name in ((1.0, "net"), (3.0, EVIL), (9.0, "third")):
        rows.append(timing_row(name, scale * rng.lognormal(0, 0.1, 20), sfic=False, macs=int(scale * 10**9)))
        slower: dict[str, Any] = {"ratio_to_vanilla": interval(1.2), "fewer_macs_but_slower": True}
        slower["macs"] = int(scale * 5 * 10**8)
        rows.append(timing_row(name, 1.2 * scale * rng.lognormal(0, 0.1, 20), **slower))
    rows.append(timing_row("net", None, path="cuda-graph", reason="needs a CUDA device"))
    layer = {"path": "conv1", "kind": "conv", "calls": 1, "input": [1, 3, 8, 8], "output": [1, 4, 8, 8], "params": 9}
    layers = [
        layer | {"macs": {"paper": 9, "conv-linear": 9_000_000}},
        layer | {"path": "relu", "macs": {"paper": None}},
    ]
    return {
        "times.json": timing_file(rows),
        "costs.json": cost_file([
            cost_row("resnet26", layers=layers),
            cost_row("resnet26", alpha=0.5, beta=1.0, params_over_vanilla={"unexplained": 0}, layers=layers),
        ]),
        "accuracy.json": accuracy_file([
            accuracy_row("resnet26", 0.7),
            accuracy_row("resnet26", 0.8, alpha=0.5, beta=1.0, auc_over_vanilla={"value": 0.1, "ci95": [0.02, 0.2]}),
        ]),
        "scores.json": scores_file(),
        "robustness.json": to_builtins(robustness_result()),
        "deployment.json": to_builtins(deployment_result()),
        "bench.json": bench_file({"t::a": [0.01, 0.02, 0.03], "t::b": [0.02] * 3}),
    }  # fmt: skip
