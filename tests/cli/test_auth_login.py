"""`onitufs auth login`, with a driver of somebody else's that asks for a word."""

import json
import os
import stat
from pathlib import Path

import pytest

from .conftest import Run

FILES = {
    "lockbox/__init__.py": """
from onitufs.drivers.registry import ManifestedDriver
DRIVER = ManifestedDriver.from_package(
    __name__, options="asking:Options", handlers="asking:Options", login="asking:Login")
""",
    "lockbox/manifest.json": json.dumps(
        {
            "name": "lockbox", "description": "d", "velocity": 0.5, "abilities": [],
            "options": {"token": {"type": "secret", "help": "h", "required": True}},
        }
    ),
    "lockbox/asking.py": """
from dataclasses import dataclass
from onitufs.drivers.login import Question
from onitufs.drivers.values import Secret
from onitufs.model.errors import AuthNeeded

@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    token: Secret

class Login:
    def __init__(self, options, *, entry, work_dir):
        self.options, self.entry, self.work_dir = options, entry, work_dir

    def start(self):
        if (self.work_dir / "well").exists():
            return None
        return Question("Two lines\\nof what \\x1b[31m to know", "the word", secret=True)

    def finish(self, answer):
        if answer != "open":
            raise AuthNeeded("it is not that word; ask somebody")
        self.work_dir.mkdir(parents=True)
        (self.work_dir / "well").write_text("")
        self.options.token.store("token of " + self.entry)
        return "the word was right"
""",
    "lockbox-1.dist-info/entry_points.txt": "[onitufs.drivers]\nlockbox = lockbox\n",
    "lockbox-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: lockbox\nVersion: 1\n",
}  # fmt: skip


@pytest.fixture
def base(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    entries = {
        "disk": {"driver": "local_storage", "options": {"root": "disk"}},
        "box": {"driver": "lockbox", "options": {"token": {"file": "private/token"}}},
    }
    (tmp_path / "setup.json").write_text(json.dumps({"name": "login", "entries": entries}))
    return tmp_path


def login(onitufs: Run, base: Path, *more: str | Path, entry: str = "box"):  # type: ignore[no-untyped-def]
    environment = {**os.environ, "PYTHONPATH": str(base / "site")}
    where = ("--setup", base / "setup.json", "--state", base / "state")
    return onitufs("auth", "login", entry, *where, *more, env=environment)


def test_it_asks_before_the_first_mount_and_keeps_what_comes_of_it(onitufs: Run, base: Path) -> None:
    asked = login(onitufs, base)
    assert asked.returncode == 7
    assert asked.stdout.splitlines()[:2] == ["Two lines", "of what \\x1b[31m to know"]
    assert asked.stderr.splitlines()[-1] == (
        "onitufs: entry box still waits; run: onitufs auth login box --answer TEXT"
    )
    done = login(onitufs, base, "--answer", "open")
    assert (done.returncode, done.stdout) == (0, "box: the word was right\n")
    token = base / "private" / "token"
    assert token.read_text() == "token of box\n"
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert (base / "state" / "entries" / "box" / "well").exists()
    again = login(onitufs, base)
    assert (again.returncode, again.stdout) == (0, "box: nothing to do: the service knows it\n")


def test_what_is_wrong_is_one_line(onitufs: Run, base: Path) -> None:
    wrong = login(onitufs, base, "--answer", "sesame")
    assert (wrong.returncode, wrong.stderr) == (7, "onitufs: it is not that word; ask somebody\n")
    unknown = login(onitufs, base, entry="bix")
    assert (unknown.returncode, unknown.stderr) == (
        3, f"onitufs: no entry 'bix' in {base}/setup.json: there are disk, box\n",
    )  # fmt: skip
    needless = login(onitufs, base, entry="disk")
    assert (needless.returncode, needless.stdout) == (
        0, "disk: nobody has to log in to an entry of driver local_storage\n",
    )  # fmt: skip
