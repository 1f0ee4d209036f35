"""What a hostile or a clumsy user gives: devices as outputs, code that ends the process, sizes without measure."""

import os
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from helpers.command import run_command, run_command_process
from helpers.training import SIZE, recipe, small_splits, write_splits

from sfic_bench.errors import InvalidValue
from sfic_bench.files import read_file, write_atomically
from sfic_bench.measure.memory import lack_of_memory
from sfic_bench.networks.variant import Stage2Layer, Variant
from sfic_bench.networks.weights import read_state
from sfic_bench.reporting.table import Column, Table, to_csv, to_markdown, to_plain
from sfic_bench.training.loop import train
from sfic_bench.training.recipe import TrainingDevices
from sfic_bench.training.runs import Run
from sfic_bench.units import printable

COUNT = ("flops", "--backbone", "mobilenet", "--alpha", "none", "--format", "csv")


# Outputs


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE, text=True) as reader:
        write_atomically(pipe, "text")
        assert reader.communicate(timeout=20)[0] == "text"
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize("name", ["-", "/dev/stdout"])
def test_standard_output_can_be_named(name: str) -> None:
    done = run_command_process(*COUNT, "--output", name)
    assert done.returncode == 0 and done.stdout.startswith("backbone,alpha") and "mobilenet,,,256" in done.stdout


def test_a_redirected_standard_output_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    with target.open("w") as file:
        before = os.fstat(file.fileno()).st_ino
        command = [sys.executable, "-m", "sfic_bench", *COUNT, "--output", "/dev/stdout"]
        assert subprocess.run(command, stdout=file, check=False).returncode == 0
    assert target.stat().st_ino == before and target.read_text().startswith("backbone,alpha")


def test_a_name_for_another_format_is_refused(tmp_path: Path) -> None:
    counts = Path(__file__).parents[1] / "reports" / "detectors-cost-299.json"
    status, _, err = run_command("report", counts, "-o", tmp_path / "r.pdf")
    assert status == 2 and "must end in .html, .htm, .md" in err and not (tmp_path / "r.pdf").exists()


# Inputs


def test_a_pipe_that_nobody_writes_to_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sfic_bench.files.PATIENCE_S", 0.2)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="nobody writes to"):
        read_file(pipe)
    status, _, err = run_command("report", pipe, "--format", "markdown")
    assert status == 2 and "nobody writes to" in err


def test_a_pipe_with_a_slow_writer_is_read_whole(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    script = f"(sleep 0.5; printf one; sleep 0.5; printf two) > {pipe}"
    with subprocess.Popen(["sh", "-c", script]):
        assert read_file(pipe) == b"onetwo"


@pytest.mark.parametrize("command", [("report",), ("compare", "/dev/null")])
def test_a_device_is_no_file(command: tuple[str, ...]) -> None:
    status, _, err = run_command(*command, "/dev/zero")
    assert status == 2 and "device" in err and err.count("\n") == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80",
        b"\x80\x02}q\x00(X\x01",
        b"PK\x03\x04" + b"\0" * 40,
        "€".encode() * 30,
        b"\x80\x04\x95" + b"\xff" * 8,
    ],
)
def test_broken_state_dicts_are_one_kind_of_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    with pytest.raises(InvalidValue, match=re.escape(str(path))):
        read_state(path)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import sys\nsys.exit(0)", "SystemExit: 0"),
        ("import os\nos._exit(0)", "SystemExit: 0"),
        ("def net():\n    return net()", "RecursionError"),
        ("def net():\n    raise ValueError('no')", "ValueError: no"),
        ("class Odd(BaseException): pass\nraise Odd('x')", "Odd: x"),
        ("def net(:", "SyntaxError"),
    ],
)
def test_code_that_fails_is_an_error_of_its_file(tmp_path: Path, code: str, words: str) -> None:
    file = tmp_path / "net.py"
    file.write_text(code)
    done = run_command_process("flops", "--backbone", f"{file}:net", "--alpha", "none")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and f"{file} failed with {words}" in done.stderr


def test_classes_that_a_file_cannot_have_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text("from torch import nn\n\ndef net():\n    return nn.Sequential(nn.Conv2d(3, 2, 3))\n")
    call = ("flops", "--backbone", f"{file}:net", "--alpha", "none")
    assert run_command(*call)[0] == 0
    status, _, err = run_command(*call, "--classes", "5")
    assert status == 2 and "cannot be asked for 5 classes" in err


# Sizes, devices and memory


@pytest.mark.parametrize(
    "arguments",
    [
        ("flops", "--backbone", "mobilenet", "--input-size", "1" + "0" * 30),
        ("flops", "--backbone", "mobilenet", "--classes", "1" + "0" * 30),
        ("latency", "--backbone", "mobilenet", "--batch-size", "1000000000"),
        ("stage2", "--channels", "1000000000"),
        ("stage2", "--kernel", "10000001"),
        ("train", "-o", "run", "--input-size", "10000000"),
    ],
)
def test_sizes_beyond_measure_are_one_line(arguments: tuple[str, ...]) -> None:
    status, out, err = run_command(*arguments)
    assert status == 2 and out == "" and err.count("\n") == 1 and "must be at most 1,048,576" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("latency", "--backbone", "mobilenet", "--alpha", "none", "--input-size", "1000000"),
        ("stage2", "--channels", "1000000", "--alpha", ".5", "--beta", "1"),
    ],
)
def test_what_does_not_fit_into_memory_is_not_tried(arguments: tuple[str, ...]) -> None:
    status, _, err = run_command(*arguments, "--max-seconds", "1")
    assert status == 2 and re.search(r"nothing could be measured: at least [\d,.]+ GB of memory are needed", err)


