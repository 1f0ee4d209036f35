"""Defaults of options: a file with a table for each command, and environment variables."""

import json
from pathlib import Path

import pytest
from helpers.command import run_command


def networks(*request: str | Path) -> set[tuple[str, float | None, float | None]]:
    status, out, err = run_command(*request, "--format", "json")
    assert status == 0, err
    return {(row["backbone"], row["alpha"], row["beta"]) for row in json.loads(out)["rows"]}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "defaults.toml"
    of_flops = 'backbone = "mobilenet"\nalpha = [0.5, 0.25]\nbeta = 1\nper-layer = true\n'
    path.write_text(f'[flops]\n{of_flops}[sweep.run]\nengine = "local"\n')
    return path


def test_the_command_line_comes_before_variables_and_these_before_the_file(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vanilla, half, quarter, most = (("mobilenet", a, None if a is None else 1.0) for a in (None, 0.5, 0.25, 0.75))
    assert networks("--config", config, "flops") == {vanilla, half, quarter}
    monkeypatch.setenv("SFIC_BENCH_FLOPS_ALPHA", ".75")
    assert networks("--config", config, "flops") == {vanilla, most}
    assert networks("--config", config, "flops", "--alpha", ".5") == {vanilla, half}
    monkeypatch.setenv("SFIC_BENCH_CONFIG", str(config))
    assert networks("flops") == {vanilla, most}
    monkeypatch.delenv("SFIC_BENCH_FLOPS_ALPHA")
    assert networks("flops") == {vanilla, half, quarter}
    monkeypatch.delenv("SFIC_BENCH_CONFIG")
    monkeypatch.setenv("SFIC_BENCH_FLOPS_BACKBONE", "vgg13")
    assert networks("flops", "--alpha", "none") == {("vgg13", None, None)}


def test_flags_and_commands_of_a_group_have_defaults_too(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, out, _ = run_command("--config", config, "flops", "--format", "json")
    assert status == 0 and json.loads(out)["rows"][0]["layers"]
    monkeypatch.setenv("SFIC_BENCH_SWEEP_RUN_ENGINE", "horse")
    status, _, err = run_command("sweep", "run", "none.toml")
    assert status == 2 and "'horse' is not one of 'ray', 'local'" in err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[flop]", "unknown command in {} 'flop'; did you mean 'flops'?"),
        ("[flops]\nbakbone = 1", "unknown option of flops in {} 'bakbone'; did you mean 'backbone'?"),
        ("[sweep]\nengine = 1", "unknown command in {} 'engine'"),
        ("flops = 1", "{}: flops is a command, whose options are a table: [flops]"),
        ("[flops]\nalpha = 2026-01-01", "{}: alpha must be a text, a number or a list of them"),
        ("[flops", "{} is no TOML"),
        ('[flops]\ninput_size = "x"', "Invalid value for '--input-size'"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_what_is_wrong(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "defaults.toml"
    path.write_text(text)
    status, out, err = run_command("--config", path, "flops")
    assert status == 2 and words.format(path) in err and not out and err.count("\n") == 1


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    status, _, err = run_command("--config", tmp_path / "none.toml", "list")
    assert status == 2 and f"cannot read {tmp_path / 'none.toml'}" in err
