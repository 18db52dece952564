"""git, sqlite, tar, rsync and cp do on the mount what they do on any disk, and the entries end up the same."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .harness import Onitu, run
from .trees import attributes, files, tree


@pytest.fixture(scope="module")
def source_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with all that these programs keep: modes, times, links, holes, awkward names, empty things."""
    root = tmp_path_factory.mktemp("source") / "tree"
    root.mkdir()
    for d in range(6):
        (root / f"dir {d}").mkdir()
        for f in range(20):
            path = root / f"dir {d}" / f"file-{f}.txt"
            path.write_bytes(os.urandom(f * 1237))
            os.utime(path, ns=(1_600_000_000_000_000_000 + f, 1_600_000_000_123_456_000 + d * 1_000 + f))
    (root / "empty directory").mkdir(mode=0o700)
    (root / "empty file").touch()
    (root / "program").write_text("#!/bin/sh\necho ran\n")
    (root / "program").chmod(0o755)
    (root / "read only").write_text("x")
    (root / "read only").chmod(0o444)
    with open(root / "sparse", "wb") as file:
        file.seek(3 << 20)
        file.write(b"end")
    os.symlink("dir 1/file-3.txt", root / "link")
    os.symlink("nowhere", root / "dangling")
    os.link(root / "program", root / "same program")
    open(os.fsencode(root) + b"/\xe9t\xe9 in latin-1", "wb").close()
    open(os.fsencode(root) + b"/new\nline", "wb").close()
    (root / ("n" * 255)).write_text("the longest name")
    return root


def assert_entries_agree(onitu: Onitu, directory: str) -> None:
    onitu.wait(directory)
    wanted = files(onitu.mnt / directory)
    for root in onitu.roots.values():
        assert files(root / directory) == wanted


def test_cp_archive_there_and_back(shared_onitu: Onitu, source_tree: Path, tmp_path: Path) -> None:
    inside = shared_onitu.mnt / "cp"
    run("cp", "-a", source_tree, inside)
    assert tree(inside, attributes) == tree(source_tree, attributes)
    run("cp", "-a", inside, tmp_path / "back")
    assert tree(tmp_path / "back", attributes) == tree(source_tree, attributes)
    assert_entries_agree(shared_onitu, "cp")


def test_tar_there_and_back(shared_onitu: Onitu, source_tree: Path, tmp_path: Path) -> None:
    inside = shared_onitu.mnt / "tar"
    inside.mkdir()
    run("tar", "--format=posix", "-C", source_tree, "-cf", tmp_path / "there.tar", ".")
    run("tar", "-C", inside, "-xpf", tmp_path / "there.tar")
    assert tree(inside, attributes) == tree(source_tree, attributes)
    run("tar", "--format=posix", "-C", inside, "-cf", tmp_path / "back.tar", ".")
    (tmp_path / "back").mkdir()
    run("tar", "-C", tmp_path / "back", "-xpf", tmp_path / "back.tar")
    assert tree(tmp_path / "back", attributes) == tree(source_tree, attributes)
    assert_entries_agree(shared_onitu, "tar")


def test_rsync_there_again_and_back(shared_onitu: Onitu, source_tree: Path, tmp_path: Path) -> None:
    """The second run of rsync finds nothing to do: what stat says of the mount is what rsync had set."""
    inside = shared_onitu.mnt / "rsync"
    run("rsync", "-aH", f"{source_tree}/", inside)
    assert tree(inside, attributes) == tree(source_tree, attributes)
    assert run("rsync", "-aHi", "--omit-dir-times", f"{source_tree}/", inside) == ""
    run("rsync", "-aH", f"{inside}/", tmp_path / "back")
    assert tree(tmp_path / "back", attributes) == tree(source_tree, attributes)
    assert_entries_agree(shared_onitu, "rsync")


