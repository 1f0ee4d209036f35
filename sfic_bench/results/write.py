"""Results as JSON."""

from pathlib import Path

from msgspec import Struct, json

from sfic_bench.results.files import write_atomically


def to_json(result: Struct) -> str:
    """``result`` as the JSON that `sfic_bench.results.read.read` reads, indented by one space a level."""
    return json.format(json.encode(result), indent=1).decode() + "\n"


def write_result(path: Path, result: Struct) -> None:
    """Write ``result`` as JSON; a reader sees the old file or the whole new one.

    Raises:
        UnwritableOutput: if the file cannot be written; an old one is left as it was.
    """
    write_atomically(path, to_json(result))
