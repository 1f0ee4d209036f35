"""Every block of code in the documentation does what its page says, or its page says why no test runs it.

The blocks of a page run in order, in one folder that has what a checkout has. Of a block of shell, bash says which
commands it calls with which words; ``sfic-bench`` then runs in this process, the installs of ``pip`` are held to
pyproject.toml, and the sessions of ``nox`` to noxfile.py.
"""

import ast
import re
import shlex
import tomllib
from collections.abc import Sequence
from contextlib import chdir
from pathlib import Path

import pytest
import typer
from helpers.command import run_command
from helpers.doc_blocks import LANGUAGES, MARKS, OUTPUT, SHELL, DocBlock, blocks_of, calls
from helpers.screen import Terminal, plain, terminal

from sfic_bench.cli.main import app_with
from sfic_bench.data.choices import SplitName
from sfic_bench.data.manifest import COLUMNS
from sfic_bench.sweeping.spec import read_sweep
from sfic_bench.training.presets import recipe_of

ROOT = Path(__file__).parent.parent
PAGES = [
    page
    for page in (*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md")), *(ROOT / "reports").glob("*.md"))
    if "```" in page.read_text(encoding="utf-8")
]
WIDTH = 80
"""Columns of the terminal whose output the pages show."""
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SESSIONS = re.findall(r"^def (\w+)\(session", (ROOT / "noxfile.py").read_text(encoding="utf-8"), re.MULTILINE)


def names_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=names_of)
def test_every_block_has_a_language_and_every_mark_a_reason(page: Path) -> None:
    blocks = blocks_of(page)
    assert len(blocks) == len(re.findall(r"^ *```", page.read_text(encoding="utf-8"), re.MULTILINE)) / 2
    for block in blocks:
        assert block.language in LANGUAGES and block.mark in MARKS, block
        assert not block.mark or block.words.strip(), block


@pytest.mark.parametrize("page", PAGES, ids=names_of)
def test_the_blocks_of_a_page_run(page: Path, tmp_path: Path) -> None:
    for name in ("reports", "docs", "constraints.txt"):
        (tmp_path / name).symlink_to(ROOT / name)
    names: dict[str, object] = {}
    with chdir(tmp_path):
        for block in blocks_of(page):
            if block.mark == "not run" or block.language in (*OUTPUT, "yaml"):
                continue
            try:
                run(block, names)
            except (Exception, SystemExit) as error:
                raise AssertionError(f"{names_of(page)}, line {block.line}: {error}") from error


def test_most_blocks_run() -> None:
    """What runs, what is only parsed and what is neither, over all pages: marks must not become the rule."""
    marks = [block.mark for page in PAGES for block in blocks_of(page) if block.language in (*SHELL, "python")]
    ran = marks.count("") + marks.count("tested with")
    assert ran >= 20 and marks.count("not run") <= 8, {mark: marks.count(mark) for mark in MARKS}


def run(block: DocBlock, names: dict[str, object]) -> None:
    """Run a block, or as much of it as its mark allows; ``names`` are those of the page's Python."""
    if block.language == "toml":
        check_toml(block.code)
    elif block.language == "python":
        run_python_block(block, names)
    else:
        for program, *words in list(calls(block.commands, Path.cwd())):
            CHECKS[program](words, block)


def run_python_block(block: DocBlock, names: dict[str, object]) -> None:
    tree = ast.parse(block.code)
    if block.mark == "parsed only":
        tree.body = [line for line in tree.body if isinstance(line, ast.Import | ast.ImportFrom)]
    elif block.mark == "tested with":
        exec(block.words, names)
    exec(compile(tree, f"line {block.line}", "exec"), names)


