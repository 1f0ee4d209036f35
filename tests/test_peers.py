"""The real third-party counters against our conventions for them: nothing may stay unexplained."""

import pytest

import sfic_bench
from sfic_bench import backbones
from sfic_bench.counting import conventions, count, peers

NETWORKS = [
    {"backbone": "resnet26"},
    {"backbone": "resnet26", "alpha": 0.5, "beta": 0.5},
    {"backbone": "mobilenet", "alpha": 0.25, "beta": 1.0},
    {"backbone": "vgg13", "alpha": 0.75, "beta": 0.25},
    {"backbone": "vgg13"},
    *({"backbone": name, "input_size": 96} for name in backbones.detector_names()),
]
SIZE = (1, 3, 96, 96)


@pytest.mark.parametrize("counter", peers.COUNTERS.values(), ids=lambda c: c.name)
def test_nothing_is_unexplained(counter: peers.Counter) -> None:
    assert counter.version, f"{counter.package} is missing: {peers.INSTALL}"
    jobs = [peers.Job(builder="sfic_bench.api:build", arguments=a, input_size=SIZE) for a in NETWORKS]
    answers = list(peers.run(counter, jobs))
    assert len(answers) == len(jobs)
    for arguments, answer in zip(NETWORKS, answers, strict=True):
        ours = count(sfic_bench.build(**arguments, device="meta"), SIZE).totals[counter.convention]
        assert answer.macs == ours.macs, (arguments, answer.reason)


def test_differences_add_up_and_read_well() -> None:
    ops = count(sfic_bench.build("resnet50", device="meta"), (1, 3, 256, 256)).ops
    paper, thop = conventions.get("paper"), conventions.get("thop")
    found = peers.differences(ops, thop, paper)
    assert str(found[0]) == "counts batch_norm twice: +29,032,448"
    assert "leaves out relu: -12,550,144" in map(str, found)
    assert "leaves out the bias of linear: -2" in map(str, found)
    apart = conventions.total(ops, thop).macs - conventions.total(ops, paper).macs
    assert sum(d.macs for d in found) == apart


def test_a_failing_builder_is_a_reason_not_a_crash() -> None:
    good = {"backbone": "mobilenet"}
    jobs = [
        peers.Job(builder="sfic_bench.api:build", arguments=a, input_size=(1, 3, 32, 32))
        for a in ({"backbone": "nonsense"}, good)
    ]
    bad, fine = peers.run(peers.COUNTERS["FlopCounterMode"], jobs)
    assert bad.macs is None and "unknown backbone 'nonsense'" in bad.reason
    assert fine.macs


def test_a_missing_counter_names_the_command() -> None:
    counter = peers.Counter(name="thop", package="no-such-distribution", summary="")
    (answer,) = peers.run(counter, [peers.Job(builder="a:b", arguments={}, input_size=SIZE)])
    assert answer.macs is None and "pip install 'sfic-bench[peers]'" in answer.reason


def test_a_dying_process_is_a_reason() -> None:
    job = peers.Job(builder="os:_exit", arguments={"status": 3}, input_size=SIZE)
    (answer,) = peers.run(peers.COUNTERS["FlopCounterMode"], [job])
    assert answer.macs is None and "its process ended" in answer.reason
