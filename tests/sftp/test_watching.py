"""What others change on a server is found, is told once it rests, and is not looked for in vain after a restart."""

import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from onitufs.drivers.conformance.subject import Subject, connected
from onitufs.drivers.conformance.watching import Told, watched
from onitufs.drivers.handlers import RemotePath
from onitufs.drivers.sftp import watching
from onitufs.drivers.sftp.pool import Pool
from onitufs.drivers.sftp.seen import SeenStore
from onitufs.drivers.sftp.wire import Wire
from onitufs.model.errors import NeedsPerson

from .driving import driving, new_entry
from .server import Sshd


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        with trio.fail_after(60):
            await test()

    trio.run(bounded)


def aged(*paths: Path) -> None:
    """As if nothing had happened there for a long time."""
    for path in paths:
        os.utime(path, (1_600_000_000, 1_600_000_000), follow_symlinks=False)


def plant(root: Path, directories: int, files: int) -> list[Path]:
    made = []
    for number in range(directories):
        directory = root / f"d{number:03d}"
        directory.mkdir()
        for other in range(files):
            (directory / str(other)).write_bytes(b"x")
            aged(directory / str(other))
        made.append(directory)
    aged(*made)
    return made


def told_paths(told: Told) -> set[RemotePath]:
    return {path for sighted in told.all for path in sighted.paths}


def told_below(told: Told) -> set[RemotePath]:
    return {path for sighted in told.all for path in sighted.below}


def test_a_restart_tells_what_changed_meanwhile_and_nothing_else(sshd: Sshd, tmp_path: Path) -> None:
    entry, root = new_entry(sshd, tmp_path)
    directories = plant(root, 30, 10)

    async def test() -> None:
        async with connected(entry, tmp_path / "work") as s, watched(s) as told:
            cursor = told.all[-1].cursor
        assert cursor
        shutil.rmtree(directories[0])
        (directories[1] / "3").write_bytes(b"edited in place")
        aged(directories[1])
        os.rename(directories[2], root / "renamed")
        (directories[3] / "new").write_bytes(b"x")
        aged(directories[3] / "new", directories[1] / "3")
        os.utime(directories[1] / "3", (1_600_000_001, 1_600_000_001))
        async with connected(entry, tmp_path / "work", s.identity) as s, watched(s, cursor) as told:
            assert told_paths(told) == {(b"d000",), (b"d001", b"3"), (b"d002",), (b"renamed",), (b"d003", b"new")}
            assert told_below(told) == {(b"renamed",)}
            again = told.all[-1].cursor
        async with connected(entry, tmp_path / "work", s.identity) as s, watched(s, again) as told:
            assert (told_paths(told), told_below(told)) == (set(), set())
        async with connected(entry, tmp_path / "work", s.identity) as s, watched(s, cursor) as told:
            assert (b"d003", b"new") in told_paths(told), "what was told and perhaps not taken in is told again"

    run(test)


@pytest.mark.parametrize("how", ["another", "none", "damaged"])
def test_what_was_seen_is_lost(sshd: Sshd, tmp_path: Path, how: str) -> None:
    """Then everything is to be looked through, and after that nothing is missed."""
    entry, root = new_entry(sshd, tmp_path)
    plant(root, 3, 3)

    async def test() -> None:
        async with connected(entry, tmp_path / "work") as s, watched(s) as told:
            cursor = told.all[-1].cursor
        file = tmp_path / "work" / "seen.sqlite"
        if how == "damaged":
            file.write_bytes(b"SQLite format 3\0" + os.urandom(5000))
        else:
            for each in (tmp_path / "work").glob("seen.sqlite*"):
                each.unlink()
        if how == "another":
            SeenStore(file, "another place").close()
        async with connected(entry, tmp_path / "work", s.identity) as s, watched(s, cursor) as told:
            assert () in told.all[0].below
            await told.after(lambda: s.outside.write((b"d001", b"1"), b"longer"), (b"d001", b"1"))

    run(test)


