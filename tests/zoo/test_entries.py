"""Every convolutional network of timm is built and converted without weights; `docs/zoo.md` lists the outcomes."""

import runpy
from pathlib import Path
from statistics import mean, median
from typing import Any

import pytest
import timm

ZOO: dict[str, Any] = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "zoo.py"))
ENTRIES: list[tuple[str, str]] = ZOO["entries"]()
REFUSED: dict[str, str] = {}
"""The networks that are refused, with the reason."""
SLOWEST_SECONDS = 2.0


@pytest.mark.every
@pytest.mark.parametrize("module", ZOO["MODULES"])
def test_the_networks_of_a_module_convert(module: str) -> None:
    names = [name for of, name in ENTRIES if of == module]
    outcomes = [ZOO["outcome_of"](module, name) for name in names]
    assert {o.name: o.reason for o in outcomes if o.share is None} == {n: REFUSED[n] for n in names if n in REFUSED}
    shares = {o.name: o.share for o in outcomes if o.share is not None}
    assert {name: share for name, share in shares.items() if share < 0.5} == {}
    # The mean, since a neighbour on the machine slows single conversions.
    assert mean(outcome.seconds for outcome in outcomes) < SLOWEST_SECONDS


def test_nearly_all_networks_convert() -> None:
    names = {name for _, name in ENTRIES}
    assert len(ENTRIES) == len(names) >= 653 and REFUSED.keys() <= names
    assert len(REFUSED) <= 0.02 * len(ENTRIES)


def test_the_page_has_every_network_of_this_version() -> None:
    text = Path(ZOO["__file__"]).with_suffix(".md").read_text()
    rows = [[cell.strip() for cell in line.split("|")] for line in text.splitlines()]
    listed = {row[2]: row[3] for row in rows if len(row) > 4 and row[3].endswith(("%", "refused"))}
    assert f"timm {timm.__version__}" in text
    assert listed.keys() == {name for _, name in ENTRIES}
    assert {name for name, share in listed.items() if share == "refused"} == REFUSED.keys()
    shares = [int(share.removesuffix("%")) for share in listed.values() if share != "refused"]
    assert median(shares) >= 95 and min(shares) >= 50
