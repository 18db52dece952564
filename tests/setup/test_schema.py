"""The published JSON Schema is current, and says of a setup what `load` says, as far as a schema can."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from onitufs.setup.schema import FILE, schema, text

EXAMPLES = Path(__file__).parents[2] / "examples"
CHECK = jsonschema.Draft202012Validator(schema())


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


def test_the_file_is_current() -> None:
    """If not: python -m onitufs.setup.schema"""
    assert FILE.read_text(encoding="utf-8") == text()


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("setup*.json")), ids=lambda path: path.name)
def test_the_examples_fit(example: Path) -> None:
    CHECK.validate(json.loads(example.read_text()))


def _everything() -> dict[str, Any]:
    return {
        "$schema": "https://example.org/schema.json",
        "name": "x",
        "entries": {
            "A": {
                "driver": "d",
                "options": {"a": [1]},
                "mode": "w",
                "velocity": 0.5,
                "comment": "c",
                "bandwidth": {"up": "2 MB/s", "down": 10**6},
            }
        },
        "rules": [
            {
                "match": {
                    "path": "/",
                    "glob": ["*.a"],
                    "mime": "a/*",
                    "size": {"min": 1, "max": "1 GiB"},
                    "age": {"min": "5 min", "max": 1e9},
                },
                "sync": ["A"],
                "ban": [],
                "local": False,
                "copies": 1,
                "comment": "c",
            }
        ],
        "never": {"also": ["x"], "except": ["*~"]},
        "scanners": {"also": ["x"], "except": ["tumblerd"], "head": "1 MiB"},
        "quota": "1 TB",
        "comment": "c",
    }


def test_every_key_fits(problems: Callable[..., list[str]]) -> None:
    CHECK.validate(_everything())
    assert problems(json.dumps(_everything())) == []


@pytest.mark.parametrize(
    ("where", "wrong"),
    [
        (["nme"], "x"),
        (["name"], 3),
        (["entries"], {}),
        (["entries", "A", "driver"], None),
        (["entries", "A", "mode"], "x"),
        (["entries", "A", "velocity"], 1.1),
        (["entries", "A", "bandwidth", "up"], "2 MB"),
        (["entries", "A", "bandwidth", "down"], 10),
        (["rules", 0, "copies"], 0),
        (["rules", 0, "snyc"], []),
        (["rules", 0, "match", "path"], []),
        (["rules", 0, "match", "size"], "1 GB"),
        (["rules", 0, "match", "size", "max"], "1,5 GB"),
        (["rules", 0, "match", "age", "min"], "-5m"),
        (["never"], "x"),
        (["scanners"], "x"),
        (["scanners", "head"], "1 mb"),
        (["quota"], -1),
    ],
)
def test_what_the_schema_refuses_load_refuses(
    problems: Callable[..., list[str]], where: list[str | int], wrong: object
) -> None:
    tree: Any = copy.deepcopy(_everything())
    *above, last = where
    inner = tree
    for step in above:
        inner = inner[step]
    inner[last] = wrong
    assert not CHECK.is_valid(tree)
    assert problems(json.dumps(tree))
