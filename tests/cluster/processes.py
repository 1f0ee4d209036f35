"""Sweeps in processes of their own, which tests can kill."""

import subprocess
import sys
from pathlib import Path


def start(spec: Path, output: Path, *more: str) -> subprocess.Popen[str]:
    """Start ``sfic-bench sweep`` in a process of its own."""
    call = [sys.executable, "-m", "sfic_bench", "sweep", str(spec), "-o", str(output), *more]
    return subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str], within_s: float = 240) -> tuple[int, str, str]:
    """Wait for a process, or kill it after ``within_s``; returns exit status, stdout and stderr."""
    try:
        out, err = process.communicate(timeout=within_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return process.returncode, out, err