def test_the_memory_that_is_needed_is_compared_with_what_is_free() -> None:
    assert lack_of_memory(1, torch.device("cpu")) == ""
    assert re.fullmatch(
        r"at least 1,000,000\.0 GB of memory are needed, and [\d,.]+ GB are free",
        lack_of_memory(10**15, torch.device("cpu")),
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--devices", "0"), "devices must be at least 1"),
        (("--devices", "1000"), "--devices must be at most"),
        (("--workers", "-1"), "workers must lie in"),
        (("--workers", "100000"), "--workers must be at most"),
        (("--batch-size", "1000000"), "does not fit with 1000000 images"),
    ],
)
def test_what_this_machine_lacks_leaves_no_run(tmp_path: Path, options: tuple[str, ...], words: str) -> None:
    manifest = write_splits(small_splits(tmp_path))
    call = ("train", "--data", manifest, "--backbone", "mobilenet", "--input-size", str(SIZE * 8))
    status, _, err = run_command(*call, "-o", tmp_path / "run", *options)
    assert status == 2 and words in err and err.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_a_missing_cuda_device_leaves_no_run(tmp_path: Path) -> None:
    data = small_splits(tmp_path)
    with pytest.raises(InvalidValue, match="no CUDA device"):
        train(Variant(backbone="mobilenet"), recipe(), data, Run(tmp_path / "run"), TrainingDevices(device="cuda"))  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()
    status, _, err = run_command("latency", "--backbone", "mobilenet", "--alpha", "none", "--device", "cuda")
    assert status == 2 and "nothing could be measured: this machine has no CUDA device" in err


def test_a_layer_has_an_odd_kernel() -> None:
    with pytest.raises(InvalidValue, match="kernel size must be odd"):
        Stage2Layer(channels=4, kernel_size=2)


# What is shown

EVIL = "a\x1b[31m\x07\u202eb\nc"


def test_control_characters_are_shown_and_not_obeyed() -> None:
    assert printable("α β ÷ – é 写") == "α β ÷ – é 写"
    assert printable(EVIL) == r"a\x1b[31m\x07\u202eb\nc"
    table = Table(title=EVIL, columns=[Column(name="x")], rows=[[EVIL]], notes=[EVIL])
    for text in (to_plain([table]), to_markdown([table])):
        assert "\x1b" not in text and "\u202e" not in text
    status, _, err = run_command("flops", "--backbone", EVIL)
    assert status == 2 and "\x1b" not in err and err.count("\n") == 1


def test_markup_in_a_summary_stays_text() -> None:
    table = Table(title="<img src=x onerror=alert(1)>", columns=[Column(name="x")], rows=[["1"]], folded=True)
    assert "<summary>&lt;img src=x onerror=alert(1)&gt;</summary>" in to_markdown([table])


def test_formulas_of_a_spreadsheet_stay_text() -> None:
    rows = [{"name": name, "number": -1.5} for name in ("=1+1", "+1", "-1", "@x", "a=1")]
    lines = to_csv(rows).splitlines()[1:]
    assert lines == ["'=1+1,-1.5", "'+1,-1.5", "'-1,-1.5", "'@x,-1.5", "a=1,-1.5"]


# Errors that nobody foresaw


def test_a_defect_is_one_line_and_a_log(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("deep inside")

    monkeypatch.setattr("sfic_bench.api.costs", fail)
    status, _, err = run_command(*COUNT)
    match = re.fullmatch(
        r"sfic-bench: a defect of sfic-bench: ZeroDivisionError: deep inside; please report it with (\S+)\n", err
    )
    assert status == 70 and match is not None
    log = Path(match[1])
    assert "ZeroDivisionError: deep inside" in log.read_text() and "Traceback" in log.read_text()
    log.unlink()


@pytest.mark.parametrize("name", ["x" * 300, "x" * 5000, "loop"])
def test_names_that_no_file_can_have_are_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for call in (("report", tmp_path / name), (*COUNT, "--output", tmp_path / name), ("compare", tmp_path / name, "x")):
        status, out, err = run_command(*call)
        assert status == 2 and out == "" and err.count("\n") == 1


def test_a_usage_error_points_at_the_command() -> None:
    status, _, err = run_command("flops", "--input-sice", "3")
    assert status == 2 and "--input-size" in err and re.search(r"see \S.* flops --help\)", err)


def test_workers_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    script = tmp_path / "start.py"
    script.write_text(
        "import os, sys, time\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from multiprocessing import get_context\n"
        "from sfic_bench.processes import start_worker\n"
        "if __name__ == '__main__':\n"
        "    pool = ProcessPoolExecutor(1, get_context('spawn'), start_worker)\n"
        "    print(pool.submit(os.getpid).result(), flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    end = time.monotonic() + 30
    while Path(f"/proc/{worker}").exists() and time.monotonic() < end:
        time.sleep(0.1)
    assert not Path(f"/proc/{worker}").exists()
