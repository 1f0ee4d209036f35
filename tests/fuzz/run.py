"""Give sfic-bench mutated files and options, and count what is no plain answer: ``python -m fuzz.run`` in ``tests``.

An input is answered plainly if it is read, or refused with one of sfic-bench's own errors. A traceback, an error that
nobody foresaw and an input that takes over 10 seconds are faults. The same seed gives the same inputs.
"""

import argparse
import json
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from helpers.command import run_command

from fuzz.mutate import OPTION_VALUES
from fuzz.targets import Target, targets
from sfic_bench.errors import SficBenchError

HANG_S = 10

COMMANDS: Sequence[Sequence[str]] = (
    ("flops", "--backbone=mobilenet", "--alpha=0.5", "--beta=1", "--input-size=64", "--classes=2", "--format=csv"),
    ("explain", "--backbone=mobilenet", "--alpha=0.5", "--format=json", "--on-unsupported=error"),
    ("compare", "BASE", "HEAD", "--margin=2%", "--confidence=95%", "--ignore=threads", "--format=json"),
    ("report", "BASE", "--format=markdown", "--margin=2%"),
    ("latency", "--backbone=none", "--alpha=0.5", "--path=fused", "--dtype=fp32", "--batch-size=1", "--layout=both"),
    ("stage2", "--channels=4", "--size=8", "--kernel=3", "--alpha=2", "--batch-size=1", "--max-seconds=0.01"),
    ("train", "--data=none.csv", "-o", "OUT", "--epochs=1", "--decay=1", "--learning-rate=0.1", "--precision=fp32"),
    ("accuracy", "--runs=OUT", "--data=none.csv", "--seeds=1", "--protocol=intra", "--compression=c23"),
    ("table", "V", "--data=none.csv", "--runs=OUT", "--seeds=1", "--epochs=1", "--perspective=0.5"),
    ("audit", "--claims", "--results", "BASE", "--format=json"),
    ("evaluate", "OUT", "--data=none.csv", "--split=test", "--workers=0", "--device=cpu"),
    ("predict", "OUT", "none.png", "--backbone=x.py:y", "--frames=2", "--enlarge=1", "--format=json"),
    ("attention", "OUT", "-o", "p.png", "--counts=1,2", "--data=none.csv"),
    ("export", "--backbone=none", "--alpha=0.5", "--beta=1", "--to=onnx", "--output", "OUT"),
    ("sweep", "none.toml", "--engine=local", "-o", "OUT", "--format=json"),
    ("data", "import", "ffpp", "OUT", "-o", "m.csv", "--fake-label=1"),
    ("data", "check", "none.csv", "--format=json"),
    ("list", "--format=json"),
    ("env", "--format=markdown"),
)


@dataclass
class Result:
    """How many inputs each target was given, and the faults, with the number of the input that shows each."""

    inputs: Counter[str] = field(default_factory=Counter)
    faults: dict[str, str] = field(default_factory=dict)
    slowest_s: float = 0.0

    def add(self, name: str, number: int, check: Callable[[], str]) -> None:
        """Run ``check``, which returns what is wrong, and note an exception or a hang as a fault."""
        start = time.monotonic()
        signal.alarm(HANG_S)
        try:
            fault = check()
        except SficBenchError:
            fault = ""
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            fault = f"{type(error).__name__}: {error}"[:300]
        finally:
            signal.alarm(0)
        self.inputs[name] += 1
        self.slowest_s = max(self.slowest_s, time.monotonic() - start)
        if fault:
            self.faults.setdefault(f"{name}: {fault.splitlines()[0]}", f"input {number}")


def hang(*_: object) -> None:
    raise TimeoutError(f"took over {HANG_S} s")


def fuzz(inputs: int, seed: int, folder: Path, seconds: float = float("inf")) -> Result:
    """Give sfic-bench so many inputs, one in ten of them a command's options, for at most so many ``seconds``."""
    signal.signal(signal.SIGALRM, hang)
    result, end = Result(), time.monotonic() + seconds
    by_name = targets(folder)
    names = sorted(by_name)
    for number in range(inputs):
        if time.monotonic() > end:
            break
        numbers = random.Random(f"{seed} {number}")
        if number % 10 == 9:
            command = numbers.choice(COMMANDS)
            result.add(f"options of {command[0]}", number, partial(run_options, command, numbers, folder))
        else:
            name = numbers.choice(names)
            result.add(name, number, partial(use_file, by_name[name], numbers, folder))
    return result


def use_file(target: Target, numbers: random.Random, folder: Path) -> str:
    """Read one mutated file."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        path = Path(place) / target.name
        path.parent.mkdir(parents=True, exist_ok=True)
        target.write(path, target.mutate(target.content, numbers))
        target.use(path)
    return ""


def run_options(command: Sequence[str], numbers: random.Random, folder: Path) -> str:
    """Run a command with one or two of its options changed; returns what is wrong with its end."""
    counts = Path(__file__).parents[2] / "reports" / "detectors-cost-299.json"
    names = {"BASE": counts, "HEAD": counts, "OUT": folder / "o"}
    arguments = [str(names.get(a, a)).replace("=OUT", f"={folder / 'o'}") for a in command]
    for _ in range(numbers.randint(1, 2)):
        place = numbers.randrange(1, len(arguments))
        option, is_option, _value = arguments[place].partition("=")
        value = numbers.choice(OPTION_VALUES)
        if command[0] == "latency" and value == "all":
            continue  # to time all backbones rightly takes minutes
        arguments[place] = f"{option}={value}" if is_option else value
    with suppress(OSError):
        (folder / "o").unlink()
    status, out, err = run_command(*arguments)
    if status not in (0, 1, 2, 3):
        return f"exit status {status}: {err.strip()}"
    if "Traceback" in err or "\x1b" in err or "\x1b" in out:
        return f"unprintable or a traceback: {err[:200]!r}"
    return ""


def main() -> None:
    """Fuzz, print the faults and write the figures as JSON; exit status 1 if there is a fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long")
    parser.add_argument("--output", type=Path, help="a JSON file for the figures")
    options = parser.parse_args()
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        result = fuzz(options.inputs, options.seed, Path(folder), options.seconds)
        left = sorted(path.name for path in Path(folder).iterdir() if path.name.startswith("tmp"))
    for fault, where in result.faults.items():
        print(f"{fault} ({where})")
    figures = {
        "seed": options.seed, "inputs": sum(result.inputs.values()), "faults": len(result.faults), "left": left,
        "slowest_s": round(result.slowest_s, 2), "seconds": round(time.monotonic() - start),
        "by_target": dict(sorted(result.inputs.items())),
    }  # fmt: skip
    print(f"{figures['inputs']:,} inputs, {figures['faults']} faults, slowest {figures['slowest_s']} s")
    if options.output is not None:
        options.output.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    raise SystemExit(1 if result.faults or left else 0)


if __name__ == "__main__":
    main()
