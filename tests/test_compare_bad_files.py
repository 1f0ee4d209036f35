"""`sfic-bench compare` names in one line what is wrong with a file that it cannot use."""

import json
from pathlib import Path

import pytest
from helpers.command import run_command as run
from helpers.mangled_files import mangled
from helpers.result_files import timing_file, timing_row
from helpers.samples import quiet
from hypothesis import given, settings
from hypothesis import strategies as st

GOOD = json.dumps(timing_file([timing_row("net", quiet(n=4))])).encode()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (GOOD[:-40], "truncated"),
        (b"\xff\xfe", "malformed"),
        (b'{"a": 1}', "has no schema"),
        (b'{"schema": "sfic-bench/list/1"}', "'sfic-bench/list/1'"),
        (b'{"schema": "someone/else"}', "'someone/else'"),
        (GOOD.replace(b"measurement/1", b"measurement/3"), "a newer schema"),
        (GOOD.replace(b'"macs": 12345', b'"macs": NaN'), "line 1, at 'NaN"),
        (GOOD.replace(b'"macs": 12345', b'"macs": -1'), "`$.rows[0].macs`"),
        (GOOD.replace(b'"samples": [', b'"samples": [-1.5, '), "`$.rows[0].latency_ms.samples[0]`"),
        (GOOD.replace(b'"samples": [', b'"samples": [1e999, '), "`$.rows[0].latency_ms.samples[0]`"),
        (GOOD.replace(b'"device": "cpu", ', b""), "missing required field `device`"),
        (
            GOOD.replace(b'"backbone": "net"', b'"backbone": "\\u001b[2J"'),
            "text without control characters - at `$.rows[0].backbone`",
        ),
        (json.dumps(timing_file([])).encode(), "has no rows"),
        (json.dumps(timing_file([timing_row("net", [1.0])] * 2)).encode(), "two rows for net α=0.5 β=1 fused"),
        (GOOD.replace(b'"status": "ok"', b'"status": "wrong"'), "`$.rows[0]`"),
        (b"[" * 100_000, "sfic-bench"),
    ],
)
def test_bad_files_are_named_in_one_line(tmp_path: Path, data: bytes, says: str) -> None:
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_bytes(GOOD)
    bad.write_bytes(data)
    for pair in ((good, bad), (bad, good)):
        status, out, err = run("compare", *pair)
        assert status == 2 and out == "" and err.count("\n") == 1
        assert says in err and "bad.json" in err


def test_files_that_are_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        status, _, err = run("compare", path, path)
        assert status == 2 and str(path) in err and err.count("\n") == 1


@settings(max_examples=400)
@given(base=mangled(), head=mangled(), format=st.sampled_from(["table", "json", "markdown", "csv"]))
def test_mangled_files_never_make_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, base: bytes, head: bytes, format: str
) -> None:
    folder = tmp_path_factory.mktemp("mangled")
    (folder / "base.json").write_bytes(base)
    (folder / "head.json").write_bytes(head)
    status, out, err = run("compare", folder / "base.json", folder / "head.json", "--format", format)
    assert status in (0, 1, 2, 3)
    assert (status in (2, 3)) == bool(err) and (err == "" or err.count("\n") == 1)
    out.encode()  # what a file says can be printed
