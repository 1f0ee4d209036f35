"""How the command ends: quickly, with its status, and with nothing lost."""

import subprocess
import sys
from pathlib import Path

import pytest
from helpers.command import run_python

from sfic_bench.cli.defaults import CONFIG
from sfic_bench.cli.main import COMMANDS, _needed, app_with

COMMAND = [sys.executable, "-m", "sfic_bench"]


def test_whatever_was_registered_for_the_exit_runs() -> None:
    code = """
import atexit, sys
from sfic_bench.__main__ import main

atexit.register(print, "at the exit")
sys.argv = ["sfic-bench", "--version"]
main()
"""
    done = run_python("-c", code)
    assert done.returncode == 0 and done.stdout.endswith("at the exit\n")


def test_threads_that_still_run_are_waited_for() -> None:
    code = """
import sys, threading, time
from sfic_bench.__main__ import main

def late():
    time.sleep(1)
    print("late", flush=True)

threading.Thread(target=late).start()
sys.argv = ["sfic-bench", "--version"]
main()
"""
    done = run_python("-c", code)
    assert done.returncode == 0 and done.stdout.endswith("late\n")


def test_a_profiler_gets_its_figures() -> None:
    done = run_python("-m", "cProfile", "-m", "sfic_bench", "--version")
    assert done.returncode == 0 and "function calls" in done.stdout


def test_a_reader_that_stops_reading_brings_no_message() -> None:
    with subprocess.Popen([*COMMAND, "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.wait() in (0, 1) and process.stderr.read() == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*COMMAND, "--version"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "sfic-bench: cannot write the output: No space left on device\n"


def test_only_the_named_command_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CONFIG, raising=False)
    assert _needed(["flops", "latency"]) == ["flops"]
    assert all(_needed(words) is COMMANDS for words in ([], ["--help"], ["flop"], ["--config", "flops"]))
    monkeypatch.setenv(CONFIG, "defaults.toml")
    assert _needed(["flops"]) is COMMANDS
    monkeypatch.delenv(CONFIG)
    assert [command.name for command in app_with(["flops"]).registered_commands] == ["flops"]
    code = """
import sys
from sfic_bench.cli.main import main

sys.argv = ["sfic-bench", "list", "--help"]
try:
    main()
except SystemExit:
    assert "sfic_bench.cli.sweep" not in sys.modules
"""
    done = run_python("-c", code)
    assert done.returncode == 0, done.stderr
