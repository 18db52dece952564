"""The handlers of local_storage."""

import os
import stat
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path

from onitufs.drivers.handlers import PRIVATE, Found, Gear, RemotePath, Sighted, Upload, shown
from onitufs.model.copies import RemoteState
from onitufs.model.errors import Conflict, DriverError, Gone, NeedsPerson, ServiceError
from onitufs.model.files import Kind, kind_of
from onitufs.model.source import Source

from . import marker
from .answering import answering, meaning
from .options import LocalStorageOptions
from .placing import Placer, sync_files
from .reading import Reader, found_of
from .syscalls import Status
from .trash import Trash
from .tree import Directories, Tree, fstat, lstat, open_private, rev_of, same_object, state_of, sync_directory

SOONEST_S = 1.0
"""How often everything is looked through at most."""


class LocalStorage:
    """A directory. Repeating any handler is safe."""

    placer = Placer

    def __init__(self, options: LocalStorageOptions, gear: Gear) -> None:
        self._options = options
        self._root = options.root
        self._gear = gear
        self._opened: Tree | None = None
        self._trash: Trash
        self._placer: Placer
        self._reader: Reader
        self._identity = ""
        self._lock = -1

    # -- life ---------------------------------------------------------------------------------------------------------

    def connect(self) -> str:
        expected = self._gear.identity
        with answering(self._root):
            if expected is None:
                self._make_root()
            elif not os.path.isdir(os.fsencode(self._root) + b"/" + PRIVATE):
                self._look(expected)
            self._opened = tree = Tree(self._root)
            self._lock = marker.lock(tree)
            found = marker.read(tree.private, self._root)
            marker.verify(found, expected, self._root)
            tree.clear_temps()
            tree.try_writing()
            self._trash = Trash(tree, self._options.trash_days, self._gear.now_s)
            self._reader = Reader(tree, self._gear.check_cancelled)
            self._placer = self.placer(tree, self._trash, self._gear.check_cancelled)
            self._identity = found if found is not None else marker.make(tree)
            return self._identity

    def close(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def probe(self) -> None:
        with answering(self._root):
            self._look(self._gear.identity)
            place = self._root if os.path.lexists(self._root) else self._root.parent
            if not os.access(place, os.W_OK | os.X_OK, effective_ids=True):
                raise NeedsPerson(f"{place} is not writable; give the user who runs OnituFS the right to write there")

    def _look(self, expected: str | None) -> None:
        """Raises what connect would have to say, but makes nothing."""
        try:
            fd = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError as exc:
            if expected is not None:
                raise NeedsPerson(f"{self._root} is not there; is its disk mounted?") from exc
            if not self._options.create:
                raise NeedsPerson(f"{self._root} is not there; make it, or set the option create") from exc
            if not self._root.parent.is_dir():
                raise NeedsPerson(f"{self._root.parent} is not there; make it, or correct the root") from exc
            return
        except NotADirectoryError as exc:
            raise NeedsPerson(f"{self._root} is not a directory; correct the root") from exc
        try:
            private = open_private(fd, PRIVATE, self._root)
        except FileNotFoundError:
            found = None
        else:
            try:
                found = marker.read(private, self._root)
            finally:
                os.close(private)
        finally:
            os.close(fd)
        marker.verify(found, expected, self._root)

    def _make_root(self) -> None:
        self._look(None)
        if not os.path.lexists(self._root):
            os.mkdir(self._root, 0o755)
            above = os.open(self._root.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                sync_directory(above)
            finally:
                os.close(above)

    def _tree(self) -> Tree:
        if self._opened is None:
            raise ServiceError(f"{self._root} is not open")
        self._opened.check()
        return self._opened

    def tend(self) -> bool:
        self._tree()
        with answering(self._root):
            return self._trash.clean()

    # -- looking ------------------------------------------------------------------------------------------------------

    def stat(self, path: RemotePath) -> Found | None:
        if not path:
            return self._stat_root()
        with self._tree().directories() as directories:
            found = self._standing(directories, path)
        if found is None:
            self._stat_root()  # still what it was, so what is not found is not there
        return found

    def free_space(self) -> tuple[int, int | None]:
        return self._tree().space()

    def stat_many(self, paths: Sequence[RemotePath]) -> list[Found | DriverError | None]:
        answers: list[Found | DriverError | None] = []
        with self._tree().directories() as directories:
            for path in paths:
                try:
                    answers.append(self._standing(directories, path) if path else self._stat_root())
                except DriverError as exc:
                    answers.append(exc)
        if any(answer is None for answer in answers):
            self._stat_root()
        return answers

    def _standing(self, directories: Directories, path: RemotePath) -> Found | None:
        with answering(self._root, path):
            try:
                directory = directories.fd(path[:-1])
                found = lstat(path[-1], directory)
                return None if found is None else found_of(found, path[-1], directory)
            except (FileNotFoundError, NotADirectoryError):
                return None

    def _stat_root(self) -> Found:
        """Raises ServiceError or NeedsPerson if the root is not the place any more that it was, or lost its mark."""
        tree = self._tree()
        with answering(self._root):
            self._look(self._identity)
            return found_of(fstat(tree.fd))

    def list_directory(self, path: RemotePath) -> list[tuple[bytes, Found]]:
        tree = self._tree()
        with tree.directories() as directories:
            found = self._reader.names(directories, path)
        self._stat_root()  # still what it was, so what is not in the list is not there
        return found

    def digest(self, path: RemotePath) -> bytes:
        tree = self._tree()
        with tree.directories() as dirs, self._reader.opened(dirs, path) as fd, answering(self._root, path):
            return self._placer.hash(fd)

    def get_chunk(self, path: RemotePath, rev: str, offset: int, length: int) -> bytes:
        tree = self._tree()
        with tree.directories() as dirs, self._reader.opened(dirs, path, rev) as fd, answering(self._root, path):
            return self._reader.chunk(fd, offset, length)

    def get_file(self, path: RemotePath, rev: str, fd: int, tick: Callable[[int], None]) -> bytes:
        tree = self._tree()
        with tree.directories() as directories, self._reader.opened(directories, path, rev) as source:
            return self._reader.copy(source, fd, tick, path)

    async def watch(self, cursor: str | None, tell: Callable[[Sighted], Awaitable[None]]) -> None:
        from .watching import poll, watch  # with a library that nothing else needs

        del cursor  # the kernel remembers nothing: the first that is told is everything
        tree = await self._gear.run(self._tree)
        every = self._options.watch
        with answering(self._root):
            if isinstance(every, str):
                await watch(tree, self._gear, self._stat_root, tell)
            else:
                await poll(max(every, SOONEST_S), self._gear, self._stat_root, tell)

    # -- placing ------------------------------------------------------------------------------------------------------

    def make_directory(self, path: RemotePath, mode: int) -> tuple[RemoteState, bool]:
        tree = self._tree()
        with answering(self._root, path), tree.directories() as directories:
            directory = directories.fd(path[:-1])
            made = False
            try:
                os.mkdir(path[-1], 0o700, dir_fd=directory)
                made = True
            except FileExistsError:
                pass
            found = lstat(path[-1], directory)
            if found is None or not stat.S_ISDIR(found.st_mode):
                raise Conflict(f"{shown(path)} in {self._root} is not a directory")
            if made:
                with suppress(PermissionError):  # a directory of our own: then it is the disk that keeps no modes
                    os.fchmod(directories.fd(path), mode | 0o700)  # we must be able to place what belongs in it
                found = fstat(directories.fd(path))
                sync_directory(directory)
            return state_of(found), made

    def upload_file(self, upload: Upload, source: Source) -> RemoteState:
        tree = self._tree()
        with answering(self._root, upload.path), tree.directories() as directories, tree.temp() as (fd, name):
            digest = self._placer.fill(fd, upload, source)
            os.fsync(fd)
            self._placer.place(directories, name, upload.path, upload.base)
            directories.sync()
            return state_of(fstat(fd), digest)

    def upload_batch(self, uploads: Sequence[tuple[Upload, Source]]) -> list[RemoteState | DriverError]:
        tree = self._tree()
        answers: list[RemoteState | DriverError | None] = [None] * len(uploads)
        temps: dict[int, tuple[int, bytes, bytes]] = {}
        try:
            for number, (upload, source) in enumerate(uploads):
                try:
                    name = tree.temp_name()
                    fd = tree.open_temp(name)
                    temps[number] = fd, name, b""
                    temps[number] = fd, name, self._placer.fill(fd, upload, source)
                except (OSError, DriverError) as exc:
                    answers[number] = _answer(exc, self._root, upload.path)
            with answering(self._root):
                sync_files([fd for number, (fd, _, _) in temps.items() if answers[number] is None])
            with tree.directories() as directories:
                placed = []
                for number, (fd, name, digest) in temps.items():
                    upload = uploads[number][0]
                    if answers[number] is not None:
                        continue
                    try:
                        self._placer.place(directories, name, upload.path, upload.base)
                        placed.append(number)
                        answers[number] = state_of(fstat(fd), digest)
                    except (OSError, DriverError) as exc:
                        answers[number] = _answer(exc, self._root, upload.path)
                with answering(self._root):
                    directories.sync()
            for number in placed:
                os.close(temps.pop(number)[0])
        finally:
            for fd, name, _ in temps.values():
                os.close(fd)
                tree.discard(name)
        return [answer for answer in answers if answer is not None]

    def make_symlink(self, path: RemotePath, target: bytes, mtime_ns: int, base: str | None) -> RemoteState:
        tree = self._tree()
        with answering(self._root, path), tree.directories() as directories:
            name = tree.temp_name()
            os.symlink(target, name, dir_fd=tree.tmp)
            try:
                os.utime(name, ns=(mtime_ns, mtime_ns), dir_fd=tree.tmp, follow_symlinks=False)
                made = lstat(name, tree.tmp)
                assert made is not None
                self._placer.place(directories, name, path, base)
            except BaseException:
                tree.discard(name)
                raise
            directories.sync()
            found = lstat(path[-1], directories.fd(path[:-1]))
            if not same_object(found, rev_of(made)) or found is None:
                raise Conflict(f"{shown(path)} in {self._root} was changed at once")
            return state_of(found)

    # -- moving and removing ------------------------------------------------------------------------------------------

    def move_file(self, path: RemotePath, rev: str, kind: Kind, to: RemotePath, replaces: str | None) -> RemoteState:
        tree = self._tree()
        with answering(self._root, path), tree.directories() as directories:
            source, target = directories.fd(path[:-1]), directories.fd(to[:-1])
            here, there = lstat(path[-1], source), lstat(to[-1], target)
            if here is None:
                if there is not None and same_object(there, rev):
                    return state_of(there)
                raise Gone(f"{shown(path)} is not in {self._root}")
            if not _expected(here, rev, kind):
                raise Conflict(f"{shown(path)} in {self._root} is not what was placed there")
            if path == to:
                return state_of(here)
            directories.changed(source)
            directories.changed(target)
            if there is None:
                _rename_new(tree, path, source, to, target)
            elif replaces is None or not (replaces == "" or _expected(there, replaces, kind_of(there.st_mode))):
                raise Conflict(f"{shown(to)} in {self._root} is not what was placed there")
            elif stat.S_ISDIR(there.st_mode):
                os.rmdir(to[-1], dir_fd=target)  # ENOTEMPTY is a Conflict
                _rename_new(tree, path, source, to, target)
            else:
                self._placer.replace(directories, path[-1], source, to, there)
            directories.sync()
            moved = lstat(to[-1], target)
            if moved is None or not same_object(moved, rev_of(here)):
                raise Conflict(f"{shown(to)} in {self._root} was changed at once")
            return state_of(moved)

    def delete_file(self, path: RemotePath, rev: str) -> None:
        tree = self._tree()
        with answering(self._root, path), tree.directories() as directories:
            try:
                directory = directories.fd(path[:-1])
            except (FileNotFoundError, NotADirectoryError):
                return
            here = lstat(path[-1], directory)
            if here is None:
                return
            if rev_of(here) != rev or stat.S_ISDIR(here.st_mode):
                raise Conflict(f"{shown(path)} in {self._root} is not what was placed there")
            slot, where = self._trash.take(directories, path[-1], directory, path)
            if not same_object(lstat(slot, where), rev):
                tree.rename_new(slot, where, path[-1], directory)
                raise Conflict(f"{shown(path)} in {self._root} was changed meanwhile")
            sync_directory(directory)

    def remove_directory(self, path: RemotePath, rev: str) -> bool:
        tree = self._tree()
        with answering(self._root, path), tree.directories() as directories:
            try:
                directory = directories.fd(path[:-1])
            except (FileNotFoundError, NotADirectoryError):
                return True
            here = lstat(path[-1], directory)
            if here is None:
                return True
            if not _expected(here, rev, Kind.DIRECTORY):
                return False
            try:
                os.rmdir(path[-1], dir_fd=directory)
            except FileNotFoundError:
                return True
            except OSError as exc:
                if isinstance(meaning(exc, self._root, path), Conflict):
                    return False  # not empty
                raise
            sync_directory(directory)
            return True

    def set_attributes(self, path: RemotePath, rev: str, kind: Kind, mode: int, mtime_ns: int) -> RemoteState:
        tree = self._tree()
        with answering(self._root, path), tree.directories() as directories:
            directory = directories.fd(path[:-1])
            fd = os.open(path[-1], os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
            try:
                if not _expected(fstat(fd), rev, kind):
                    raise Conflict(f"{shown(path)} in {self._root} is not what was placed there")
                if kind is Kind.SYMLINK:
                    os.utime(path[-1], ns=(mtime_ns, mtime_ns), dir_fd=directory, follow_symlinks=False)
                elif kind is Kind.DIRECTORY:  # its time is that of what was last done in it
                    os.chmod(f"/proc/self/fd/{fd}", mode | 0o700)
                else:
                    opened = f"/proc/self/fd/{fd}"  # this very object, whatever the name leads to by now
                    os.chmod(opened, mode)
                    os.utime(opened, ns=(mtime_ns, mtime_ns))
                return state_of(fstat(fd))
            finally:
                os.close(fd)


def _expected(found: Status, rev: str, kind: Kind) -> bool:
    if kind_of(found.st_mode) is not kind:
        return False
    if kind is Kind.DIRECTORY:  # with whatever mode, and whatever is in it
        return rev == "" or same_object(found, rev)
    return rev_of(found) == rev


def _answer(exc: OSError | DriverError, root: Path, path: RemotePath) -> DriverError:
    return meaning(exc, root, path) if isinstance(exc, OSError) else exc


def _rename_new(tree: Tree, path: RemotePath, source: int, to: RemotePath, target: int) -> None:
    try:
        tree.rename_new(path[-1], source, to[-1], target)
    except FileExistsError as exc:
        raise Conflict(f"{shown(to)} in {tree.root} has just been made by somebody else") from exc
