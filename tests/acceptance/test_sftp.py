"""An entry on a server, through a real mount: what is saved is there, what others do there is here; trouble passes."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sftp.server import Sshd

from .conftest import Maker
from .harness import Onitu, until

NewSshd = Callable[..., Sshd]


def mounted(new_onitu: Maker, server: Sshd, *, afresh: bool = False, **options: object) -> Onitu:
    """A mount whose every file goes to that server."""
    onitu = new_onitu(entries=(), afresh=afresh)
    watch = {"watch": "200 ms"} | options
    onitu.extra = {"entries": {"nas": {"driver": "sftp", "options": server.options(**watch)}}}
    onitu.rules = [{"match": {"path": "/"}, "sync": ["nas"]}]
    onitu.write_setup()
    onitu.mount()
    return onitu


def entry_state(onitu: Onitu) -> dict[str, str]:
    (entry,) = onitu.status()["entries"]
    return dict(entry)


def read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def half_way(temps: Path) -> list[Path]:
    """Temporary files that have more than one chunk of what is uploaded."""
    return [temp for temp in temps.iterdir() if temp.stat().st_size > 66 << 20]


def test_saved_here_is_there_and_changed_there_is_here(new_onitu: Maker, new_sshd: NewSshd) -> None:
    server = new_sshd(chrooted=True)
    onitu = mounted(new_onitu, server, afresh=True)
    (onitu.mnt / "a" / "b").mkdir(parents=True)
    (onitu.mnt / "a" / "b" / "f").write_bytes(b"one")
    os.utime(onitu.mnt / "a" / "b" / "f", ns=(1_500_000_000_123_456_789, 1_500_000_000_123_456_789))
    (onitu.mnt / "a" / "b" / "f").chmod(0o640)
    (onitu.mnt / "link").symlink_to("a/b/f")
    onitu.wait()
    there = server.files / "a" / "b" / "f"
    assert there.read_bytes() == b"one"
    assert (int(there.stat().st_mtime), there.stat().st_mode & 0o777) == (1_500_000_000, 0o640)
    assert (server.files / "link").readlink() == Path("a/b/f")

    there.chmod(0o600)
    until("the mode is seen", lambda: (onitu.mnt / "a" / "b" / "f").stat().st_mode & 0o777 == 0o600)
    onitu.wait()
    assert (onitu.mnt / "a" / "b" / "f").stat().st_mtime_ns == 1_500_000_000_123_456_789, "a server tells seconds only"

    (server.files / "theirs").mkdir()
    server.give(server.files / "theirs")
    (server.files / "theirs" / os.fsdecode(b"\xff new")).write_bytes(b"from there")
    there.write_bytes(b"edited there")
    until("the new file is seen", lambda: read(onitu.mnt / "theirs" / os.fsdecode(b"\xff new")) == b"from there")
    until("the edit is seen", lambda: read(onitu.mnt / "a" / "b" / "f") == b"edited there")
    os.rename(there, server.files / "moved")
    until("the move is seen", lambda: read(onitu.mnt / "moved") == b"edited there")
    until("and its old name is gone", lambda: not (onitu.mnt / "a" / "b" / "f").exists())
    (server.files / "moved").unlink()
    until("the deletion is seen", lambda: not (onitu.mnt / "moved").exists())

    (onitu.mnt / "theirs").rename(onitu.mnt / "renamed")
    onitu.wait()
    assert read(server.files / "renamed" / os.fsdecode(b"\xff new")) == b"from there"
    (onitu.mnt / "renamed" / os.fsdecode(b"\xff new")).unlink()
    onitu.wait()
    assert not (server.files / "renamed" / os.fsdecode(b"\xff new")).exists()
    trash = [path for path in (server.files / ".onitufs" / "trash").rglob("*") if path.is_file()]
    assert b"from there" in [path.read_bytes() for path in trash]


def test_a_restart_lists_nothing_again(new_onitu: Maker, new_sshd: NewSshd) -> None:
    """What was seen before is known; what was changed meanwhile is found all the same."""
    server = new_sshd()
    for number in range(300):
        directory = server.files / f"d{number % 10}"
        directory.mkdir(exist_ok=True)
        (directory / str(number)).write_bytes(b"%d" % number)
    onitu = mounted(new_onitu, server)
    until("all is seen", lambda: entry_state(onitu)["seen"] == {"names": 310, "directories_left": 0, "complete": True})
    onitu.wait()
    onitu.umount()
    (server.files / "d3" / "3").write_bytes(b"edited")
    (server.files / "d4" / "4").unlink()
    (server.files / "d5" / "new").write_bytes(b"new")
    onitu.mount()
    until("the edit is seen", lambda: read(onitu.mnt / "d3" / "3") == b"edited")
    until("the new one is seen", lambda: read(onitu.mnt / "d5" / "new") == b"new")
    until("the deletion is seen", lambda: not (onitu.mnt / "d4" / "4").exists())
    assert sum(len(names) for _, _, names in os.walk(onitu.mnt)) == 300
    assert entry_state(onitu)["seen"] == {"names": 0, "directories_left": 0, "complete": True}


def test_a_directory_that_was_removed_there_and_made_again_by_us(new_onitu: Maker, new_sshd: NewSshd) -> None:
    """It stands there again before anybody looked: what had been in it is gone all the same."""
    server = new_sshd()
    onitu = mounted(new_onitu, server, watch="1 h")
    (onitu.mnt / "d").mkdir()
    (onitu.mnt / "d" / "old").write_bytes(b"old")
    onitu.wait()
    shutil.rmtree(server.files / "d")
    (onitu.mnt / "d" / "new").write_bytes(b"new")
    onitu.wait()
    assert read(server.files / "d" / "new") == b"new"
    until("both hold the same", lambda: os.listdir(onitu.mnt / "d") == os.listdir(server.files / "d"))


def test_a_part_of_a_large_file_is_read_without_the_rest(new_onitu: Maker, new_sshd: NewSshd) -> None:
    server = new_sshd()
    content = os.urandom(1 << 20) * 48
    (server.files / "large").write_bytes(content)
    onitu = mounted(new_onitu, server)
    until("it is shown", (onitu.mnt / "large").exists)
    with open(onitu.mnt / "large", "rb") as file:
        for offset in (30_000_000, 5, 49_000_000):
            file.seek(offset)
            assert file.read(70_000) == content[offset : offset + 70_000]
    here = sum(path.stat().st_blocks * 512 for path in onitu.state.rglob("*") if path.is_file())
    assert here < 24 << 20, "more was fetched than was read"
    assert (onitu.mnt / "large").read_bytes() == content


def test_a_server_that_is_killed_in_the_middle_of_a_transfer(new_onitu: Maker, new_sshd: NewSshd) -> None:
    """The upload goes on where it was, in the very file that had begun; programs are not kept waiting meanwhile."""
    server = new_sshd()
    onitu = mounted(new_onitu, server)
    content = os.urandom(1 << 20) * 150
    (onitu.mnt / "large").write_bytes(content)
    temps = server.files / ".onitufs" / "tmp"

    until("more than a chunk has arrived", lambda: half_way(temps))
    (begun,) = half_way(temps)
    inode = begun.stat().st_ino
    server.kill()
    assert begun.exists(), "it was through before it was killed; nothing was tried"
    (onitu.mnt / "small").write_bytes(b"saved while it was away")
    until("the entry is in trouble", lambda: entry_state(onitu)["health"] == "degraded")
    server.start()
    onitu.wait()
    assert (server.files / "large").read_bytes() == content
    assert (server.files / "large").stat().st_ino == inode, "it was sent from the beginning again"
    assert read(server.files / "small") == b"saved while it was away"
    assert os.listdir(temps) == []


def test_a_daemon_that_is_killed_in_the_middle_of_a_transfer(new_onitu: Maker, new_sshd: NewSshd) -> None:
    server = new_sshd()
    onitu = mounted(new_onitu, server)
    content = os.urandom(1 << 20) * 150
    (onitu.mnt / "large").write_bytes(content)
    temps = server.files / ".onitufs" / "tmp"
    until("more than a chunk has arrived", lambda: half_way(temps))
    assert onitu.pid is not None
    os.kill(onitu.pid, signal.SIGSTOP)  # else it may be through by now
    (begun,) = half_way(temps)
    inode = begun.stat().st_ino
    onitu.kill()
    subprocess.run(["umount", "-l", onitu.mnt], check=True)
    onitu.mount()
    onitu.wait()
    assert (server.files / "large").read_bytes() == content
    assert (server.files / "large").stat().st_ino == inode, "it was sent from the beginning again"


@pytest.mark.parametrize("changed", [False, True])
def test_a_host_key_that_nobody_accepted(new_onitu: Maker, new_sshd: NewSshd, changed: bool) -> None:
    """Nothing is sent to that server, and the message has the command that accepts it."""
    server = new_sshd()
    known = server.base / "known_hosts"
    config = server.base / "config"
    config.write_text(f"UserKnownHostsFile {known}\n")
    known.write_text(server.known_hosts_line() if changed else "")
    if changed:
        server.kill()
        server.new_host_key()
        server.start()
    onitu = mounted(new_onitu, server, host_key=None, ssh_config=str(config))
    (onitu.mnt / "f").write_bytes(b"one")
    until("a person is needed", lambda: entry_state(onitu)["health"] == "suspended")
    state = entry_state(onitu)
    assert server.fingerprint in state["message"]
    assert ("HAS CHANGED" in state["message"]) is changed
    command = state["remedy"].rpartition("run: onitufs ")[2]
    assert command == "auth login nas"
    assert os.listdir(server.files) == []
    refused = onitu.run(*command.split(), "--mount", onitu.mnt, "--answer", "no")
    assert refused.returncode == 7
    accepted = onitu.ok(*command.split(), "--mount", onitu.mnt, "--answer", "yes")
    assert server.fingerprint in accepted
    onitu.wait()
    assert read(server.files / "f") == b"one"
