"""Files of scores that an older version wrote, with fewer metrics, beside new ones."""

import json
from pathlib import Path
from typing import Any

from helpers.command import run_command as run
from helpers.report_files import scores_file

OLD = Path(__file__).parent / "golden" / "v1" / "scores.json"


def test_old_scores_are_compared_with_new_ones(tmp_path: Path) -> None:
    was: dict[str, Any] = json.loads(OLD.read_text(encoding="utf-8"))
    new = scores_file() | {name: was[name] for name in ("run", "data", "split", "images")}
    for level, scores in was["scores"].items():
        new["scores"][level] |= scores
    head = tmp_path / "new.json"
    head.write_text(json.dumps(new))
    status, out, _ = run("compare", OLD, head, "--format", "json")
    found = {row["name"]: row["verdict"] for row in json.loads(out)["rows"]}
    assert status == 0 and found.keys() == {"auc", "bacc", "acc", "f1"}
    assert (found["acc"], found["f1"]) == ("added", "added") and found["auc"] != "added"
    status, out, _ = run("compare", head, head, "--format", "json", "--margin", "50%")
    assert status == 0 and {row["name"] for row in json.loads(out)["rows"]} == {"auc", "bacc", "acc", "f1"}


def test_old_scores_are_reported() -> None:
    status, out, _ = run("report", OLD, "--format", "markdown")
    assert status == 0 and "| auc | 0.5071 | 0.4688–0.5472 |" in out and "At thresholds" not in out
