"""A driver in a package of its own, installed beside OnituFS, is like any other: examples/onitufs-driver-sqlite.

The database is looked at with SQL, past the driver.
"""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from .harness import Onitu, until

Maker = Callable[..., Onitu]

EXAMPLE = Path(__file__).parents[2] / "examples" / "onitufs-driver-sqlite"
MIB = 1 << 20


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the package as pip installs it, and nothing else."""
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*pip, "--target", target, EXAMPLE], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return target


class Archive:
    """The database of the entry, as another program sees it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def ask(self, question: str, *values: object) -> list[Any]:
        if not self._path.exists():
            return []
        with closing(sqlite3.connect(self._path, timeout=20)) as db, db:
            return db.execute(question, values).fetchall()

    def content(self, name: bytes) -> bytes | None:
        found = self.ask("SELECT content FROM object WHERE name = ?", name)
        if not found:
            return None
        return b"".join(data for (data,) in self.ask("SELECT data FROM piece WHERE content = ? ORDER BY at", *found[0]))

    def bytes_of(self, content: int) -> int:
        return sum(size for (size,) in self.ask("SELECT length(data) FROM piece WHERE content = ?", content))

    def unnamed(self) -> list[int]:
        """Uploads that have begun and not ended."""
        rows = self.ask("SELECT id FROM content WHERE id NOT IN (SELECT content FROM object WHERE content NOT NULL)")
        return [content for (content,) in rows]


@pytest.fixture
def onitu(installed: Path, new_onitu: Maker, monkeypatch: pytest.MonkeyPatch) -> Onitu:
    """A mount, not mounted yet, whose every file goes to a disk and to a database."""
    monkeypatch.setenv("PYTHONPATH", str(installed))
    onitu = new_onitu(("disk",))
    write_setup(onitu)
    return onitu


def write_setup(onitu: Onitu, **more: Any) -> None:
    disk = {"driver": "local_storage", "options": {"root": str(onitu.roots["disk"])}}
    archive = {"driver": "sqlite", "options": {"database": "archive.db"}, **more}
    onitu.extra = {"entries": {"disk": disk, "archive": archive}}
    onitu.rules = [{"match": {"path": "/"}, "sync": ["disk", "archive"]}]
    onitu.write_setup()


@pytest.mark.long(11)
def test_it_passes_the_suite_as_its_author_runs_it(installed: Path, tmp_path: Path) -> None:
    shutil.copytree(EXAMPLE / "tests", tmp_path / "tests")
    suite = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", tmp_path, "-c", os.devnull,
         tmp_path / "tests"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(installed)}, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert suite.returncode == 0, suite.stdout
    passed = int(suite.stdout.split(" passed")[0].rsplit(maxsplit=1)[-1])
    assert passed > 40
    assert "skipped" not in suite.stdout


def test_it_is_listed_with_its_options(onitu: Onitu) -> None:
    assert "sqlite" in onitu.ok("drivers")
    assert "trash_days" in onitu.ok("drivers", "sqlite")


def test_files_go_there_and_come_back(onitu: Onitu) -> None:
    onitu.mount()
    archive = Archive(onitu.base / "archive.db")
    large = os.urandom(20 * MIB)
    (onitu.mnt / "d").mkdir()
    (onitu.mnt / "d/small").write_text("one")
    (onitu.mnt / "d/large").write_bytes(large)
    onitu.wait()
    assert archive.content(b"small") == b"one"
    assert archive.content(b"large") == large
    ((content,),) = archive.ask("SELECT content FROM object WHERE name = ?", b"small")
    archive.ask("UPDATE piece SET data = ? WHERE content = ?", b"two", content)
    archive.ask("UPDATE object SET mtime_ns = mtime_ns + 1 WHERE name = ?", b"small")
    until("the edit is in the mount", lambda: (onitu.mnt / "d/small").read_text() == "two")
    onitu.wait()
    assert (onitu.roots["disk"] / "d/small").read_text() == "two"


def test_a_killed_upload_goes_on_where_it_was(onitu: Onitu) -> None:
    write_setup(onitu, bandwidth={"up": "2 MB/s"})
    onitu.mount()
    archive = Archive(onitu.base / "archive.db")
    film = os.urandom(24 * MIB)
    (onitu.mnt / "film").write_bytes(film)
    until("some of it is there", lambda: any(archive.bytes_of(content) >= 5 * MIB for content in archive.unnamed()))
    onitu.kill()
    (begun,) = archive.unnamed()
    sent = archive.bytes_of(begun)
    assert sent < len(film)
    assert archive.content(b"film") is None
    pieces = archive.ask("SELECT at FROM piece WHERE content = ? ORDER BY at", begun)
    archive.ask("CREATE TABLE again (at INTEGER)")
    archive.ask("CREATE TRIGGER counted AFTER INSERT ON piece BEGIN INSERT INTO again VALUES (NEW.at); END")
    write_setup(onitu)
    onitu.mount()
    onitu.wait()
    assert archive.content(b"film") == film
    assert archive.ask("SELECT content FROM object WHERE name = ?", b"film") == [(begun,)]
    assert not set(pieces) & set(archive.ask("SELECT at FROM again")), "what was there was sent again"


def test_an_upload_ends_when_its_file_is_deleted_or_saved_anew(onitu: Onitu) -> None:
    write_setup(onitu, bandwidth={"up": "1 MB/s"})
    onitu.mount()
    archive = Archive(onitu.base / "archive.db")

    def some_of(number: int) -> Callable[[], bool]:
        return lambda: any(content > number and archive.bytes_of(content) for content in archive.unnamed())

    (onitu.mnt / "deleted").write_bytes(os.urandom(60 * MIB))
    until("some of it is there", some_of(0))
    (begun,) = archive.unnamed()
    (onitu.mnt / "deleted").unlink()
    until("nothing of it is left", lambda: not archive.unnamed())
    (onitu.mnt / "film").write_bytes(os.urandom(60 * MIB))
    until("some of the first version is there", some_of(begun))
    (onitu.mnt / "film").write_bytes(b"the second version")
    until("the second version is there", lambda: archive.content(b"film") == b"the second version")
    until("nothing of the first version is left", lambda: not archive.unnamed())
    onitu.wait()
    assert archive.content(b"deleted") is None
