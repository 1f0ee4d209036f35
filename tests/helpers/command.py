"""The command line in this process."""

import contextlib
import io
import sys
from pathlib import Path

from sfic_bench.cli import main as command_line


def run_command(*arguments: str | Path) -> tuple[int, str, str]:
    """Run ``sfic-bench`` in this process; returns exit status, stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
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
