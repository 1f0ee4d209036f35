"""The notebooks of the documentation run from top to bottom."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parent.parent / "docs" / "notebooks"


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace("epochs=2", "epochs=1")  # the second one shows nothing new
    notebook = nbformat.reads(text, as_version=4)  # type: ignore[no-untyped-call]  # nbformat declares no types
    NotebookClient(notebook, timeout=180, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", []) if "data" in output]
    tables = [output for output in shown if "<table" in output["data"].get("text/html", "")]
    assert len(tables) >= 3
    for cell in notebook.cells[2:]:
        if cell.cell_type == "code" and not cell.source.endswith(")"):
            assert cell.outputs, f"shows nothing: {cell.source}"