def test_between_two_looks_through_everything_times_tell(
    sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New, removed and renamed names are found although nothing is listed but the directories that changed."""
    monkeypatch.setattr(watching, "_SHARE", 1_000_000)  # all is listed once only
    listed: list[bytes] = []
    original = watching.list_many

    def listing(wire: Wire, directories: Any) -> Any:
        listed.extend(directories)
        return original(wire, directories)

    monkeypatch.setattr(watching, "list_many", listing)

    async def test() -> None:
        async with driving(sshd, tmp_path) as (s, root):
            directories = plant(root, 40, 2)
            aged(root)
            async with watched(s) as told:
                listed.clear()
                await told.after(lambda: (directories[7] / "0").unlink(), (b"d007", b"0"))
                await told.after(lambda: os.rename(directories[8] / "0", directories[9] / "9"), (b"d009", b"9"))
                await told.after(lambda: shutil.rmtree(directories[3]), (b"d003",))
        names = {os.path.basename(each) for each in listed}
        assert names <= {b"d007", b"d008", b"d009", b"d003", os.fsencode(root.name)}

    run(test)


def test_what_is_being_written_is_told_when_it_rests(sshd: Sshd, tmp_path: Path) -> None:
    """Or at the second look, if it never does: here its time stays fresh as long as the test runs."""

    async def test() -> None:
        async with driving(sshd, tmp_path) as (s, _), watched(s) as told:
            await told.after(lambda: s.outside.write((b"f",), b"1"), (b"f",))

            async def keep_writing() -> None:
                while True:
                    s.outside.write((b"f",), b"more")
                    await trio.sleep(0.02)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(keep_writing)
                for _ in range(2):
                    await told.after(lambda: None, (b"f",))
                nursery.cancel_scope.cancel()

    run(test)


def test_a_root_that_went_away_is_not_an_empty_one(sshd: Sshd, tmp_path: Path) -> None:
    async def test() -> None:
        async with driving(sshd, tmp_path) as (s, root):
            plant(root, 5, 5)
            told = Told()

            async def watch() -> None:
                with pytest.raises(NeedsPerson, match="is its disk mounted"):
                    await s.call("watch", None, told.tell)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(watch)
                await told.first()
                with s.outside.broken():
                    while nursery.child_tasks:
                        await trio.sleep(0.01)
            assert told_paths(told) == set()

    run(test)


def test_a_directory_that_cannot_be_read_hides_no_other(chrooted_sshd: Sshd, tmp_path: Path) -> None:
    """What is in it is unknown: nothing of it is told to be gone."""

    async def test() -> None:
        async with driving(chrooted_sshd, tmp_path) as (s, root):
            directories = plant(root, 3, 2)
            async with watched(s) as told:
                directories[1].chmod(0)
                await told.after(lambda: s.outside.write((b"d002", b"new"), b"x"), (b"d002", b"new"))
                await told.after(lambda: s.outside.write((b"d002", b"newer"), b"x"), (b"d002", b"newer"))
                assert not any(path[:1] == (b"d001",) and len(path) > 1 for path in told_paths(told))
                directories[1].chmod(0o755)
                await told.after(lambda: s.outside.write((b"d001", b"new"), b"x"), (b"d001", b"new"))

    run(test)


def test_awkward_things_are_left_alone(sshd: Sshd, tmp_path: Path) -> None:
    """Fifos, links out of the root and in circles, names that are no UTF-8, paths too long for the protocol."""

    async def test() -> None:
        async with driving(sshd, tmp_path) as (s, root):
            os.mkfifo(root / "fifo")
            (root / "circle").symlink_to(".")
            (root / "out").symlink_to("/")
            (root / os.fsdecode(b"\xff")).mkdir()
            deep = os.open(root, os.O_RDONLY)
            for _ in range(20):
                os.mkdir("n" * 250, dir_fd=deep)
                deeper = os.open("n" * 250, os.O_RDONLY, dir_fd=deep)
                os.close(deep)
                deep = deeper
            os.close(deep)
            async with watched(s) as told:
                await told.after(lambda: s.outside.write((b"\xff", b"\xfe"), b"x"), (b"\xff", b"\xfe"))
                listed = dict(await s.call("list_directory", ()))
                assert set(listed) == {b"circle", b"out", b"\xff", b"n" * 250}
                assert (b"fifo",) not in told_paths(told)
                assert not any(path[0] in {b"circle", b"out"} for path in told_paths(told) if len(path) > 1)
                assert await s.call("stat", (b"circle", b"circle")) is None

    run(test)


def test_handles_that_are_kept_for_readers_are_closed(sshd: Sshd, tmp_path: Path) -> None:
    async def test() -> None:
        async with driving(sshd, tmp_path) as (s, root):
            (root / "f").write_bytes(b"x" * 1000)
            found = await s.call("stat", (b"f",))
            for offset in range(0, 1000, 100):
                assert await s.call("get_chunk", (b"f",), found.state.rev, offset, 100) == b"x" * 100
            assert len(open_on_server(sshd, root / "f")) == 1
            pool = pool_of(s)
            pool.tidy()
            assert len(open_on_server(sshd, root / "f")) == 1
            for state in pool._lanes.values():
                for wire in state.idle:
                    wire.kept = {key: (handle, 0.0) for key, (handle, _) in wire.kept.items()}
            pool.tidy()
            assert open_on_server(sshd, root / "f") == []

    run(test)


def pool_of(s: Subject) -> Pool:
    pool: Pool = s.handlers._driver._pool
    return pool


def open_on_server(server: Sshd, file: Path) -> list[str]:
    found = []
    for pid in server.pids():
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            try:
                target = os.readlink(fd)
            except OSError:
                continue
            if target == str(file):
                found.append(target)
    return found