def test_git(shared_onitu: Onitu, tmp_path: Path) -> None:
    """clone, commit, branch, merge, stash, gc and fsck; and the repository on an entry is a sound one too."""
    environment = dict(os.environ, HOME=str(tmp_path), GIT_CONFIG_NOSYSTEM="1")

    def git(*arguments: str | Path, cwd: Path) -> str:
        settings = ("-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main")
        return run("git", *settings, *arguments, cwd=cwd, env=environment)

    origin = tmp_path / "origin"
    origin.mkdir()
    git("init", "-q", cwd=origin)
    for n in range(40):
        (origin / f"f{n}.txt").write_text(f"{n}\n" * 50)
        git("add", ".", cwd=origin)
        git("commit", "-qm", f"commit {n}", cwd=origin)

    clone = shared_onitu.mnt / "clone"
    git("clone", "-q", origin, clone, cwd=tmp_path)
    git("checkout", "-qb", "side", "HEAD~10", cwd=clone)
    (clone / "f1.txt").write_text("changed\n")
    git("commit", "-qam", "on the side", cwd=clone)
    git("mv", "f2.txt", "moved.txt", cwd=clone)
    (clone / "f3.txt").write_text("stashed\n")
    git("stash", "-q", cwd=clone)
    git("checkout", "-q", "main", cwd=clone)
    git("merge", "-q", "side", "-m", "merge", cwd=clone)
    git("stash", "pop", "-q", cwd=clone)
    git("commit", "-qam", "unstashed", cwd=clone)
    git("gc", "-q", "--aggressive", "--prune=now", cwd=clone)
    git("fsck", "--full", "--strict", cwd=clone)
    assert git("status", "--porcelain", cwd=clone) == ""
    assert git("rev-list", "--count", "HEAD", cwd=clone).strip() == "43"

    assert_entries_agree(shared_onitu, "clone")
    git("fsck", "--full", "--strict", cwd=shared_onitu.roots["a"] / "clone")
    git("push", "-q", origin, "HEAD:refs/heads/pushed", cwd=clone)
    git("fsck", "--full", cwd=origin)


@pytest.fixture
def killed_writer() -> Iterator[Any]:
    """Starts sqlite_writer.py, kills it after some commits; what the last commit was that it told of."""
    running: list[subprocess.Popen[str]] = []

    def start(database: Path, mode: str, commits: int) -> int:
        script = Path(__file__).with_name("sqlite_writer.py")
        writer = subprocess.Popen([sys.executable, "-I", script, database, mode], stdout=subprocess.PIPE, text=True)
        running.append(writer)
        assert writer.stdout is not None
        told = [int(writer.stdout.readline()) for _ in range(commits)]
        writer.kill()
        told += [int(line) for line in writer.stdout]  # between the last line read and its death
        writer.wait()
        return told[-1]

    yield start
    for writer in running:
        writer.kill()
        writer.communicate()


@pytest.mark.parametrize("mode", ["DELETE", "TRUNCATE", "WAL"])
def test_sqlite_with_a_killed_writer(shared_onitu: Onitu, killed_writer: Any, mode: str) -> None:
    """Whatever was committed is there, and the database is sound, after its writer was killed in the middle."""
    directory = shared_onitu.mnt / f"sqlite {mode}"
    directory.mkdir()
    path = directory / "app.db"
    for _ in range(3):
        last = killed_writer(path, mode, 25)
        with sqlite3.connect(path) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            (count, highest) = database.execute("SELECT count(*), max(n) FROM rows").fetchone()
        database.close()
        assert count == highest
        assert highest >= last
    assert_entries_agree(shared_onitu, directory.name)


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_sqlite_with_a_killed_daemon(onitu: Onitu, mode: str) -> None:
    """Every commit that sqlite reported is in a sound database after kill -9 of the daemon and a remount."""
    path = onitu.mnt / "app.db"
    script = Path(__file__).with_name("sqlite_writer.py")
    writer = subprocess.Popen(
        [sys.executable, "-I", script, path, mode], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    told = [int(writer.stdout.readline()) for _ in range(30)]
    onitu.kill()
    rest, _ = writer.communicate(timeout=60)
    told += [int(line) for line in rest.split()]
    onitu.mount()
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        (highest,) = database.execute("SELECT max(n) FROM rows").fetchone()
    database.close()
    assert highest >= told[-1]
