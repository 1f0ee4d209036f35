"""Write the JSON Schema of every file that sfic-bench writes: ``python docs/schemas/generate.py``.

The schemas are made of the types in the package; ``tests/test_schemas.py`` fails where the two differ.
"""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from typing import Any

import msgspec

import sfic_bench

FOLDER = Path(__file__).parent


def schemas() -> dict[str, str]:
    """The text of each schema, by the name of its file, such as ``cost-1.json``.

    A kind of file is a struct whose tag is the schema's name, such as ``sfic-bench/cost/1``.
    """
    types = _package_types()
    texts = {}
    for written in types.values():
        if not isinstance(written, msgspec.StructMeta) or hasattr(written, "upgraded"):
            continue  # what is upgraded when it is read is not written any more
        if written.__struct_config__.tag_field == "schema":
            name = str(written.__struct_config__.tag)
            schema = msgspec.json.schema(written)
            for type_name, definition in schema["$defs"].items():
                _describe(definition, types[type_name])
            schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": name, **schema}
            text = msgspec.json.format(msgspec.json.encode(schema), indent=1).decode() + "\n"
            texts[name.removeprefix("sfic-bench/").replace("/", "-") + ".json"] = text
    return texts


WITHOUT_TYPES = ("sfic_bench.__main__", "sfic_bench.kernels.source", "sfic_bench.timm")
"""Modules and rooms that define no type, and that run a command or need Triton or timm when they are imported."""


def _package_types() -> dict[str, type]:
    modules = (module.name for module in pkgutil.walk_packages(sfic_bench.__path__, "sfic_bench."))
    values = (value for name in modules if not _is_without_types(name) for value in _values(name))
    return {value.__name__: value for value in values if isinstance(value, type)}


def _is_without_types(module: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in WITHOUT_TYPES)


def _values(module: str) -> list[object]:
    return [
        value for value in vars(importlib.import_module(module)).values() if getattr(value, "__module__", "") == module
    ]


def _describe(definition: dict[str, Any], described: type) -> None:
    """Give the definition its type's summary, and each property the line that a docstring has for it."""
    summary = inspect.getdoc(described) or ""
    definition["description"] = _joined(summary.partition("\n\n")[0])
    for ancestor in reversed(described.__mro__):
        section = re.search(r"^Attributes:\n((?: .*\n?)+)", inspect.cleandoc(ancestor.__doc__ or ""), re.MULTILINE)
        for names, text in re.findall(
            r"^ {4}([\w, ]+): (.*(?:\n {5,}.*)*)", section[1] if section else "", re.MULTILINE
        ):
            for name in names.split(", "):
                if name in definition.get("properties", {}):
                    definition["properties"][name]["description"] = _joined(text)


def _joined(text: str) -> str:
    return " ".join(text.split())


def main() -> None:
    """Write the schemas, and remove those whose type is gone."""
    texts = schemas()
    for old in FOLDER.glob("*.json"):
        if old.name not in texts:
            old.unlink()
    for name, text in texts.items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
