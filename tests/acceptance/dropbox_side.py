"""A history's deeds on a Dropbox account, as another program there does them. Shares no code with OnituFS.

Every command of the emulator's control port is one step, and tells what it destroyed: nothing is judged by what was
looked up before.
"""

import hashlib
import random
from pathlib import PurePosixPath

from tests.dropbox_emulator.remote import Control, Refusal

from .histories import NAMES, History
from .trees import Facts


def content_hash(content: bytes) -> str:
    """Dropbox's, of less than 4 MiB."""
    return hashlib.sha256(hashlib.sha256(content).digest()).hexdigest()


class DropboxSide:
    """The folder `root` of the account; `step` does one deed there."""

    def __init__(self, control: Control, root: str) -> None:
        self.control = control
        self.root = root

    def files(self) -> dict[bytes, Facts]:
        """As trees.files()."""
        found: dict[bytes, Facts] = {}
        for each in self.control.list(path=self.root):
            path = each["path"].removeprefix(self.root + "/")
            if each["is"] == "file" and not path.startswith(".onitufs/"):
                digest = hashlib.sha256(self.control.read(each["path"])).hexdigest()
                found[path.encode()] = ("file", each["size"], digest)
        return found

    def put(self, path: str, content: bytes) -> None:
        self.control.write(f"{self.root}/{path}", content)

    def step(self, history: History, number: int) -> None:
        """One deed, as far as the service lets it. `number`: of this side."""
        deeds = ["write", "write", "append", "delete", "rename", "mkdir", "rmtree", "move_directory"]
        deed = history.dice.choice(deeds)
        history.touched.add(number)
        before = set(history.written)
        try:
            _Deed(self, history, number).do(deed)
        except Refusal as refusal:
            history.tell(number, f"  refused: {refusal}")
            history.written = {content: path for content, path in history.written.items() if content in before}


class _Deed:
    def __init__(self, side: DropboxSide, history: History, number: int) -> None:
        self.control, self.history, self.number = side.control, history, number
        self.top = f"{side.root}/{history.name}"
        self.dice: random.Random = history.dice

    def do(self, deed: str) -> None:
        try:
            there = self.control.list(path=self.top)
        except Refusal:
            there = []
        files = [each["path"] for each in there if each["is"] == "file"]
        folders = [each["path"] for each in there if each["is"] == "folder"]
        place = f"{self.dice.choice([self.top, *folders])}/{self.dice.choice(NAMES)}"
        if deed == "mkdir":
            self.tell(f"mkdir {place}")
            self.control.mkdir(path=place)
        elif deed == "write" or not files:
            self.write(place, self.history.content(_pure(place)))
        elif deed == "append":
            path = self.dice.choice(files)
            self.write(path, self.history.more(_pure(path), self.control.read(path)))
        elif deed == "delete":
            self.delete(self.dice.choice(files))
        elif deed == "rename":
            self.move(self.dice.choice(files), place)
        elif folders and deed == "move_directory":
            self.move(self.dice.choice(folders), place)
        elif folders and self.dice.random() < 0.5:
            self.delete(self.dice.choice(folders))

    def tell(self, what: str) -> None:
        self.history.tell(self.number, what)

    def write(self, path: str, content: bytes) -> None:
        self.tell(f"write {path} {content[:20]!r}")
        replaced = self.control.write(path, content)["replaced"]
        if replaced is not None:
            self.destroyed([replaced])

    def delete(self, path: str) -> None:
        self.tell(f"delete {path}")
        self.destroyed(self.control.delete(path))

    def move(self, source: str, target: str) -> None:
        self.tell(f"move {source} {target}")
        if not target.startswith(source):
            self.control.move(source, target)

    def destroyed(self, hashes: object) -> None:
        gone = set(hashes)  # type: ignore[call-overload]
        for content in self.history.written:
            if content_hash(content) in gone:
                self.tell(f"  that was {content[:20]!r}")
                self.history.destroyed.add(content)


def _pure(path: str) -> PurePosixPath:
    return PurePosixPath(path)
