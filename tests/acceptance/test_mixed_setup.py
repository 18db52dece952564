"""A disk, two servers and a Dropbox as one directory: thousands of files, edits on every side, a server that dies.

Each history has a directory of its own, in the mount and on every entry, full of files from the beginning. Edits go on
in the mount, on the disk, in both servers' directories and on the Dropbox account, while files are transferred and one
server is killed, twice. In the end nothing is lost, the entries hold what the rules say, and conflicts kept both.
"""

import contextlib
import os
import pwd
import random
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

import pytest

from tests.dropbox_emulator.fixture import APP_KEY, DropboxEmulator
from tests.sftp.fixtures import NewSshd
from tests.sftp.server import Sshd

from .conftest import Maker
from .dropbox_side import DropboxSide
from .harness import Onitu, until
from .histories import History, Removals
from .trees import Facts, files

FILES = int(os.environ.get("ONITUFS_MIXED_FILES", "5000"))
SEED = os.environ.get("ONITUFS_MIXED_SEED", "mixed")
PATIENCE_S = 90 + FILES // 10
IN_EACH = 50
STEPS = 6
LARGE = 24 << 20
MOUNT, DISK, NAS, VAULT, BOX = range(5)
NAMES = ["mount", "disk", "nas", "vault", "box"]
RULES: list[Any] = [
    {"match": {"path": "/"}, "sync": ["disk"]},
    {"match": {"path": "/left/"}, "sync": ["nas"]},
    {"match": {"mime": "application/pdf"}, "sync": ["box"]},
    {"match": {"size": {"min": "20 KB"}}, "sync": ["vault"], "ban": ["box"]},
]


def entries_by_the_rules(path: bytes, size: int) -> set[str]:
    """RULES, said again without any of our code."""
    wanted = {"disk"}
    if path.startswith(b"left/"):
        wanted.add("nas")
    if size >= 20_000:
        wanted.add("vault")
    elif path.endswith(b".pdf"):
        wanted.add("box")
    return wanted


class Story(History):
    """A history whose contents all have sizes of their own: a server tells times in whole seconds only."""

    def content(self, path: PurePath) -> bytes:
        content = super().content(path)  # type: ignore[arg-type]
        del self.written[content]
        content += b"." * (24 * len(self.written))
        self.written[content] = str(path)
        return content

    def overwrite(self, path: Path, side: int) -> None:
        content = self.content(path)
        self.tell(side, f"overwrite {path} {content[:20]!r}")
        try:
            with open(path, "r+b") as file:
                self.destroyed.add(file.read())
                file.seek(0)
                file.truncate()
                file.write(content)
        except FileNotFoundError:  # somebody was quicker
            del self.written[content]

    def more(self, path: PurePath, before: bytes) -> bytes:
        content = before + self.dice.randbytes(8)
        self.written[content] = str(path)
        return content


class Removal(Story, Removals):
    """Whole directories move in it."""


