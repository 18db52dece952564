"""Uploads in chunks that have begun and not ended, remembered over restarts: what they are of, and their tokens."""

import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import trio
from blake3 import blake3

from onitufs.model.ids import FileId
from onitufs.model.orders import Put

Run = Callable[..., Awaitable[Any]]

KEPT_S = 7 * 86400.0
"""What nobody has ordered again for so long is removed from the service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """One upload: for the bytes of which generation it is good. `token`: the service's name of it.

    How far it came is not noted: only the service knows what it has.
    """

    token: str
    file: int
    generation: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, order: Put, token: str) -> "Begun":
        return cls(token=token, file=order.file, generation=order.generation, size=order.size, mtime_ns=order.mtime_ns)

    def is_for(self, order: Put) -> bool:
        """Whether what was sent are bytes of this order."""
        return self == Begun.of(order, self.token)


class BegunUploads:
    """Those of one entry: in memory, and each in a file of its own in `directory`. For the loop only.

    `run`: makes the calls that block, in a thread. `load`, `keep` and `forget` raise OSError.
    """

    def __init__(self, directory: Path, now_s: Callable[[], float]) -> None:
        self._directory = directory
        self._now_s = now_s
        # A thread may change it while the loop goes through it: always through a list of it.
        self._known: dict[str, tuple[Begun, float]] = {}  # by token; with when it was last of use, by the wall clock
        self._unwanted: set[str] = set()
        self._loaded = False
        self.woke = trio.Event()
        """Set when something has become unwanted."""

    async def load(self, run: Run) -> None:
        """Read what an earlier run left, once. What cannot be read is of no use, and is removed."""
        if not self._loaded:
            found = await run(_read_all, self._directory)
            self._known = {begun.token: (begun, used_s) for begun, used_s in found} | self._known
            self._loaded = True

    async def keep(self, run: Run, begun: Begun) -> None:
        """Remember it, also over a power cut; or that it is still of use."""
        await run(_write, self._path(begun.token), json.dumps(asdict(begun)))
        self._known[begun.token] = begun, self._now_s()

    async def forget(self, run: Run, token: str) -> None:
        """It ended, or nothing is left of it."""
        await run(_remove, self._path(token))
        self._known.pop(token, None)
        self._unwanted.discard(token)

    def _path(self, token: str) -> Path:
        return self._directory / f"{blake3(token.encode()).hexdigest(16)}.json"

    def find(self, order: Put) -> Begun | None:
        """The upload that an order can go on with. Others of its file are unwanted from now on."""
        found = None
        for begun, _ in list(self._known.values()):  # a thread may add one
            if begun.file == order.file and begun.token not in self._unwanted:
                if found is None and begun.is_for(order):
                    found = begun
                else:
                    self.unwant(begun.token)
        return found

    def unwant(self, token: str) -> None:
        """It is to be removed from the service."""
        self._unwanted.add(token)
        self.woke.set()

    def unwant_all(self, file: FileId) -> None:
        """No upload of this file is of any use."""
        for begun, _ in list(self._known.values()):  # a thread may add one
            if begun.file == file:
                self.unwant(begun.token)

    def to_abort(self, pending: Callable[[FileId], bool]) -> list[str]:
        """Tokens of what is unwanted, or was of no use for long. `pending`: whether an order of the file is known."""
        before_s = self._now_s() - KEPT_S
        self.woke = trio.Event()
        return [
            token
            for token, (begun, used_s) in list(self._known.items())
            if token in self._unwanted or (used_s < before_s and not pending(FileId(begun.file)))
        ]


def _read_all(directory: Path) -> list[tuple[Begun, float]]:
    found = []
    for path in directory.iterdir() if directory.is_dir() else ():
        try:
            found.append((Begun(**json.loads(path.read_bytes())), path.stat().st_mtime))
        except (ValueError, TypeError):
            path.unlink(missing_ok=True)
    return found


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".new")
    with aside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
