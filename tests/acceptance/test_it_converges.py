"""Random programs, a killed daemon, rules by path and name: in the end each entry holds what the rules say."""

import ctypes
import errno
import os
import random
import shutil
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Maker
from .harness import Onitu
from .trees import Facts, tree

RULES = [
    {"match": {"path": "/"}, "sync": ["a"]},
    {"match": {"path": "/x/"}, "sync": ["b"]},
    {"match": {"path": "/y/"}, "sync": ["c"], "ban": ["a"]},
    {"match": {"glob": "*.pdf"}, "sync": ["b", "c"]},
]
NAMES = ["f1", "f2", "g.pdf", "h", "x", "y", "d"]
REFUSALS = {errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY, errno.EINVAL}
AT_FDCWD, RENAME_EXCHANGE = -100, 2


def entries_by_the_rules(path: bytes) -> set[str]:
    """RULES, said again without any of our code."""
    found = {"a"}
    if path.startswith(b"x/"):
        found.add("b")
    if path.startswith(b"y/"):
        found = (found | {"c"}) - {"a"}
    if path.endswith(b".pdf"):
        found |= {"b", "c"}
    return found


class Programs:
    """Does one random thing after the other below a directory, as far as the file system lets it."""

    def __init__(self, root: Path, dice: random.Random) -> None:
        self.root, self.dice = str(root), dice
        self.renameat2 = ctypes.CDLL(None, use_errno=True).renameat2

    def all(self, wanted: Callable[[int], bool]) -> list[str]:
        paths = [os.path.join(base, name) for base, ds, fs in os.walk(self.root) for name in (*ds, *fs)]
        return [path for path in paths if wanted(os.lstat(path).st_mode)]

    def new(self) -> str:
        return os.path.join(self.dice.choice([self.root, *self.all(stat.S_ISDIR)]), self.dice.choice(NAMES))

    def data(self) -> bytes:
        return self.dice.randbytes(self.dice.randrange(5000))

    def write(self) -> None:
        Path(self.new()).write_bytes(self.data())

    def patch(self) -> None:
        with open(self.dice.choice(self.all(stat.S_ISREG)), "r+b") as file:
            file.seek(self.dice.randrange(3000))
            file.write(b"patched")

    def save_aside(self) -> None:
        final = self.new()
        aside = os.path.join(os.path.dirname(final), "save.aside")
        Path(aside).write_bytes(self.data())
        os.rename(aside, final)

    def make_directory(self) -> None:
        os.mkdir(self.new())

    def rename(self) -> None:
        os.rename(self.dice.choice(self.all(bool)), self.new())

    def exchange(self) -> None:
        one, other = (os.fsencode(path) for path in self.dice.sample(self.all(bool), 2))
        self.renameat2(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE)  # refused for a directory and what is in it

    def unlink(self) -> None:
        os.unlink(self.dice.choice(self.all(stat.S_ISREG)))

    def remove_tree(self) -> None:
        if self.dice.random() < 0.3:
            shutil.rmtree(self.dice.choice(self.all(stat.S_ISDIR)))

    def pause(self) -> None:
        """Programs rest now and then: orders are then under way when the next change comes."""
        time.sleep(self.dice.choice([0, 0.1, 0.5, 2.2]))

    def step(self) -> None:
        often = [self.write] * 4 + [self.make_directory] * 4 + [self.rename] * 3
        act = self.dice.choice(
            [*often, self.patch, self.save_aside, self.exchange, self.unlink, self.remove_tree, self.pause]
        )
        try:
            act()
        except OSError as refused:
            if refused.errno not in REFUSALS:
                raise
        except (IndexError, ValueError):
            pass  # there is nothing yet to do it to


def wanted_on(entry: str, mount: dict[bytes, Facts]) -> dict[bytes, Facts]:
    found: dict[bytes, Facts] = {}
    for path, facts in mount.items():
        if entry in entries_by_the_rules(path):
            found[path] = facts
            while b"/" in path:
                path = path.rpartition(b"/")[0]
                found[path] = ("directory",)
    return found


@pytest.mark.long(19)
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_each_entry_ends_with_what_the_rules_say(new_onitu: Maker, seed: int) -> None:
    dice = random.Random(seed)
    onitu: Onitu = new_onitu(entries=("a", "b", "c"), rules=RULES)
    onitu.mount()
    programs = Programs(onitu.mnt, dice)
    for step in range(160):
        programs.step()
        if step % 40 == 20:
            onitu.kill()
            onitu.mount()
    onitu.wait()
    held = tree(onitu.mnt)
    for entry, root in onitu.roots.items():
        assert tree(root) == wanted_on(entry, held), f"seed {seed}, entry {entry}"
    assert '"level": "error"' not in onitu.log()
