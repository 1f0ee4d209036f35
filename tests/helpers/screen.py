"""A terminal of a certain width, for what commands show on one."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager


class Terminal(io.StringIO):
    """A terminal that only takes text."""

    def isatty(self) -> bool:
        return True


@contextmanager
def terminal(width: int) -> Iterator[None]:
    """Let rich and typer take the standard output for a terminal of this width, without colours."""
    variables = {"COLUMNS": str(width), "TERMINAL_WIDTH": str(width), "TERM": "dumb", "NO_COLOR": "1"}
    before = dict(os.environ)
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        os.environ.pop(name, None)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def plain(text: str) -> str:
    """``text`` without spaces at the ends of lines."""
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"
