"""A file that is on two servers only is read while one of them dies: the program notices nothing."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from tests.sftp.fixtures import NewSshd
from tests.sftp.server import Sshd

from .absence import absent, mount_with_absent
from .conftest import Maker
from .harness import Onitu, until

CONTENT = os.urandom(1 << 20) * 40
PIECE = 1 << 17


def mounted(new_onitu: Maker, **servers: Sshd) -> Onitu:
    """A mount in which the file "large" is on these servers only; the first is read from as long as it lives."""
    onitu = new_onitu(entries=())
    fastest_first: dict[str, Any] = {
        name: {"driver": "sftp", "options": server.options(watch="200 ms"), "velocity": 0.9 / (1 + 9 * number)}
        for number, (name, server) in enumerate(servers.items())
    }
    onitu.extra = {"entries": fastest_first}
    onitu.rules = [{"match": {"path": "/"}, "sync": list(servers)}]
    onitu.write_setup()
    mount_with_absent(onitu, "large", CONTENT)
    return onitu


def test_small_files_read_in_order_come_in_time_whatever_others_do(new_onitu: Maker, new_sshd: NewSshd) -> None:
    """Each is what it was or what others made of it; and the next ones are fetched before they are asked for."""
    server = new_sshd()
    onitu = new_onitu(entries=())
    onitu.extra = {"entries": {"server": {"driver": "sftp", "options": server.options(watch="200 ms")}}}
    onitu.rules = [{"match": {"path": "/"}, "sync": ["server"]}]
    onitu.write_setup()
    contents = {f"{number:03d}": os.urandom(3000 + number) for number in range(120)}
    for name, data in contents.items():
        (Path(server.root) / name).write_bytes(data)
    onitu.mount()
    until("all are seen", lambda: len(os.listdir(onitu.mnt)) == len(contents))
    onitu.wait()
    for name in list(contents)[:10]:
        assert (onitu.mnt / name).read_bytes() == contents[name]
    onitu.umount("--now")
    assert not absent(onitu.state, "010")
    assert absent(onitu.state, "119")
    onitu.mount()
    for name, data in contents.items():
        if name == "010":
            for other in ("050", "051"):
                (Path(server.root) / other).write_bytes(b"others did this")
        if name in ("050", "051"):
            assert (onitu.mnt / name).read_bytes() in (data, b"others did this")
        else:
            assert (onitu.mnt / name).read_bytes() == data
    until("one change is here", lambda: (onitu.mnt / "050").read_bytes() == b"others did this")
    until("the other one is", lambda: (onitu.mnt / "051").read_bytes() == b"others did this")


@pytest.mark.long(20)
@pytest.mark.parametrize("how", [Sshd.kill, Sshd.freeze], ids=["killed", "frozen"])
def test_another_server_goes_on_in_the_middle(new_onitu: Maker, new_sshd: NewSshd, how: Any) -> None:
    first, second = new_sshd(), new_sshd()
    onitu = mounted(new_onitu, first=first, second=second)
    got = bytearray()
    with open(onitu.mnt / "large", "rb", buffering=0) as file:
        while piece := file.read(PIECE):
            got += piece
            if len(got) == 2 << 20:
                how(first)
    assert bytes(got) == CONTENT
    until("all is here and was compared with what is known", lambda: is_kept(onitu))
    first.kill()
    onitu.umount("--now")
    assert not absent(onitu.state, "large")


def is_kept(onitu: Onitu) -> bool:
    return any(path.stat().st_blocks * 512 >= len(CONTENT) for path in files_of(onitu.state / "content"))


def files_of(place: Path) -> list[Path]:
    return [path for path in place.rglob("*") if path.is_file()]


def test_without_any_server_there_is_a_plain_error_and_later_the_rest(new_onitu: Maker, new_sshd: NewSshd) -> None:
    server = new_sshd()
    onitu = mounted(new_onitu, only=server)
    with open(onitu.mnt / "large", "rb", buffering=0) as file:
        assert file.read(PIECE) == CONTENT[:PIECE]
        server.kill()
        assert errno_of_reading(file.fileno(), 30 << 20) in (errno.EHOSTDOWN, errno.ETIMEDOUT)
        assert os.pread(file.fileno(), PIECE, 0) == CONTENT[:PIECE]
        server.start()
        onitu.ok("entry", "resume", "only", "--mount", onitu.mnt)
        until("it is read again", lambda: errno_of_reading(file.fileno(), 30 << 20) is None)
    assert (onitu.mnt / "large").read_bytes() == CONTENT


def errno_of_reading(fd: int, offset: int) -> int | None:
    """None if what is read is right."""
    try:
        assert os.pread(fd, PIECE, offset) == CONTENT[offset : offset + PIECE]
    except OSError as error:
        return error.errno
    return None
