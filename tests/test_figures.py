"""The figures of the documentation are what its script draws."""

import runpy
from pathlib import Path
from xml.etree import ElementTree

import pytest

DOCS = Path(__file__).parent.parent / "docs"
SCRIPT = runpy.run_path(str(DOCS / "figures.py"))
FIGURES, FOLDER = SCRIPT["FIGURES"], SCRIPT["FOLDER"]


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_as_drawn_and_whole(name: str) -> None:
    drawn = FIGURES[name]().svg()
    assert (FOLDER / f"{name}.svg").read_text(encoding="utf-8") == drawn, "run `python docs/figures.py`"
    picture = ElementTree.fromstring(drawn)
    width, height = float(picture.attrib["width"]), float(picture.attrib["height"])
    for part in picture.iter():
        if "x" in part.attrib and "y" in part.attrib:
            assert 0 <= float(part.attrib["x"]) <= width and 0 <= float(part.attrib["y"]) <= height
    assert any(f"figures/{name}.svg" in page.read_text(encoding="utf-8") for page in DOCS.glob("*.md"))


def test_there_is_no_other_figure() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(FIGURES)
