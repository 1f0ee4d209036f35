"""The JSON Schemas under docs/schemas are those of the types, and what is written conforms to them."""

import json
import runpy
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator, ValidationError

from sfic_bench.results.read import read
from sfic_bench.results.write import to_json

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "schemas"
RESULT_FILES = sorted((ROOT / "reports").glob("*.json"))
COST = json.loads(to_json(read(ROOT / "reports" / "detectors-cost-299.json").result))


def validator(schema: str) -> Draft202012Validator:
    """The validator of a result's ``schema``, such as ``sfic-bench/cost/1``."""
    path = FOLDER / (schema.removeprefix("sfic-bench/").replace("/", "-") + ".json")
    return Draft202012Validator(json.loads(path.read_text(encoding="utf-8")))


def test_the_committed_schemas_are_those_of_the_types() -> None:
    generated: dict[str, str] = runpy.run_path(str(FOLDER / "generate.py"))["schemas"]()
    committed = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    hint = "run `python docs/schemas/generate.py`"
    assert committed.keys() == generated.keys(), hint
    for name, text in generated.items():
        assert committed[name] == text, f"{name} differs: {hint}"
        Draft202012Validator.check_schema(json.loads(text))


def test_every_property_of_a_timed_row_is_described_or_plain() -> None:
    schema = json.loads((FOLDER / "measurement-2.json").read_text(encoding="utf-8"))
    properties = schema["$defs"]["TimingRow"]["properties"]
    undescribed = {name for name, entry in properties.items() if "description" not in entry}
    assert undescribed <= {"backbone", "alpha", "beta", "kernel_size", "path", "layout", "reason"}


@pytest.mark.parametrize("path", RESULT_FILES, ids=lambda path: path.stem)
def test_what_is_written_conforms_to_its_schema(path: Path) -> None:
    written = json.loads(to_json(read(path).result))
    validator(written["schema"]).validate(written)


@pytest.mark.parametrize(
    "wrong", [{"rows": 1}, {"schema": "sfic-bench/cost/2"}, {"rows": [{**COST["rows"][0], "activations": -1}]}]
)
def test_a_schema_refuses_what_is_wrong(wrong: dict[str, object]) -> None:
    validator("sfic-bench/cost/1").validate(COST)
    with pytest.raises(ValidationError):
        validator("sfic-bench/cost/1").validate({**COST, **wrong})
