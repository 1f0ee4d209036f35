"""The walks through the code of DeepfakeBench and ForensicHub, where a checkout and its packages are there.

``DEEPFAKEBENCH=CHECKOUT`` and ``FORENSICHUB=CHECKOUT`` say where; see docs/deepfakebench.md for the packages.
"""

import importlib
import os
from pathlib import Path

import pytest


@pytest.mark.parametrize("name", ["deepfakebench", "forensichub"])
def test_scores_here_are_those_of_the_project(name: str, tmp_path: Path) -> None:
    if not (checkout := os.environ.get(name.upper())):
        pytest.skip(f"set {name.upper()} to a checkout of the project")
    steps = importlib.import_module("walks.steps")
    shown = steps.run(*steps.PYTHON, f"walks.{name}", checkout, str(tmp_path))
    assert "the largest difference of one is" in shown
