"""What names the version names the same one, and the workflow that publishes it is pinned."""

import re
from datetime import date
from pathlib import Path

import sfic_bench

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def newest_version() -> tuple[str, str]:
    """Version and date of the first section of the changelog that has a version."""
    found = re.search(
        r"^## (\d+\.\d+\.\d+) - (\S+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert found
    return found[1], found[2]


def test_the_changelog_begins_with_the_version_that_the_package_has() -> None:
    version, day = newest_version()
    assert version == sfic_bench.__version__ and date.fromisoformat(day)


def test_the_citation_names_that_version_and_its_date() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    version, day = newest_version()
    assert f"\nversion: {version}\n" in citation and f"\ndate-released: {day}\n" in citation


def test_every_action_is_pinned_by_its_hash() -> None:
    used = [line for path in WORKFLOWS for line in re.findall(r"uses: (.*)", path.read_text(encoding="utf-8"))]
    assert used
    assert [line for line in used if not re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+(\.\d+)*", line)] == []


def test_only_the_step_that_publishes_may_ask_for_an_identity() -> None:
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
    before, _, publish = text.partition("\n  publish:\n")
    assert "id-token" not in before and publish.count("id-token: write") == 1
    assert "needs: [build, try]" in publish and "secrets." not in text
