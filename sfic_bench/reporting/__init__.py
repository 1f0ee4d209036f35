"""Results as tables and pages. This room imports no torch."""

from sfic_bench.reporting.table import Column, Table, to_csv, to_markdown, to_plain, to_terminal

__all__ = ["Column", "Table", "to_csv", "to_markdown", "to_plain", "to_terminal"]
