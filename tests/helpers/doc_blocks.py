"""The blocks of code on a page of the documentation, and what its marks say about running them.

A mark is a comment of HTML in the line before a block, which no reader of the page sees:

- ``<!-- not run: needs a GPU -->``: the block is not looked at.
- ``<!-- parsed only: takes minutes -->``: its commands are parsed by the command line, of Python the imports run.
- ``<!-- tested with: --epochs 1 -->``: these options are added to each of its commands; of Python, this runs before it.
"""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[a-z ]+): (?P<words>[^\n]+) -->\n\n?)?^```(?P<language>\w*)[^\n]*\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
SHELL, OUTPUT = ("sh", "bash", "console"), ("", "text")
LANGUAGES = (*SHELL, *OUTPUT, "python", "toml", "yaml")
MARKS = ("", "not run", "parsed only", "tested with")

# Each command says its name and its arguments instead of running; no other program is found.
RECORDER = """
record() { printf '%s\\0' "$#" "$@" >&3; }
sfic-bench() { record sfic-bench "$@"; }
pip() { record pip "$@"; }
nox() { record nox "$@"; }
curl() { :; }
find() { :; }
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class DocBlock:
    """A block of ``language`` that begins in ``line`` of a page, with its mark and the words of that."""

    line: int
    language: str
    code: str
    mark: str
    words: str

    @property
    def commands(self) -> str:
        """The script of a block of shell: of a console only what is typed after ``$``."""
        if self.language != "console":
            return self.code
        typed = re.findall(r"^\$ ((?:[^\n]*\\\n)*[^\n]*)", self.code, re.MULTILINE)
        return "\n".join(typed)

    @property
    def shown(self) -> list[str]:
        """The lines of a console that are output, if it shows one command."""
        _, _, output = self.code.partition(self.commands)
        return output.strip("\n").splitlines() if self.language == "console" else []


def blocks_of(page: Path) -> list[DocBlock]:
    """All blocks of a page, from top to bottom."""
    text = page.read_text(encoding="utf-8")
    return [
        DocBlock(
            line=text.count("\n", 0, found.start("language")) + 1,
            language=found["language"],
            code=found["code"],
            mark=found["mark"] or "",
            words=found["words"] or "",
        )
        for found in BLOCK.finditer(text)
    ]


def calls(script: str, folder: Path) -> Iterator[list[str]]:
    """What ``script`` would call, each as its words, as bash understands it in ``folder``."""
    said = folder / ".calls"
    said.touch()
    shell = ["/bin/bash", "--noprofile", "--norc", "-euo", "pipefail", "-c", f"exec 3>'{said}'\n{RECORDER}\n{script}"]
    done = subprocess.run(shell, capture_output=True, text=True, check=False, env={"PATH": ""}, cwd=folder)
    assert done.returncode == 0, f"a program that no test runs: mark the block, or add it here\n{done.stderr}"
    words = said.read_text(encoding="utf-8").split("\0")[:-1]
    said.unlink()
    while words:
        number = int(words.pop(0))
        yield words[:number]
        del words[:number]
