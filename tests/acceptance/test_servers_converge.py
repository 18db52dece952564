"""A disk and two servers hold everything; all sides change files of their own while one server dies, twice."""

import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.sftp.server import Sshd

from .conftest import Maker
from .harness import until

NewSshd = Callable[..., Sshd]
FILES = 240
TURNS = 120


def contents(root: Path) -> dict[str, bytes]:
    """All files below, but for what is OnituFS's own."""
    found = {}
    for path in root.rglob("*"):
        name = str(path.relative_to(root))
        if not name.startswith(".onitufs"):
            try:
                if path.is_file():
                    found[name] = path.read_bytes()
            except FileNotFoundError:
                continue
            except OSError as error:  # it is only on the server that is away
                found[name] = str(error).encode()
    return found


class Side:
    """Somebody who works in one of the trees, on files that nobody else touches."""

    def __init__(self, number: int, root: Path, chance: random.Random) -> None:
        self.root = root
        self.files = {f"d{n % 8}/{number} {n}": b"" for n in range(number, FILES, 4)}
        self._number = number
        self._chance = chance
        self._made = 0

    def write(self, name: str) -> None:
        data = self._chance.randbytes(self._chance.randrange(1, 5000))
        self.files[name] = data
        (self.root / name).write_bytes(data)

    def act(self) -> None:
        """Change something of what is there by now."""
        there = [name for name in self.files if (self.root / name).exists()]
        what = self._chance.randrange(5)
        if what == 0 or not there:
            self._made += 1
            self.write(f"d{self._chance.randrange(8)}/{self._number} new {self._made}")
            return
        name = self._chance.choice(there)
        if what < 3:
            self.write(name)
        elif what == 3:
            (self.root / name).unlink()
            del self.files[name]
        else:
            self._made += 1
            to = f"d{self._chance.randrange(8)}/{self._number} moved {self._made}"
            (self.root / name).rename(self.root / to)
            self.files[to] = self.files.pop(name)


@pytest.mark.long(9)
def test_all_sides_end_with_the_same(new_onitu: Maker, new_sshd: NewSshd) -> None:
    servers = [new_sshd(), new_sshd()]
    onitu = new_onitu(entries=("disk",))
    names = ["disk", "one", "two"]
    onitu.extra = {
        "entries": {
            "disk": {"driver": "local_storage", "options": {"root": str(onitu.roots["disk"])}},
            "one": {"driver": "sftp", "options": servers[0].options(watch="200 ms")},
            "two": {"driver": "sftp", "options": servers[1].options(watch="200 ms")},
        }
    }
    onitu.rules = [{"match": {"path": "/"}, "sync": names}]
    onitu.write_setup()
    onitu.mount()
    chance = random.Random(20)
    roots = [onitu.mnt, onitu.roots["disk"], servers[0].files, servers[1].files]
    sides = [Side(number, root, chance) for number, root in enumerate(roots)]
    for number in range(8):
        (onitu.mnt / f"d{number}").mkdir()
    for side in sides:
        at = Side(0, onitu.mnt, chance)
        at.files = side.files
        for name in list(side.files):
            at.write(name)
    onitu.wait()
    for turn in range(TURNS):
        sides[chance.randrange(4)].act()
        if turn in (20, 70):
            servers[0].kill()
        if turn in (50, 100):
            servers[0].start()
    wanted: dict[str, bytes] = {}
    for side in sides:
        wanted |= side.files

    def difference() -> list[tuple[int, str]]:
        return [
            (number, name)
            for number, root in enumerate(roots)
            for name in sorted({name for name, _ in contents(root).items() ^ wanted.items()})
        ]

    with suppress(AssertionError):  # what differs says more
        until("all hold the same", lambda: not difference(), within_s=90)
    onitu.wait()
    assert difference() == []
