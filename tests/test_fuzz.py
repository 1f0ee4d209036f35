"""A few mutated files and options; ``nox -s explore`` tries as many as its time allows."""

import signal
from dataclasses import replace
from pathlib import Path

import pytest
from fuzz import run
from fuzz.targets import Target, targets


def test_mutated_files_and_options_are_answered_plainly(tmp_path: Path) -> None:
    result = run.fuzz(600, 3, tmp_path)
    assert sum(result.inputs.values()) == 600 and len(result.inputs) > 40
    assert result.faults == {}


@pytest.mark.parametrize("fault", [KeyError("x"), SystemExit(0), RecursionError()])
def test_a_fault_is_found(fault: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Path) -> None:
        raise fault

    def one_target(folder: Path) -> dict[str, Target]:
        return {"broken": replace(targets(folder)["manifest csv"], use=fail)}

    monkeypatch.setattr(run, "targets", one_target)
    (name,) = run.fuzz(3, 0, tmp_path).faults
    assert name.startswith(f"broken: {type(fault).__name__}")


def test_a_hang_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def forever() -> str:
        while True:
            pass

    monkeypatch.setattr(run, "HANG_S", 1)
    signal.signal(signal.SIGALRM, run.hang)
    result = run.Result()
    result.add("loop", 0, forever)
    assert list(result.faults) == ["loop: TimeoutError: took over 1 s"]
