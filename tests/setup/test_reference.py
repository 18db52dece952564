"""docs/setup.md names every key and default, and its examples are right."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from onitufs.setup import NEVER, SCANNERS
from onitufs.setup.schema import schema

TEXT = (Path(__file__).parents[2] / "docs" / "setup.md").read_text(encoding="utf-8")
EXAMPLES = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)]


def test_every_key_is_described() -> None:
    forms = [schema(), *schema()["$defs"].values()]
    keys = {key for form in forms for key in form.get("properties", {})}
    assert len(keys) > 20
    assert [key for key in sorted(keys) if f"`{key}`" not in TEXT and f'"{key}"' not in TEXT] == []


def test_the_default_list_is_there() -> None:
    told = [pattern for pattern in NEVER if "[A-Z]" not in pattern]  # rsync's is told in words
    assert len(NEVER) - len(told) == 2
    assert [pattern for pattern in told if f"`{pattern}`" not in TEXT] == []


def test_the_default_list_of_scanners_is_there() -> None:
    assert [name for name in SCANNERS if f"`{name}`" not in TEXT] == []


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: ",".join(example))
def test_the_examples_are_right(problems: Callable[..., list[str]], example: dict[str, object]) -> None:
    assert problems(**example) == []
