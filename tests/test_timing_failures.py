"""Paths that fail or are wrong get a status and no time, and the others go on."""

import pytest
import torch
from helpers.timings import measure, replace_maker
from torch import Tensor, nn

from sfic_bench.measure.conditions import Conditions
from sfic_bench.measure.execution import Output, Ready, eager


def test_a_wrong_path_is_reported_and_gets_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def off_by_a_hundredth(model: nn.Module, inputs: tuple[Tensor, ...], training: bool) -> Ready:
        return Ready(run=lambda: model(*inputs).detach() * 1.01)

    replace_maker(monkeypatch, "compiled", off_by_a_hundredth)
    result = measure(["reference", "compiled"])
    wrong = [r for r in result.rows if r.path == "compiled"]
    assert {r.status for r in wrong} == {"wrong"}
    assert all(r.latency_ms is None and "differs from the float64 reference" in r.reason for r in wrong)


def test_a_lack_of_memory_is_a_rows_status(monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(model: nn.Module, inputs: tuple[Tensor, ...], training: bool) -> Ready:
        raise torch.OutOfMemoryError("tried to allocate 1 TiB")

    replace_maker(monkeypatch, "compiled", greedy)
    result = measure(["reference", "compiled"])
    assert {r.status for r in result.rows if r.path == "compiled"} == {"unavailable"}
    assert {r.status for r in result.rows if r.path == "reference"} == {"ok"}


def test_a_devices_error_is_a_rows_status(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(model: nn.Module, inputs: tuple[Tensor, ...], training: bool) -> Ready:
        raise RuntimeError("GET was unable to find an engine to execute this computation")

    replace_maker(monkeypatch, "compiled", refused)
    rows = measure(["reference", "compiled"]).rows
    assert [r.status for r in rows] == ["ok", "unavailable"] * 2
    assert rows[1].reason == "RuntimeError: GET was unable to find an engine to execute this computation"


def test_a_wrong_gradient_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(model: nn.Module, inputs: tuple[Tensor, ...], training: bool) -> Ready:
        ready = eager(model, inputs, training)

        def run() -> Output:
            result = ready.run()
            for p in list(model.parameters())[:40]:
                p.grad = None
            return result

        return Ready(run=run)

    replace_maker(monkeypatch, "compiled", forgetful)
    conditions = Conditions(batch_size=2, input_size=64, training=True)
    rows = measure(["reference", "compiled"], conditions).rows
    assert [r.status for r in rows] == ["ok", "wrong"] * 2
    assert "has no gradient of" in rows[1].reason and "more" in rows[1].reason


def test_a_path_that_runs_out_of_memory_while_sampled_has_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def later(model: nn.Module, inputs: tuple[Tensor, ...], training: bool) -> Ready:
        ready, calls = eager(model, inputs, training), iter(range(100))

        def run() -> Output:
            if next(calls) > 4:
                raise torch.OutOfMemoryError("tried to allocate 1 TiB")
            return ready.run()

        return Ready(run=run)

    replace_maker(monkeypatch, "compiled", later)
    result = measure(["compiled", "reference"])
    assert [r.status for r in result.rows] == ["unavailable", "ok"] * 2
    assert result.rows[0].reason == "out of memory: tried to allocate 1 TiB"
    assert result.rows[3].ratio_to_vanilla is not None and result.families[0].vanilla_against_itself is None
