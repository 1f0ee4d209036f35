"""Our conventions for third-party counters give what the counters themselves give."""

import os
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from helpers.networks import normed

from sfic_bench import api
from sfic_bench.counting import conventions, count, peers
from sfic_bench.extras import install_command
from sfic_bench.networks import registry

NETWORKS: list[dict[str, Any]] = [  # keyword arguments of `build`
    {"backbone": "resnet26"},
    {"backbone": "resnet26", "alpha": 0.5, "beta": 0.5},
    {"backbone": "mobilenet", "alpha": 0.25, "beta": 1.0},
    {"backbone": "vgg13", "alpha": 0.75, "beta": 0.25},
    {"backbone": "vgg13"},
    *({"backbone": name, "input_size": 96} for name in registry.detector_names()),
]
NORMED: list[dict[str, Any]] = [{}, {"alpha": 0.5, "beta": 0.5}]  # keyword arguments of `normed`
SIZE = (1, 3, 96, 96)


def run_of(arguments: Mapping[str, object]) -> peers.PeerRun:
    return peers.PeerRun(builder="sfic_bench.api:build", arguments=arguments, input_size=SIZE)


@pytest.mark.parametrize("counter", peers.COUNTERS.values(), ids=lambda c: c.name)
def test_nothing_is_unexplained(counter: peers.Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    assert counter.version, f"{counter.package} is missing: {install_command('peers')}"
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["tests", *sys.path]))
    runs = [
        *(run_of(arguments) for arguments in NETWORKS),
        *(peers.PeerRun(builder="helpers.networks:normed", arguments=a, input_size=SIZE) for a in NORMED),
    ]
    models = (*(api.build(**a, device="meta") for a in NETWORKS), *(normed(**a) for a in NORMED))
    for run, model, result in zip(runs, models, peers.run(counter, runs), strict=True):
        assert result.macs == count(model, SIZE).totals[counter.convention].macs, (run.arguments, result.reason)


def test_differences_add_up_and_read_well() -> None:
    calls = count(api.build("resnet50", device="meta"), (1, 3, 256, 256)).calls
    paper, thop = conventions.get("paper"), conventions.get("thop")
    differences = peers.differences(calls, thop, paper)
    assert str(differences[0]) == "counts batch_norm twice: +29,032,448"
    assert "leaves out relu: -12,550,144" in map(str, differences)
    assert "leaves out the bias of linear: -2" in map(str, differences)
    whole = conventions.total(calls, thop).macs - conventions.total(calls, paper).macs
    assert sum(d.macs for d in differences) == whole


def test_a_failing_builder_is_a_reason_not_a_crash() -> None:
    runs = [run_of({"backbone": name}) for name in ("nonsense", "mobilenet")]
    failed, counted = peers.run(peers.COUNTERS["FlopCounterMode"], runs)
    assert failed.macs is None and "unknown backbone 'nonsense'" in failed.reason
    assert counted.macs


def test_a_missing_counter_names_the_command() -> None:
    counter = peers.Counter(name="thop", package="no-such-distribution", summary="")
    (result,) = peers.run(counter, [run_of({})])
    assert result.macs is None and install_command("peers") in result.reason


def test_a_dying_process_is_a_reason() -> None:
    run = peers.PeerRun(builder="os:_exit", arguments={"status": 3}, input_size=SIZE)
    (result,) = peers.run(peers.COUNTERS["FlopCounterMode"], [run])
    assert result.macs is None and "its process ended" in result.reason
