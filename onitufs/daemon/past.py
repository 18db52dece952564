"""Answers what is asked of history: what can be brought back, and bringing it back."""

from collections.abc import AsyncIterator, Callable

import trio

from onitufs.model import errors
from onitufs.model.errors import NoSuchPath
from onitufs.model.files import Kind
from onitufs.model.ids import ROOT_INODE, FileId, InodeNumber
from onitufs.model.versions import DELETED
from onitufs.volume import Volume
from onitufs.volume.history import BRIEF_S, Kept

from .service import Answer
from .telling import moment, path_fields

SLICE = 200  # versions looked at before other tasks get a turn: about 1 ms


class Past:
    """history() and restore() of service.Service. `told`: the kernel is to look a name up again."""

    def __init__(self, volume: Volume, told: Callable[[InodeNumber, bytes], object]) -> None:
        self._volume = volume
        self._history = volume.history
        self._told = told

    async def history(self, path: bytes) -> AsyncIterator[Answer]:
        path = _plain(path)
        found = await self._find(path)
        if not found:
            self._volume.resolve(path)  # raises NoSuchPath
        for at, kept in found:
            yield self._version(at, kept)

    async def restore(self, path: bytes, rev: str | None, to: bytes | None) -> AsyncIterator[Answer]:
        path = _plain(path)
        found = await self._find(path)
        chosen = [(at, kept) for at, kept in found if at == path]
        if rev is not None:
            chosen = [(path, kept) for _, kept in found if kept.rev == rev]
        shown = path.decode(errors="backslashreplace")
        if chosen:
            at, kept = chosen[-1]
            yield self._bring_back(kept, at, path if to is None else _plain(to))
            return
        if rev is not None or to is not None or not found:
            which = "nothing" if rev is None else f"no version {rev}"
            raise NoSuchPath(f"{shown}: {which} of this name is kept: see `onitufs history`")
        newest = {at: kept for at, kept in found if kept.version.why == DELETED}
        for at, kept in newest.items():
            if not self._is_there(at):
                yield self._bring_back(kept, at, at)
                await trio.lowlevel.checkpoint()

    def _version(self, at: bytes, kept: Kept) -> Answer:
        version = kept.version
        keep_s = min(BRIEF_S, self._history.keep_s) if kept.brief else self._history.keep_s
        return path_fields(at) | {
            "rev": kept.rev,
            "size": version.size,
            "modified": moment(version.mtime_ns),
            "ended": moment(version.ended_ns),
            "why": version.why,
            "by": version.by,
            "until": moment(version.ended_ns + int(keep_s * 1e9)),
        }

    async def _find(self, path: bytes) -> list[tuple[bytes, Kept]]:
        """Everything kept of a path and of what is below it, oldest first, with the path that it has now."""
        try:
            file: FileId | None = self._volume.resolve(path)[0]
        except NoSuchPath:
            file = None
        inside = path.rstrip(b"/") + b"/"
        found: list[tuple[bytes, Kept]] = []
        for brief in (False, True):
            after = b""
            while some := self._history.scan(brief=brief, after=after, limit=SLICE):
                for kept in some:
                    at = self._history.path_now(kept.version)
                    if kept.version.file == file:
                        at = path
                    if at == path or at.startswith(inside):
                        found.append((at, kept))
                after = some[-1].key
                await trio.lowlevel.checkpoint()
        return sorted(found, key=lambda one: one[1].ended)

    def _bring_back(self, kept: Kept, at: bytes, to: bytes) -> Answer:
        names = [name for name in to.split(b"/") if name]
        if not names:
            raise NoSuchPath("/: give the path of a file")
        try:
            parent = ROOT_INODE
            for name in names[:-1]:
                parent = self._enter(parent, name)
            if to != at and self._volume.dirent(parent, names[-1]) is not None:
                raise errors.Exists("there is something of this name: choose another one")
            self._volume.restore(kept, parent, names[-1])
        except errors.FileError as error:
            raise NoSuchPath(f"{to.decode(errors='backslashreplace')}: not restored: {error}") from error
        self._told(parent, names[-1])
        return path_fields(to) | {"rev": kept.rev, "size": kept.version.size, "of": path_fields(at)["path"]}

    def _enter(self, parent: InodeNumber, name: bytes) -> InodeNumber:
        """The directory of this name; a new one if there is none."""
        there = self._volume.dirent(parent, name)
        if there is not None:
            if there.kind is not Kind.DIRECTORY:
                raise errors.NotDirectory(f"{name.decode(errors='backslashreplace')} is no directory")
            return there.inode
        above = self._volume.peek(parent)
        made = self._volume.make_directory(parent, name, above.mode & 0o777, above.uid, above.gid)
        self._told(parent, name)
        return made.number

    def _is_there(self, path: bytes) -> bool:
        try:
            self._volume.resolve(path)
        except NoSuchPath:
            return False
        return True


def _plain(path: bytes) -> bytes:
    return b"/" + b"/".join(name for name in path.split(b"/") if name not in (b"", b"."))
