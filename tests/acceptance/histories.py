"""Random histories on both sides of a mount, and what must be true after them. Shares no code with OnituFS.

Each history works in a directory of its own, in the mount and in the entries' folders. Every write makes a content that
was never there before. A content is destroyed when somebody overwrites or deletes a file in which he can see it; that
is looked up on the open file that the deed was done to. What was written and never destroyed has to be in the mount in
the end, under whichever name.
"""

import contextlib
import ctypes
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

NAMES = ["f", "g", "n.pdf", "h.pdf", "x", "d"]
SIZES = [0, 10, 3000, 40_000]  # what is above 20,000 is "large" for the rules

AT_FDCWD = -100
RENAME_NOREPLACE = 1
_libc = ctypes.CDLL(None, use_errno=True)

Deed = Callable[[Path], None]


@dataclass
class History:
    """One directory's story. `sides`: the mount first, then the entries' folders."""

    name: str
    sides: list[Path]
    dice: random.Random
    written: dict[bytes, str] = field(default_factory=dict)
    destroyed: set[bytes] = field(default_factory=set)
    story: list[str] = field(default_factory=list)
    touched: set[int] = field(default_factory=set)  # sides on which something was done

    def step(self, sides: list[int]) -> None:
        """One deed on one of these sides, as far as the file system lets it."""
        number = self.dice.choice(sides)
        side = self.sides[number] / self.name
        side.mkdir(parents=True, exist_ok=True)
        deed = self.dice.choice(self.deeds())
        self.touched.add(number)
        before = set(self.written)
        try:
            deed(side)
        except OSError as error:  # the program knows that it was not saved
            self.tell(number, f"  refused: {error}")
            self.written = {content: path for content, path in self.written.items() if content in before}

    def deeds(self) -> list[Deed]:
        """What may be done next, the likelier the more often it is named."""
        deeds = [self.write, self.write, self.replace, self.append, self.delete, self.rename, self.mkdir]
        return [*deeds, self.rmtree, self.move_directory]

    def tell(self, where: object, what: str) -> None:
        self.story.append(f"{where}: {what}")

    # -- where -------------------------------------------------------------------------------------------------------

    def walk(self, side: Path) -> Iterator[tuple[Path, bool]]:
        for base, directories, names in os.walk(side):
            yield from ((Path(base) / name, True) for name in sorted(directories))
            yield from ((Path(base) / name, False) for name in sorted(names))

    def files(self, side: Path) -> list[Path]:
        return [path for path, is_directory in self.walk(side) if not is_directory]

    def directories(self, side: Path) -> list[Path]:
        return [path for path, is_directory in self.walk(side) if is_directory]

    def place(self, side: Path) -> Path:
        return self.dice.choice([side, *self.directories(side)]) / self.dice.choice(NAMES)

    def content(self, path: Path) -> bytes:
        size = self.dice.choice(SIZES)
        content = f"{self.name} {len(self.written)} {path.name}\n".encode()
        content += self.dice.randbytes(size)
        self.written[content] = str(path)
        return content

    # -- deeds -------------------------------------------------------------------------------------------------------

    def write(self, side: Path) -> None:
        path = self.place(side)
        content = self.content(path)
        self.tell(side, f"write {path} {content[:20]!r}")
        with self.over(path) as over:
            temp = path.with_name(f"{path.name}.saving{len(self.story)}")
            temp.write_bytes(content)
            try:
                rename(temp, path, replace=over.saw)
            except OSError:
                temp.unlink()
                raise

    def replace(self, side: Path) -> None:
        """Overwrite in place."""
        files = self.files(side)
        if not files:
            return
        path = self.dice.choice(files)
        content = self.content(path)
        self.tell(side, f"overwrite {path} {content[:20]!r}")
        with open(path, "r+b") as file:
            self.destroyed.add(file.read())
            file.seek(0)
            file.truncate()
            file.write(content)

    def append(self, side: Path) -> None:
        files = self.files(side)
        if not files:
            return
        path = self.dice.choice(files)
        with open(path, "r+b") as file:
            before = file.read()
            more = self.dice.randbytes(8)
            self.tell(side, f"append to {path} {before[:20]!r} {more!r}")
            self.destroyed.add(before)
            self.written[before + more] = str(path)
            file.write(more)

    def delete(self, side: Path) -> None:
        files = self.files(side)
        if files:
            path = self.dice.choice(files)
            self.tell(side, f"delete {path}")
            with self.over(path):
                os.unlink(path)

    def rename(self, side: Path) -> None:
        files = self.files(side)
        if files:
            source, target = self.dice.choice(files), self.place(side)
            self.tell(side, f"rename {source} {target}")
            if source != target:
                with self.over(target) as over:
                    rename(source, target, replace=over.saw)

    def move_directory(self, side: Path) -> None:
        directories = self.directories(side)
        if directories:
            source, target = self.dice.choice(directories), self.place(side)
            self.tell(side, f"move {source} {target}")
            if not target.exists():
                os.rename(source, target)

    def mkdir(self, side: Path) -> None:
        path = self.place(side)
        self.tell(side, f"mkdir {path}")
        path.mkdir()

    def rmtree(self, side: Path) -> None:
        directories = self.directories(side)
        if directories and self.dice.random() < 0.5:
            path = self.dice.choice(directories)
            self.tell(side, f"remove {path}")
            for file in self.files(path):
                with self.over(file):
                    os.unlink(file)
            with contextlib.suppress(OSError):  # somebody put something there meanwhile
                for directory in [*reversed(self.directories(path)), path]:
                    directory.rmdir()

    def over(self, path: Path) -> "_Over":
        return _Over(self, path)


class Removals(History):
    """A history in which whole directories move again and again, also into one another."""

    def deeds(self) -> list[Deed]:
        moves = [self.move_directory] * 5
        return [*moves, *[self.write] * 3, *[self.mkdir, self.rename] * 2, self.rmtree, self.delete, self.replace]


def rename(source: Path, target: Path, *, replace: bool) -> None:
    """renameat2(2), which Python does not have. Raises OSError."""
    flags = 0 if replace else RENAME_NOREPLACE
    if _libc.renameat2(AT_FDCWD, os.fsencode(source), AT_FDCWD, os.fsencode(target), flags):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), source, None, target)


class _Over:
    """Around a deed that gives a name to something else, or takes it away: notes which content went with it.

    `saw`: there was something. Who saw nothing is to replace nothing, whatever comes meanwhile.
    """

    def __init__(self, history: History, path: Path) -> None:
        self.history, self.path = history, path
        self.file = None

    @property
    def saw(self) -> bool:
        return self.file is not None

    def __enter__(self) -> "_Over":
        with contextlib.suppress(FileNotFoundError):
            self.file = open(self.path, "rb")
            self.before = self.file.read()
        return self

    def __exit__(self, *raised: object) -> None:
        if self.file is None:
            return
        with self.file:
            if os.fstat(self.file.fileno()).st_nlink == 0:
                self.history.destroyed.add(self.before)
            elif raised[0] is None:  # another one had the name by then: whichever, it cannot be told
                self.history.tell(self.path, "it was another file by then")
                self.history.destroyed |= {
                    content for content, path in self.history.written.items() if path.endswith(self.path.name)
                }
