"""What keeps the house in order: short files, one class for one name, few ``Any``."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = sorted((ROOT / "sfic_bench").rglob("*.py"))
FOLDERS = ("sfic_bench", "tests", "benchmarks", "docs")
ALL = [ROOT / "noxfile.py", *(path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py")))]


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def test_no_file_has_over_300_lines() -> None:
    lines = {path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines()) for path in ALL}
    assert {name: count for name, count in lines.items() if count > 300} == {}


def test_no_two_classes_of_the_package_have_one_name() -> None:
    modules = defaultdict(list)
    for path in PACKAGE:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ClassDef):
                modules[node.name].append(path.relative_to(ROOT).as_posix())
    assert {name: paths for name, paths in modules.items() if len(paths) > 1} == {}


def test_any_is_rare() -> None:
    """``Any`` is for what a third party gives without a type; the package has it at most 40 times."""
    names = [node.id for path in PACKAGE for node in ast.walk(parsed(path)) if isinstance(node, ast.Name)]
    assert names.count("Any") <= 40