def check_command(words: Sequence[str], block: DocBlock) -> None:
    if block.mark == "parsed only":
        parse(words)
        return
    options = shlex.split(block.words) if block.mark == "tested with" else []
    with terminal(WIDTH):
        status, out, err = run_command(*words, *options, stdout=Terminal())
    assert status == 0, f"{shlex.join(words)}: exit status {status}\n{err}"
    if block.mark != "tested with":
        for line in block.shown:
            assert line.rstrip() in plain(out).splitlines(), f"{shlex.join(words)} does not show {line!r}, but\n{out}"


def parse(words: Sequence[str]) -> None:
    """Let the command line parse a command, without running it."""
    command = typer.main.get_command(app_with())
    _disarm(command)
    command(list(words), prog_name="sfic-bench", standalone_mode=False)


def _disarm(command: object) -> None:
    children = getattr(command, "commands", {})
    for child in children.values():
        _disarm(child)
    if not children:
        vars(command)["callback"] = lambda **_: None


def check_toml(code: str) -> None:
    """Let what reads such a file read it: a sweep, a recipe, or the defaults of options."""
    file, values = Path("block.toml"), tomllib.loads(code)
    file.write_text(code, encoding="utf-8")
    if "base" in values:
        assert recipe_of("block.toml", {}) != recipe_of(values["base"], {})
    elif any(isinstance(value, list) for value in values.values()):
        for name in set(re.findall(r"\w+\.csv", code)):
            write_manifest(Path(name))
        assert read_sweep(file)
    elif "project" not in values:  # that of another package is read by pip
        assert run_command("--config", file, "list")[0] == 0


def write_manifest(path: Path) -> None:
    """A manifest of a data set that the paper uses, with an image of each class in each split."""
    dataset = {"ffpp": "FF++", "celebdf": "Celeb-DF"}.get(path.stem, path.stem.upper())
    rows = [
        f"{split}{label}{compression}.png,{label},{dataset},,{split}{label},{split},{compression}"
        for compression in (("c23", "c40") if dataset == "FF++" else ("",))
        for split in SplitName
        for label in (0, 1)
    ]
    path.write_text("\n".join([",".join(COLUMNS), *rows]) + "\n", encoding="utf-8")


def check_install(words: Sequence[str], block: DocBlock) -> None:
    """What is installed is an extra of pyproject.toml or a package by its name, at the versions of constraints.txt."""
    assert words[:3] == ["install", "-c", "constraints.txt"], f"pip {shlex.join(words)}"
    for word in words[3:]:
        extras = re.fullmatch(r"\.(?:\[([\w,]+)\])?", word)
        known = extras is None or set((extras[1] or "test").split(",")) <= set(SCRIPTS["optional-dependencies"])
        assert known, f"no such extra: {word}"
        assert extras or re.fullmatch(r"-e|[a-z-]+", word), word


def check_session(words: Sequence[str], block: DocBlock) -> None:
    assert not words or (words[0] == "-s" and words[1] in SESSIONS), f"nox {shlex.join(words)}"


CHECKS = {"sfic-bench": check_command, "pip": check_install, "nox": check_session}


def test_a_parsed_command_has_to_be_right() -> None:
    parse(["train", "-o", "run", "--epochs", "3"])
    with pytest.raises(Exception, match="No such option: --epoch"):
        parse(["train", "-o", "run", "--epoch", "3"])
    with pytest.raises(Exception, match="No such command 'trian'"):
        parse(["trian", "-o", "run"])


def test_bash_says_what_a_block_calls(tmp_path: Path) -> None:
    (tmp_path / "a.json").touch()
    script = 'shared="--alpha .5"\nsfic-bench flops $shared \\\n  --beta 1  # a comment\n'
    script += "pip install x && sfic-bench compare *.json\n"
    assert list(calls(script, tmp_path)) == [
        ["sfic-bench", "flops", "--alpha", ".5", "--beta", "1"],
        ["pip", "install", "x"],
        ["sfic-bench", "compare", "a.json"],
    ]
    with pytest.raises(AssertionError, match="no test runs"):
        list(calls("rm a.json", tmp_path))
    assert (tmp_path / "a.json").exists()
