"""`check` lists everything that is wrong in one run, and tries the entries without changing them."""

import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import Run

GOOD: dict[str, Any] = {
    "name": "home",
    "entries": {"a": {"driver": "local_storage", "options": {"root": "a"}}},
    "rules": [{"match": {"path": "/"}, "sync": ["a"]}],
}


@pytest.fixture
def setup(tmp_path: Path) -> Path:
    (tmp_path / "a").mkdir()
    return tmp_path / "setup.json"


def test_a_good_setup(setup: Path, onitufs: Run) -> None:
    setup.write_text(json.dumps(GOOD))
    done = onitufs("check", setup)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"{setup}: 1 entry, 1 rule: well-formed", "  a  local_storage  answers"]
    assert list((setup.parent / "a").iterdir()) == [], "nothing was changed there"
    answer = json.loads(onitufs("check", setup, "--json").stdout)
    assert answer == {
        "v": 1, "setup": str(setup), "name": "home", "problems": [],
        "entries": [{"name": "a", "driver": "local_storage", "problem": "", "tried": True}],
    }  # fmt: skip


def test_an_entry_that_does_not_answer(setup: Path, onitufs: Run) -> None:
    (setup.parent / "a").rmdir()
    (setup.parent / "a").write_text("a file in the place of a directory")
    setup.write_text(json.dumps(GOOD))
    done = onitufs("check", setup)
    assert done.returncode in (6, 7)
    assert str(setup.parent / "a") in done.stdout.splitlines()[1]
    offline = onitufs("check", setup, "--offline")
    assert (offline.returncode, offline.stdout.splitlines()) == (0, [f"{setup}: 1 entry, 1 rule: well-formed"])


def test_every_problem_of_form_driver_and_options_in_one_run(setup: Path, onitufs: Run) -> None:
    wrong = {
        "name": "home",
        "entries": {
            "dropbox": {"driver": "local_storage", "options": {"rooot": "a"}},
            "b": {"driver": "locale_storage", "options": {}},
            "c": {"driver": "local_storage", "options": {"root": 7}, "mode": "x"},
        },
        "rules": [{"match": {}, "sync": ["dropbox"]}, {"match": {}, "sync": ["droobox"]}],
    }
    setup.write_text(json.dumps(wrong))
    done = onitufs("check", setup, "--offline")
    assert (done.returncode, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    assert all(line.startswith("onitufs: setup.json: ") for line in lines)
    said = "\n".join(lines)
    assert "rules[1].sync[0]: no entry 'droobox' (did you mean 'dropbox'?)" in said
    assert "entries.dropbox.options.rooot: unknown option (did you mean 'root'?)" in said
    assert "entries.dropbox.options.root: missing" in said
    assert "entries.b.driver: no driver 'locale_storage' (did you mean 'local_storage'?)" in said
    assert "entries.c.options.root: 7: " in said
    assert "entries.c.mode: " in said
    answer = json.loads(onitufs("check", setup, "--json").stdout)
    assert [f"onitufs: {problem}" for problem in answer["problems"]] == lines


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"entries": 7}', '{"name": "x", "entries": {"a": [], "b": {"driver": 1}}}']
)
def test_a_setup_that_is_none(setup: Path, onitufs: Run, text: str) -> None:
    setup.write_text(text)
    done = onitufs("check", setup)
    assert done.returncode == 2
    assert done.stderr.startswith("onitufs: setup.json: ")
    assert "a bug" not in done.stderr


def test_a_setup_that_is_not_there(setup: Path, onitufs: Run) -> None:
    done = onitufs("check", setup)
    assert (done.returncode, done.stderr) == (2, f"onitufs: {setup}: cannot be read: No such file or directory\n")
