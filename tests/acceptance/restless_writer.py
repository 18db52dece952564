"""A program that saves without pause in one directory and knows, of every file, what it was told had been saved.

Run as a script: `restless_writer.py DIRECTORY SEED TICKS`. Says {"directory": ...} when it has made its directory, and
reads commands from standard input, one a line:

    go      work until a call fails; print {"errno": ..., "kind": ..., "answered": ...} for the call that failed
    check   compare the directory with what was answered; print {"problems": [...]}
    quit

For each call that was answered, a byte goes to the file descriptor TICKS. Only the standard library is used.
"""

import contextlib
import json
import os
import random
import sys
from collections.abc import Callable

NAMES = [f"file {n:02d}" for n in range(12)]
TEMP = ".saving.tmp"
Judge = Callable[[dict[str, bytes]], str | None]


class Writer:
    def __init__(self, directory: str, seed: int, ticks: int) -> None:
        self.directory, self.dice, self.ticks = directory, random.Random(seed), ticks
        self.answered: dict[str, bytes] = {}
        self.answers = 0
        self.kind = ""
        self.judge: Judge | None = None  # what the call in flight may have left; gives a complaint or None
        self.touched: set[str] = set()  # the names it is about; all others have to be as answered
        os.makedirs(directory, exist_ok=True)

    def path(self, name: str) -> str:
        return os.path.join(self.directory, name)

    def some_bytes(self) -> bytes:
        return self.dice.randbytes(self.dice.choice([0, 1, 100, 4096, 5000, 20_000, 70_000]))

    def go(self) -> None:
        kinds = [
            self.rename_over, self.rename_over, self.rename_over, self.in_place, self.in_place, self.in_place,
            self.truncating, self.append, self.unlink, self.rename,
        ]  # fmt: skip
        try:
            while True:
                operation = self.dice.choice(kinds) if self.answered else self.rename_over
                self.kind = operation.__name__
                operation()
                self.judge, self.touched = None, set()
                self.answers += 1
                os.write(self.ticks, b".")
        except OSError as error:
            report = {"errno": error.errno, "kind": self.kind, "answered": self.answers}
        print(json.dumps(report), flush=True)

    # -- ways of changing; each sets `judge` before the first call that may be cut short -----------------------------

    def begin(self, judge: Judge, *touched: str) -> None:
        self.judge, self.touched = judge, set(touched)

    def put(self, name: str, content: bytes, flags: int) -> None:
        fd = os.open(self.path(name), flags, 0o644)
        try:
            os.write(fd, content)
            if self.dice.random() < 0.1:
                os.fsync(fd)
        except OSError:
            try_close(fd)
            raise
        os.close(fd)

    def rename_over(self) -> None:
        name, new = self.dice.choice(NAMES), self.some_bytes()
        old = self.answered.get(name)
        self.begin(lambda found: None if found.get(name) == old else f"{name}: changed before its rename", name)
        self.put(TEMP, new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        self.begin(lambda found: None if found.get(name) in (old, new) else f"{name}: neither old nor new", name)
        os.rename(self.path(TEMP), self.path(name))
        self.answered[name] = new

    def in_place(self) -> None:
        name = self.existing()
        old = self.answered[name]
        new = bytearray(old)
        patches = []
        for _ in range(self.dice.randrange(1, 5)):
            if old:
                start = self.dice.randrange(len(old))
                patch = self.dice.randbytes(self.dice.randrange(1, 9000))[: len(old) - start]
                new[start : start + len(patch)] = patch
                patches.append((start, patch))
        # Patches may overlap, so at any byte any of them may be the last that arrived.
        allowed = [{byte} for byte in old]
        for start, patch in patches:
            for offset, byte in enumerate(patch, start):
                allowed[offset].add(byte)

        def judge(found: dict[str, bytes]) -> str | None:
            now = found.get(name)
            if now is None or len(now) != len(old):
                return f"{name}: lost or of another size after a rewrite in place"
            return (
                None
                if all(byte in of for byte, of in zip(now, allowed, strict=True))
                else f"{name}: holds bytes never written"
            )

        self.begin(judge, name)
        fd = os.open(self.path(name), os.O_RDWR)
        try:
            for start, patch in patches:
                os.pwrite(fd, patch, start)
        except OSError:
            try_close(fd)
            raise
        os.close(fd)
        self.answered[name] = bytes(new)

    def truncating(self) -> None:
        name, new = self.dice.choice(NAMES), self.some_bytes()
        old = self.answered.get(name)

        def judge(found: dict[str, bytes]) -> str | None:
            now = found.get(name)
            return None if now == old or (now is not None and grown(b"", new, now)) else f"{name}: wrong after O_TRUNC"

        self.begin(judge, name)
        self.put(name, new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        self.answered[name] = new

    def append(self) -> None:
        name, more = self.dice.choice(NAMES), self.some_bytes()
        old = self.answered.get(name)

        def judge(found: dict[str, bytes]) -> str | None:
            now = found.get(name)
            return (
                None
                if now == old or (now is not None and grown(old or b"", more, now))
                else f"{name}: wrong after append"
            )

        self.begin(judge, name)
        self.put(name, more, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.answered[name] = (old or b"") + more

    def unlink(self) -> None:
        name = self.existing()
        old = self.answered[name]
        self.begin(lambda found: None if found.get(name) in (old, None) else f"{name}: wrong after unlink", name)
        os.unlink(self.path(name))
        del self.answered[name]

    def rename(self) -> None:
        source = self.existing()
        target = self.dice.choice([name for name in NAMES if name != source])
        moved, replaced = self.answered[source], self.answered.get(target)

        def judge(found: dict[str, bytes]) -> str | None:
            here, there = found.get(source), found.get(target)
            right = (here, there) in ((moved, replaced), (None, moved))
            return None if right else f"{source} -> {target}: neither done nor undone"

        self.begin(judge, source, target)
        os.rename(self.path(source), self.path(target))
        del self.answered[source]
        self.answered[target] = moved

    def existing(self) -> str:
        return self.dice.choice(sorted(self.answered))

    # -- judging ----------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Complain of everything that was answered and is not so; take what was in flight as it was left."""
        found = {}
        for name in os.listdir(self.directory):
            with open(self.path(name), "rb") as file:
                found[name] = file.read()
        if found.pop(TEMP, None) is not None:
            os.unlink(self.path(TEMP))
        complaint = self.judge(found) if self.judge is not None else None
        problems = [f"in flight: {complaint}"] if complaint else []
        for name in set(found) | set(self.answered):
            if name not in self.touched and found.get(name) != self.answered.get(name):
                was, now = self.answered.get(name), found.get(name)
                problems.append(f"{name}: answered {size(was)}, found {size(now)}")
        self.answered, self.judge, self.touched = found, None, set()
        print(json.dumps({"problems": problems}), flush=True)


def grown(old: bytes, more: bytes, now: bytes) -> bool:
    """Whether `now` is `old` with any part of `more` after it, zeros where nothing had arrived yet."""
    rest = now[len(old) :]
    return (
        now[: len(old)] == old and len(rest) <= len(more) and all(a in (0, b) for a, b in zip(rest, more, strict=False))
    )


def size(content: bytes | None) -> str:
    return "nothing" if content is None else f"{len(content)} bytes"


def try_close(fd: int) -> None:
    with contextlib.suppress(OSError):
        os.close(fd)


def main() -> None:
    writer = Writer(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    print(json.dumps({"directory": writer.directory}), flush=True)
    for line in sys.stdin:
        if line.strip() == "quit":
            return
        {"go": writer.go, "check": writer.check}[line.strip()]()


if __name__ == "__main__":
    main()
