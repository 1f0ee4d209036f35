"""Writes results as JSON."""

from pathlib import Path

from msgspec import Struct, json

from sfic_bench.files import write_atomically


def to_json(result: Struct) -> str:
    """``result`` as JSON, indented by one space for each level; `sfic_bench.results.read.read` reads it."""
    return json.format(json.encode(result), indent=1).decode() + "\n"


def write_result(path: Path, result: Struct) -> None:
    """Write ``result`` as JSON, see `sfic_bench.files.write_bytes_atomically`."""
    write_atomically(path, to_json(result))
