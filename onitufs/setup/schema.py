"""The published JSON Schema of a setup file, made from the form. schema.json beside this module is its text.

python -m onitufs.setup.schema      writes schema.json anew
"""

import json
from pathlib import Path
from typing import Any

from .form import SetupForm

FILE = Path(__file__).with_name("schema.json")


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12). It cannot say everything that `load` checks, e.g. that an entry exists."""
    made = _plain(SetupForm.model_json_schema(by_alias=True))
    made["title"] = "OnituFS setup"
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def text() -> str:
    """As schema.json holds it."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _plain(node: Any) -> Any:
    """Without what only says how pydantic got there: titles of fields, null beside what may be left out."""
    if isinstance(node, list):
        return [_plain(each) for each in node]
    if not isinstance(node, dict):
        return node
    kept = {key: _plain(value) for key, value in node.items() if not (key == "title" and isinstance(value, str))}
    kept = {key: value for key, value in kept.items() if not (key == "default" and value is None)}
    choices = [each for each in kept.get("anyOf", []) if each != {"type": "null"}]
    if len(choices) == 1:
        del kept["anyOf"]
        kept = {**choices[0], **kept}
    elif choices:
        kept["anyOf"] = choices
    return kept


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
