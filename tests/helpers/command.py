"""The command line, in this process and in processes of its own."""

import contextlib
import io
import os
import resource
import subprocess
import sys
from pathlib import Path

from sfic_bench.cli import main as command_line

TIMEOUT_S = 1800
"""Ends a process that hangs. On a busy machine an honest one takes ten times as long as on a quiet one."""


def run_command(*arguments: str | Path, stdout: io.StringIO | None = None) -> tuple[int, str, str]:
    """Run ``sfic-bench`` in this process; returns exit status, stdout and stderr."""
    out, err = stdout or io.StringIO(), io.StringIO()
    before = sys.argv
    sys.argv = ["sfic-bench", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            command_line.main()
    except SystemExit as stopped:
        return int(stopped.code or 0), out.getvalue(), err.getvalue()
    finally:
        sys.argv = before
    raise AssertionError("main returns by exit")


def run_command_process(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run ``sfic-bench`` in a process of its own, with environment variables besides this process's."""
    return run_python("-m", "sfic_bench", *arguments, **variables)


def run_python(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own, with environment variables besides this process's."""
    command, environment = [sys.executable, *arguments], {**os.environ, **variables}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=TIMEOUT_S)


def cpu_seconds(*arguments: str | Path) -> float:
    """The CPU time that Python takes with ``arguments``, which must succeed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = run_python(*arguments)
    assert done.returncode == 0, done.stderr
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
