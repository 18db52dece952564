"""Uploads in chunks that have begun and not ended, remembered over restarts: what they are of, and their tokens."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import trio
from blake3 import blake3

from onitufs.model.ids import FileId
from onitufs.model.orders import Put

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
    """Those of one entry: in memory, and each in a file of its own in `directory`.

    `load`, `keep` and `forget` block, and raise OSError; all else is for the loop.
    """

    def __init__(self, directory: Path, now_s: Callable[[], float]) -> None:
        self._directory = directory
        self._now_s = now_s
        # A thread may change it while the loop goes through it: always through a list of it.
        self._known: dict[str, tuple[Begun, float]] = {}  # by token; with when it was last of use, by the wall clock
        self._unwanted: set[str] = set()
        self.woke = trio.Event()
        """Set when something has become unwanted."""

    def load(self) -> None:
        """Read what an earlier run left. What cannot be read is of no use, and is removed."""
        if self._known or not self._directory.is_dir():
            return
        for path in self._directory.iterdir():
            try:
                begun = Begun(**json.loads(path.read_bytes()))
            except (ValueError, TypeError):
                path.unlink(missing_ok=True)
            else:
                self._known[begun.token] = begun, path.stat().st_mtime

    def keep(self, begun: Begun) -> None:
        """Remember it, also over a power cut; or that it is still of use."""
        self._directory.mkdir(parents=True, exist_ok=True)
        path = self._path(begun.token)
        aside = path.with_suffix(".new")
        with aside.open("w", encoding="utf-8") as file:
            json.dump(asdict(begun), file)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
        directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        self._known[begun.token] = begun, self._now_s()

    def forget(self, token: str) -> None:
        """It ended, or nothing is left of it."""
        self._path(token).unlink(missing_ok=True)
        self._known.pop(token, None)
        self._unwanted.discard(token)

    def _path(self, token: str) -> Path:
        return self._directory / f"{blake3(token.encode()).hexdigest(16)}.json"

    # -- for the loop --------------------------------------------------------------------------------------------------

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
