"""Kill commands with SIGKILL at random moments, and count what is lost: ``python -m fuzz.kills`` in ``tests``.

Each command is first run without a kill, which gives its duration and what it must give. Then it is killed at a moment
drawn from that duration and started again, until it ends; then its end is compared, and it begins anew. A fault is:

- less than there was before the kill, but for the epoch or the video that was at work,
- a file under its own name that is neither the old one nor a whole new one,
- weights, images or results that differ from those of the run without a kill,
- a process that still runs 30 seconds after the kill.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from fuzz.victims import Victim, victims

PATIENCE_S = 30
"""How long the processes that a killed one has started may live on."""


@dataclass
class Kills:
    """How many kills each command had, how many processes ended by themselves, and the faults."""

    kills: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def main() -> None:
    """Kill, print the faults and write the figures as JSON; exit status 1 if there is a fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="of all commands together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="a part of the commands' names")
    parser.add_argument("--output", type=Path, help="a JSON file for the figures")
    options = parser.parse_args()
    start, result = time.monotonic(), Kills()
    with tempfile.TemporaryDirectory() as folder:
        all_victims = [v for v in victims(Path(folder)) if options.only in v.name]
        for i, victim in enumerate(all_victims):
            share = options.kills * (i + 1) // len(all_victims) - options.kills * i // len(all_victims)
            kill(victim, share, random.Random(f"{options.seed} {victim.name}"), result)
            print(f"{victim.name}: {result.kills[victim.name]} kills, {result.ends[victim.name]} ends", flush=True)
    for fault in result.faults:
        print(fault)
    figures = {
        "seed": options.seed, "kills": result.kills.total(), "ends": result.ends.total(),
        "faults": len(result.faults), "seconds": round(time.monotonic() - start), "by_command": dict(result.kills),
    }  # fmt: skip
    print(f"{figures['kills']} kills, {figures['faults']} faults")
    if options.output is not None:
        options.output.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    raise SystemExit(1 if result.faults else 0)


def kill(victim: Victim, kills: int, numbers: random.Random, result: Kills) -> None:
    """Kill ``victim`` so many times, and compare each of its ends with an end without a kill."""
    victim.prepare()
    start = time.monotonic()
    process = _start(victim)
    if process.wait() != 0:
        raise SystemExit(f"{victim.name} fails without a kill: exit status {process.returncode}")
    duration, expected = time.monotonic() - start, victim.outcome()
    _begin_anew(victim)
    while result.kills[victim.name] < kills:
        before = victim.kept()
        process = _start(victim)
        time.sleep(numbers.uniform(0, duration))
        before = max(before, victim.kept())
        ended = process.poll() is not None
        process.send_signal(signal.SIGKILL)
        process.wait()
        result.kills[victim.name] += not ended
        if left := _left_over(process.pid):
            result.faults.append(f"{victim.name}: processes {left} live on")
            for pid in left:
                os.kill(pid, signal.SIGKILL)
        if problem := victim.problem():
            result.faults.append(f"{victim.name}: {problem}")
        if victim.kept() < before:
            result.faults.append(f"{victim.name}: {before} results before the kill, {victim.kept()} after it")
        if ended:
            _compare(victim, expected, process.returncode, result)
            _begin_anew(victim)
    process = _start(victim)
    process.wait()
    _compare(victim, expected, process.returncode, result)


def _compare(victim: Victim, expected: object, status: int, result: Kills) -> None:
    result.ends[victim.name] += 1
    if status != 0:
        result.faults.append(f"{victim.name}: exit status {status} after kills")
    elif victim.outcome() != expected:
        result.faults.append(f"{victim.name}: another result than without a kill")


def _begin_anew(victim: Victim) -> None:
    if victim.folder.exists():
        shutil.rmtree(victim.folder)
    victim.prepare()


def _start(victim: Victim) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "sfic_bench", *map(str, victim.arguments)]
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, start_new_session=True, **quiet)  # type: ignore[call-overload,no-any-return]


def _left_over(session: int) -> list[int]:
    """Processes of a session that are still there after some time."""
    end = time.monotonic() + PATIENCE_S
    while (left := list(_of_session(session))) and time.monotonic() < end:
        time.sleep(0.05)
    return left


def _of_session(session: int) -> Iterator[int]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name in parentheses may have spaces; state, parent, group and session follow it.
            state, _parent, _group, own = path.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(own) == session and state != "Z":
            yield int(path.parent.name)


if __name__ == "__main__":
    main()