class Mixed:
    """The mount, the entries, and the histories in them."""

    def __init__(self, onitu: Onitu, nas: Sshd, vault: Sshd, emulator: DropboxEmulator) -> None:
        self.onitu, self.nas = onitu, nas
        token = onitu.base / "token"
        token.write_text(emulator.control.refresh_token())
        onitu.more_environment = emulator.environment
        onitu.extra = {
            "entries": {
                "disk": {"driver": "local_storage", "options": {"root": str(onitu.roots["disk"])}},
                "nas": {"driver": "sftp", "options": nas.options(watch="1 s")},
                "vault": {"driver": "sftp", "options": vault.options(watch="1 s")},
                "box": {
                    "driver": "dropbox",
                    "options": {"app_key": APP_KEY, "token": {"file": str(token)}, "root": "/Onitu"},
                },
            }
        }
        onitu.write_setup()
        self.box = DropboxSide(emulator.control, "/Onitu")
        self.sides = [onitu.mnt, onitu.roots["disk"], nas.files, vault.files]
        self.users = ["root", "root", nas.user, vault.user]
        self.histories = [
            (Removal if n % 3 == 2 else Story)(
                f"{'left' if n % 2 else 'right'}/h{n}", self.sides, random.Random(f"{SEED} {n}")
            )
            for n in range(FILES // IN_EACH)
        ]

    def acting_on(self, number: int) -> contextlib.AbstractContextManager[None]:
        return acting_as(self.users[number])

    def populate(self, numbers: range, choices: list[int]) -> None:
        """Files of these numbers in each history, each on one of these sides, in a directory with others."""
        for history in self.histories:
            for number in numbers:
                side = history.dice.choice(choices)
                ending = history.dice.choice([".pdf", ".txt", ".jpg", ""])
                path = f"{history.name}/many{number % 7}/{number}{ending}"
                content = history.content(PurePath(path))
                history.touched.add(side)
                if side == BOX:
                    self.box.put(path, content)
                    continue
                with self.acting_on(side):
                    place = self.sides[side] / path
                    place.parent.mkdir(parents=True, exist_ok=True)
                    place.write_bytes(content)

    def steps(self, choices: list[int], count: int) -> None:
        for _ in range(count):
            for history in self.histories:
                number = history.dice.choice(choices)
                if number == BOX:
                    self.box.step(history, BOX)
                else:
                    with self.acting_on(number):
                        history.step([number])

    def save_large(self) -> str:
        """A file in the mount that takes long to send; its path."""
        history = self.histories[1]
        path = f"{history.name}/large"
        content = history.dice.randbytes(LARGE)
        history.written[content] = path
        (self.onitu.mnt / path).write_bytes(content)
        return path

    def edit_on_both(self, number: int) -> None:
        """In each history, one file that the mount and that side agree on is edited on both."""
        for history in self.histories:
            path = next((path for path in self.on_both(history, number) if self.agrees(path, number)), None)
            if path is not None:
                for side in (MOUNT, number):
                    with self.acting_on(side):
                        history.overwrite(self.sides[side] / path, side)
                history.touched.add(number)

    def on_both(self, history: History, number: int) -> list[Path]:
        names = [path.relative_to(self.sides[number]) for path in history.files(self.sides[number] / history.name)]
        return [path for path in names if (self.onitu.mnt / path).exists()]

    def agrees(self, path: Path, number: int) -> bool:
        try:
            return (self.onitu.mnt / path).read_bytes() == (self.sides[number] / path).read_bytes()
        except OSError:  # it is nowhere but on a server that is down
            return False

    def not_on(self, number: int) -> set[Path]:
        """What is in the mount, and belongs on the server `nas`, and is not there."""
        here, there = (
            {path.relative_to(side) for path in (side / "left").rglob("*") if path.is_file()}
            for side in (self.onitu.mnt, self.sides[number])
        )
        return here - there

    def found(self) -> list[dict[bytes, Facts]]:
        return [*map(files, self.sides), self.box.files()]

    def disagreement(self) -> str:
        """What is not as it has to be in the end; "" if everything is."""
        mount, *entries = self.found()
        found = dict(zip(NAMES[1:], entries, strict=True))
        wrong: list[str] = []
        for path, facts in mount.items():
            wrong += [
                f"{path!r} of the mount is on {name}: {found[name].get(path)} instead of {facts}"
                for name in entries_by_the_rules(path, facts[1])
                if found[name].get(path) != facts
            ]
        for name, there in found.items():
            for path, facts in there.items():
                if mount.get(path) != facts:
                    wrong.append(f"{path!r} on {name} is in the mount: {mount.get(path)} instead of {facts}")
                meant = name in entries_by_the_rules(path, facts[1])
                story = next(each for each in self.histories if path.startswith(os.fsencode(each.name) + b"/"))
                if name == "box" and facts[1] >= 20_000:
                    wrong.append(f"{path!r} is on box, where it is banned")
                elif not meant and NAMES.index(name) not in story.touched:
                    wrong.append(f"{path!r} is on {name}, where neither the rules nor anybody else put it")
        return "\n".join([*sorted(wrong)[:20], f"{len(wrong)} in all"]) if wrong else ""

    def lost(self) -> str:
        """Contents that were written, and destroyed by nobody, and are not in the mount."""
        told = []
        for history in self.histories:
            there = {path.read_bytes() for path in (self.onitu.mnt / history.name).rglob("*") if path.is_file()}
            missing = set(history.written) - history.destroyed - there
            if missing:
                told += [f"lost: {content[:30]!r} of {history.written[content]}" for content in missing]
                told += history.story
        return "\n".join(told)

    def told(self) -> str:
        """What OnituFS itself says, when it did not come to an end."""
        return self.onitu.run("status", self.onitu.mnt).stdout + self.onitu.log()

    def converged(self) -> bool:
        for entry in self.onitu.status()["entries"]:
            if entry["health"] == "suspended":
                self.onitu.ok("entry", "resume", entry["name"], "--accept-deletions", "--mount", self.onitu.mnt)
        self.onitu.wait(timeout=PATIENCE_S)
        try:
            return not self.disagreement()
        except FileNotFoundError:  # still changing
            return False


@contextlib.contextmanager
def acting_as(user: str) -> Iterator[None]:
    """What this process does to files is done by that user."""
    account = pwd.getpwnam(user)
    before = os.geteuid(), os.getegid()
    os.setegid(account.pw_gid)
    os.seteuid(account.pw_uid)
    try:
        yield
    finally:
        os.seteuid(before[0])
        os.setegid(before[1])


def arrived(server: Sshd) -> int:
    return len(files(server.files))


def half_way(server: Sshd) -> bool:
    """Whether a large file is being written there."""
    temps = server.files / ".onitufs" / "tmp"
    return temps.exists() and any(size > 1 << 20 for size in map(size_of, temps.iterdir()))


def size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


@pytest.fixture
def mixed(new_onitu: Maker, new_sshd: NewSshd, dropbox_emulator: DropboxEmulator) -> Mixed:
    """Not mounted yet."""
    onitu = new_onitu(entries=("disk",), rules=RULES)
    return Mixed(onitu, new_sshd(), new_sshd(chrooted=True), dropbox_emulator)


@pytest.mark.long(170)
@pytest.mark.timeout(60 + 4 * PATIENCE_S)
def test_edits_on_every_side_while_a_server_dies_twice(mixed: Mixed) -> None:
    onitu, nas = mixed.onitu, mixed.nas
    mixed.populate(range(IN_EACH // 2), [DISK, NAS, VAULT, BOX])
    onitu.mount()
    before = arrived(nas)
    mixed.populate(range(IN_EACH // 2, IN_EACH), [MOUNT, MOUNT, DISK, NAS, VAULT, BOX])
    until("files arrive on the server", lambda: arrived(nas) > before)
    nas.kill()
    assert mixed.not_on(NAS), "all was through before the server was killed"
    mixed.steps([MOUNT, DISK, NAS, VAULT, BOX], STEPS)
    nas.start()
    mixed.steps([MOUNT, DISK, NAS, VAULT, BOX], STEPS)

    large = mixed.save_large()
    until("a large file is on its way", lambda: half_way(nas), PATIENCE_S)
    nas.kill()
    assert not (nas.files / large).exists(), "it was through before the server was killed"
    mixed.edit_on_both(NAS)
    mixed.steps([MOUNT, MOUNT, DISK, NAS, VAULT, BOX], STEPS)
    nas.start()
    mixed.steps([MOUNT, MOUNT, DISK, NAS, VAULT, BOX], STEPS)
    try:
        until("all agree", mixed.converged, PATIENCE_S)
    except AssertionError as late:
        wrong = mixed.disagreement() or str(late)
        stories = [line for each in mixed.histories if f"{each.name}/" in wrong for line in each.story]
        pytest.fail("\n".join([wrong, *stories, mixed.told()]))
    assert mixed.lost() == ""
    assert any(b"conflicted copy" in path for path in files(onitu.mnt)), "no conflict was met; nothing was tried"
