"""Results on disk and on screen. Nothing here imports torch."""

from sfic_bench.report.environment import environment
from sfic_bench.report.files import UnwritableOutput, check_writable, write_atomically, write_bytes_atomically
from sfic_bench.report.table import Column, Table, to_csv, to_markdown, to_plain, to_terminal

__all__ = [
    "Column",
    "Table",
    "UnwritableOutput",
    "check_writable",
    "environment",
    "to_csv",
    "to_markdown",
    "to_plain",
    "to_terminal",
    "write_atomically",
    "write_bytes_atomically",
]
