import io
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from sfic_bench.commands.tables import tables_of
from sfic_bench.files import UnwritableOutput, write_atomically
from sfic_bench.reporting import Column, Table, to_csv, to_markdown, to_plain, to_terminal
from sfic_bench.results.read import read

TABLE = Table(
    title="A <title>",
    columns=[
        Column(name="name"),
        Column(name="n", number=True),
        Column(name="extra", number=True, rank=1),
    ],
    rows=[["[red]a|b[/red] <script>", "1,234,567", "9"]],
    notes=["a note"],
)


def test_markup_in_cells_stays_text() -> None:
    assert "[red]a|b[/red] <script>" in to_plain([TABLE])
    markdown = to_markdown([TABLE])
    assert "\\[red]a\\|b\\[/red] \\<script\\>" in markdown
    assert "| --- | ---: | ---: |" in markdown


@pytest.mark.parametrize("width", [20, 30, 40, 120])
def test_neither_figures_nor_words_are_cut_short(width: int) -> None:
    out = io.StringIO()
    to_terminal([TABLE], Console(file=out, width=width))
    assert "1,234,567" in out.getvalue() and "[red]a|b[/red]" in out.getvalue() and "<script>" in out.getvalue()
    says_so = "left out at this width: extra; --format wide shows them" in " ".join(out.getvalue().split())
    assert says_so == (width < 40)


def test_columns_of_the_highest_rank_are_left_out_first() -> None:
    columns = [Column(name=f"column {rank}", number=True, rank=rank) for rank in (0, 2, 1, 3)]
    table = Table(title="", columns=columns, rows=[["123456"] * 4])
    for width, shown in ((40, "0213"), (30, "021"), (20, "01"), (8, "0")):
        out = io.StringIO()
        to_terminal([table], Console(file=out, width=width))
        heading = out.getvalue().split("left out")[0]
        assert [digit for digit in "0213" if f"column {digit}" in heading] == list(shown)


def test_a_table_of_many_figures_may_be_wider_than_the_terminal() -> None:
    columns = [Column(name="name"), *(Column(name=f"n{i}", number=True) for i in range(9))]
    out = io.StringIO()
    to_terminal([Table(title="", columns=columns, rows=[["a name", *["1,234,567"] * 9]])], Console(file=out, width=60))
    assert out.getvalue().count("1,234,567") == 9


def as_on_a_wide_terminal(tables: Sequence[Table]) -> str:
    out = io.StringIO()
    to_terminal(tables, Console(file=out, width=10_000))
    return "".join(line.rstrip() + "\n" for line in out.getvalue().splitlines())


def test_plain_text_is_what_a_wide_terminal_shows() -> None:
    columns = [Column(name="two\nlines"), Column(name="n", number=True), Column(name="顔", number=True)]
    rows = [["x", "1", "match"], ["日本", "22", ""], ["[b]z[/b] z\n", "3,000", "9"]]
    table = Table(title="顔 <1>", columns=columns, rows=rows, sections=frozenset({0, 2}), notes=["a note", "n" * 200])
    many = [replace(table, rows=rows * 20, folded=folded) for folded in (False, True)]
    tables = [table, replace(table, rows=[]), replace(table, rows=rows[:1], notes=()), *many]
    assert to_plain(tables) == as_on_a_wide_terminal(tables)


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[1] / "reports").glob("*.json")), ids=lambda p: p.stem)
def test_plain_text_of_every_committed_result_is_what_a_wide_terminal_shows(path: Path) -> None:
    tables = tables_of(read(path).result)
    assert to_plain(tables) == as_on_a_wide_terminal(tables)


def test_csv_has_every_column_and_empty_fields() -> None:
    assert to_csv([{"a": 1, "b": None}, {"a": 2, "c": "x,y"}]) == 'a,b,c\n1,,\n2,,"x,y"\n'


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "result.json"
    target.write_text("old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(UnwritableOutput, match="No space left on device"):
        write_atomically(target, "new")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_writing_keeps_permissions_and_links(tmp_path: Path) -> None:
    target, link = tmp_path / "result.json", tmp_path / "link.json"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    write_atomically(link, "new")
    assert link.is_symlink() and target.read_text() == "new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


@pytest.mark.parametrize(("path", "words"), [("nowhere/x", "no folder"), (".", "it is a folder")])
def test_unwritable_paths_say_why(tmp_path: Path, path: str, words: str) -> None:
    with pytest.raises(UnwritableOutput, match=words):
        write_atomically(tmp_path / path, "x")
