"""Setups written for a test."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from onitufs.model.errors import SetupError
from onitufs.setup import load

Tree = dict[str, Any]


@pytest.fixture
def problems(tmp_path: Path) -> Callable[..., list[str]]:
    """Every problem of a setup: of text, or of a good one with some keys given otherwise."""

    def told(text: str | bytes | None = None, **changes: Any) -> list[str]:
        good: Tree = {
            "name": "good",
            "entries": {"disk": {"driver": "local_storage"}, "dropbox": {"driver": "dropbox"}},
            "rules": [{"match": {"path": "/"}, "sync": ["disk"]}],
        }
        path = tmp_path / "setup.json"
        content = json.dumps({**good, **changes}) if text is None else text
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        try:
            load(path)
        except SetupError as error:
            return str(error).splitlines()
        return []

    return told
