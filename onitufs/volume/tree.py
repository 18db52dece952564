"""The names: directories, links and attributes, each change one journal record.

Every method is synchronous and atomic: it either commits its whole record or changes nothing. Errors are
model.errors.FileError; an OSError means that the journal could not be written. Semantics: POSIX rename(), link(),
unlink(), and rename(2) for the flags; permission checks are the kernel's (default_permissions).
"""

import logging
import stat
from collections.abc import Callable, Iterable

from onitufs.catalog import keys
from onitufs.catalog.records import (
    Unsettled,
    inode_of_dirent,
    pack_dirent,
    pack_inode,
    pack_name,
    pack_unsettled,
    pack_value,
    unpack_dirent,
    unpack_inode,
    unpack_name,
    unpack_value,
)
from onitufs.catalog.store import Catalog
from onitufs.model import errors
from onitufs.model.files import Dirent, Inode, Kind, Name, kind_of
from onitufs.model.ids import ROOT_FILE, ROOT_INODE, ContentId, FileId, GenerationId, InodeNumber
from onitufs.model.names import NAME_MAX
from onitufs.model.versions import DELETED, REPLACED

from . import clock
from .history import History

LINK_MAX = 65000  # as ext4; each name is kept in the inode's record
LIVE_MAX = 20_000  # live inodes, at about 500 bytes each, that are kept without need

Changes = dict[bytes, bytes | None]

log = logging.getLogger(__name__)


class Tree:
    """The namespace over a Catalog. Keeps one live Inode object for each inode that somebody holds.

    `changed` is called after each commit for each file id that became unsettled and why, `subtree_changed` for each
    directory below which everything is to be asked again: one that was renamed, where `rename_matters` (given the old
    and the new path) says that what is below may belong elsewhere now. None of them may raise.
    """

    def __init__(self, catalog: Catalog, *, owner: tuple[int, int], now_ns: Callable[[], int] = clock.now_ns) -> None:
        self.catalog = catalog
        self.now_ns = now_ns
        self.changed: Callable[[FileId, str], None] = lambda file, why: None
        self.subtree_changed: Callable[[InodeNumber], None] = lambda directory: None
        self.rename_matters: Callable[[bytes, bytes], bool] = lambda old, new: True
        self._live: dict[InodeNumber, Inode] = {}
        self._paths: dict[InodeNumber, bytes] = {}  # of directories; emptied when one of them moves
        if catalog.get(keys.inode(ROOT_INODE)) is None:
            self._plant(owner)
        self.files = self.directories = self.unsettled = self.only_here = 0
        self.history = History(catalog, self, now_ns)
        self._read_counts()
        self._xattrs = bool(catalog.scan(keys.XATTR, limit=1))

    def _plant(self, owner: tuple[int, int]) -> None:
        now = self.now_ns()
        root = Inode(
            number=ROOT_INODE, mode=stat.S_IFDIR | 0o755, uid=owner[0], gid=owner[1], nlink=2,
            atime_ns=now, mtime_ns=now, ctime_ns=now, files=(ROOT_FILE,), parent=ROOT_INODE,
        )  # fmt: skip
        name = Name(ROOT_INODE, b"", ROOT_INODE, Kind.DIRECTORY)
        self.catalog.commit({keys.inode(ROOT_INODE): pack_inode(root), keys.name(ROOT_FILE): pack_name(name)})

    # -- reading ---------------------------------------------------------------------------------------------------

    def inode(self, number: InodeNumber) -> Inode:
        """The live inode. Raises NoInode."""
        live = self._live.get(number)
        if live is None:
            live = self._live[number] = self.peek(number)
        return live

    def peek(self, number: InodeNumber) -> Inode:
        """The inode, for reading only: does not make it live. Raises NoInode."""
        live = self._live.get(number)
        if live is not None:
            return live
        value = self.catalog.get(keys.inode(number))
        if value is None:
            raise errors.NoInode(f"no inode {number}")
        return unpack_inode(value)

    def dirent(self, parent: InodeNumber, name: bytes) -> Dirent | None:
        """What the directory holds under this name. Raises NameTooLong."""
        if len(name) > NAME_MAX:
            raise errors.NameTooLong(f"name of {len(name)} bytes: at most {NAME_MAX} are allowed")
        value = self.catalog.get(keys.dirent(parent, name))
        return None if value is None else unpack_dirent(value)

    def lookup(self, parent: InodeNumber, name: bytes) -> Inode | None:
        """The live inode under a name, or None. Raises NameTooLong."""
        found = self.dirent(parent, name)
        return None if found is None else self.inode(found.inode)

    def list_directory(self, number: InodeNumber, after: bytes = b"", limit: int = 1000) -> list[tuple[bytes, Dirent]]:
        """Up to `limit` names of a directory that sort after `after`, in byte order."""
        prefix = keys.dirents(number)
        rows = self.catalog.scan(prefix, prefix + after, limit)
        return [(key[len(prefix) :], unpack_dirent(value)) for key, value in rows]

    def list_inodes(self, number: InodeNumber, after: bytes, limit: int) -> list[tuple[bytes, Inode | None]]:
        """As list_directory, but with the inodes as peek() gives them; None is damage: a name that leads nowhere."""
        prefix = keys.dirents(number)
        start, live = len(prefix), self._live
        return [
            (key[start:], live.get(child := inode_of_dirent(value)) or self._perhaps(child))
            for key, value in self.catalog.scan(prefix, prefix + after, limit)
        ]

    def _perhaps(self, number: InodeNumber) -> Inode | None:
        try:
            return self.peek(number)
        except errors.NoInode:
            log.exception("a directory entry leads nowhere")
            return None

    def name(self, file: FileId) -> Name | None:
        """Where a file id stands, also for a tombstone."""
        value = self.catalog.get(keys.name(file))
        return None if value is None else unpack_name(value)

    def directory_path(self, number: InodeNumber) -> bytes:
        """Absolute path of a directory in the mount, without a slash at the end: b"" is the root. Raises NoEntry."""
        known = self._paths.get(number)
        if known is not None:
            return known
        names: list[bytes] = []
        at = number
        while at != ROOT_INODE:
            known = self._paths.get(at)
            if known is not None:
                names.append(known[1:])
                break
            inode = self.peek(at)
            name = self.name(inode.files[0]) if inode.files else None
            if name is None:
                raise errors.NoEntry(f"directory {number} has no path")
            names.append(name.name)
            at = inode.parent
        path = b"".join(b"/" + part for part in reversed(names))
        if len(self._paths) > 10_000:
            self._paths.clear()
        self._paths[number] = path
        return path

    def path(self, file: FileId) -> bytes | None:
        """Absolute path of a file id in the mount (of a tombstone: the last one). None where it cannot be told."""
        if file == ROOT_FILE:
            return b"/"
        name = self.name(file)
        if name is None:
            return None
        try:
            return self.directory_path(name.parent) + b"/" + name.name
        except errors.NoEntry:
            return None

    def shown(self, file: FileId) -> str:
        """path(), for people."""
        return (self.path(file) or b"?").decode(errors="backslashreplace")

    def resolve(self, path: bytes) -> tuple[FileId, Inode]:
        """The file id and inode at an absolute path in the mount. Raises NoSuchPath."""
        file, inode = ROOT_FILE, self.peek(ROOT_INODE)
        for part in path.split(b"/"):
            if part in (b"", b"."):
                continue
            found = self.dirent(inode.number, part)
            if found is None:
                raise errors.NoSuchPath(f"no such file in the mount: {path.decode(errors='backslashreplace')}")
            file, inode = found.file, self.peek(found.inode)
        return file, inode

    # -- committing ------------------------------------------------------------------------------------------------

    def _commit(self, changes: Changes, *inodes: Inode) -> None:
        """Append one record with `changes` and these inodes. If that fails nothing has changed, nor have they."""
        for inode in inodes:
            changes[keys.inode(inode.number)] = pack_inode(inode)
        try:
            self.catalog.commit(changes)
        except BaseException:
            self._restore(inodes)
            raise

    def _read_counts(self) -> None:
        counts = self.catalog.get(keys.meta("counts"))
        if counts:
            self.files, self.directories, self.unsettled, self.only_here = unpack_value(counts)
        self.history.read_counts()

    def _restore(self, inodes: Iterable[Inode]) -> None:
        self._read_counts()
        for inode in inodes:
            value = self.catalog.get(keys.inode(inode.number))
            if value is None:
                self._live.pop(inode.number, None)
                continue
            stored = unpack_inode(value)
            for field in Inode.__slots__:
                setattr(inode, field, getattr(stored, field))

    def _count(self, changes: Changes, files: int = 0, directories: int = 0) -> None:
        self.files += files
        self.directories += directories
        changes[keys.meta("counts")] = pack_value((self.files, self.directories, self.unsettled, self.only_here))

    def mark(self, changes: Changes, file: FileId, why: str) -> None:
        """Add to `changes` that this file is to be looked at. Its counter goes with it."""
        key = keys.unsettled(file)
        if key not in changes and self.catalog.get(key) is None:
            self.unsettled += 1
            self._count(changes)
        changes[key] = pack_unsettled(Unsettled(why, self.now_ns()))

    def settle(self, changes: Changes, file: FileId) -> None:
        """Add to `changes` that nothing is left to do for this file."""
        key = keys.unsettled(file)
        if changes.get(key) is not None or (key not in changes and self.catalog.get(key) is not None):
            self.unsettled -= 1
            self._count(changes)
        changes[key] = None

    def note_only_here(self, changes: Changes, file: FileId, *, only_here: bool) -> None:
        """Add to `changes` whether the rules place this file nowhere. Its counter goes with it."""
        key = keys.local(file)
        known = changes.get(key, self.catalog.get(key)) is not None
        if known != only_here:
            self.only_here += 1 if only_here else -1
            self._count(changes)
            changes[key] = b"" if only_here else None

    # -- making ----------------------------------------------------------------------------------------------------

    def _parent(self, number: InodeNumber) -> Inode:
        parent = self.inode(number)
        if not stat.S_ISDIR(parent.mode):
            raise errors.NotDirectory(f"inode {number} is no directory")
        if parent.nlink == 0:
            raise errors.NoEntry(f"directory {number} was removed")
        return parent

    def _new_name(self, parent: InodeNumber, name: bytes) -> Inode:
        if self.dirent(parent, name) is not None:
            raise errors.Exists(f"{name!r} exists already")
        return self._parent(parent)

    def _add(
        self, changes: Changes, parent: Inode, name: bytes, mode: int, uid: int, gid: int, **more: int | bytes
    ) -> Inode:
        """A new inode under a new name: its values and its parent's, not committed yet. Its ids are the next seq."""
        seq, now = self.catalog.next_seq, self.now_ns()
        if parent.mode & stat.S_ISGID:
            gid = parent.gid
            if stat.S_ISDIR(mode):
                mode |= stat.S_ISGID
        number, file, kind = InodeNumber(seq), FileId(seq), kind_of(mode)
        inode = Inode(
            number=number, mode=mode, uid=uid, gid=gid, nlink=1, atime_ns=now, mtime_ns=now, ctime_ns=now,
            files=(file,), **more,  # type: ignore[arg-type]
        )  # fmt: skip
        parent.mtime_ns = parent.ctime_ns = now
        changes[keys.dirent(parent.number, name)] = pack_dirent(Dirent(number, file, kind))
        changes[keys.name(file)] = pack_name(Name(parent.number, name, number, kind))
        if kind is Kind.DIRECTORY:
            inode.nlink, inode.parent = 2, parent.number
            parent.nlink += 1
            self._count(changes, directories=1)
        elif kind is not Kind.SPECIAL:
            self._count(changes, files=1)
        return inode

    def _make(
        self, parent: InodeNumber, name: bytes, mode: int, uid: int, gid: int, why: str, **more: int | bytes
    ) -> Inode:
        changes: Changes = {}
        above = self._new_name(parent, name)
        inode = self._add(changes, above, name, mode, uid, gid, **more)
        if why:
            self.mark(changes, inode.files[0], why)
        self._commit(changes, inode, above)
        self._live[inode.number] = inode
        if why:
            self.changed(inode.files[0], why)
        return inode

    def make_directory(self, parent: InodeNumber, name: bytes, mode: int, uid: int, gid: int) -> Inode:
        """mkdir(2). Raises Exists, NoEntry, NotDirectory, NameTooLong."""
        return self._make(parent, name, stat.S_IFDIR | stat.S_IMODE(mode), uid, gid, "made")

    def make_symlink(self, parent: InodeNumber, name: bytes, target: bytes, uid: int, gid: int) -> Inode:
        """symlink(2). Raises Exists, NoEntry, NotDirectory, NameTooLong."""
        mode = stat.S_IFLNK | 0o777
        seq = GenerationId(self.catalog.next_seq)  # a link is complete as soon as it is made
        return self._make(parent, name, mode, uid, gid, "made", target=target, size=len(target), generation=seq)

    def make_special(self, parent: InodeNumber, name: bytes, mode: int, uid: int, gid: int, rdev: int) -> Inode:
        """mknod(2) of a device, fifo or socket; never placed. Raises Exists, NoEntry, NotDirectory, NameTooLong."""
        return self._make(parent, name, mode, uid, gid, "", rdev=rdev)

    def link(self, number: InodeNumber, parent: InodeNumber, name: bytes) -> Inode:
        """link(2): one more name, with Copies of its own. Raises Exists, NoEntry, NotPermitted, TooManyLinks..."""
        inode, above = self.inode(number), self._new_name(parent, name)
        if inode.kind is Kind.DIRECTORY:
            raise errors.NotPermitted("a directory cannot have a second name")
        if inode.nlink == 0:
            raise errors.NoEntry(f"inode {number} has no name any more")
        if inode.nlink >= LINK_MAX:
            raise errors.TooManyLinks(f"a file may have {LINK_MAX} names")
        changes: Changes = {}
        now, file = self.now_ns(), FileId(self.catalog.next_seq)
        inode.nlink += 1
        inode.files += (file,)
        inode.ctime_ns = above.mtime_ns = above.ctime_ns = now
        changes[keys.dirent(parent, name)] = pack_dirent(Dirent(number, file, inode.kind))
        changes[keys.name(file)] = pack_name(Name(parent, name, number, inode.kind))
        placeable = inode.kind is not Kind.SPECIAL
        if placeable:
            self._count(changes, files=1)
            if inode.generation:
                self.mark(changes, file, "made")
        self._commit(changes, inode, above)
        if placeable and inode.generation:
            self.changed(file, "made")
        return inode

    # -- removing --------------------------------------------------------------------------------------------------

    def _bury(self, changes: Changes, found: Dirent, parent: InodeNumber, name: bytes, inode: Inode) -> None:
        """A file id loses its name. What can have Copies becomes a tombstone, until they are gone."""
        if found.kind is Kind.SPECIAL:
            changes[keys.name(found.file)] = None
            return
        if found.kind is Kind.DIRECTORY:
            self._count(changes, directories=-1)
        else:
            self._count(changes, files=-1)
            if not inode.generation:
                changes[keys.name(found.file)] = None
                return
        changes[keys.name(found.file)] = pack_name(Name(parent, name, InodeNumber(0), found.kind))
        self.mark(changes, found.file, "deleted")

    def _lose_link(self, changes: Changes, inode: Inode, file: FileId, why: str = DELETED) -> ContentId:
        """One name less. Returns the content to let go once this record is committed; 0 if it is still needed, or if
        history keeps it."""
        inode.files = tuple(other for other in inode.files if other != file)
        inode.nlink = len(inode.files)
        inode.ctime_ns = self.now_ns()
        if inode.nlink:
            changes[keys.inode(inode.number)] = pack_inode(inode)
            return ContentId(0)
        kept = self.history.keep(changes, inode, file, why, exact=not self._is_being_written(inode.number))
        if self._is_open(inode.number):
            changes[keys.inode(inode.number)] = pack_inode(inode)
            changes[keys.orphan(inode.number)] = kept
            return ContentId(0)
        self._erase(changes, inode)
        return ContentId(0) if kept else inode.content

    def _erase(self, changes: Changes, inode: Inode) -> None:
        """The inode's records go; its live object stays until the kernel forgets it, for stat of an O_PATH handle."""
        changes[keys.inode(inode.number)] = None
        changes[keys.hot(inode.number)] = None
        changes[keys.orphan(inode.number)] = None
        if self._xattrs:
            for key, _ in self.catalog.scan(keys.xattrs(inode.number), limit=1_000_000):
                changes[key] = None

    def _is_open(self, number: InodeNumber) -> bool:
        raise NotImplementedError

    def _is_being_written(self, number: InodeNumber) -> bool:
        """Whether its bytes differ from the last generation, or may do so in a moment."""
        raise NotImplementedError

    def _let_go(self, content: ContentId) -> None:
        """The last committed record let go of this content."""
        raise NotImplementedError

    def unlink(self, parent: InodeNumber, name: bytes) -> Inode:
        """unlink(2). Returns the inode, which may have no name left. Raises NoEntry, IsDirectory."""
        found = self.dirent(parent, name)
        if found is None:
            raise errors.NoEntry(f"no {name!r} here")
        if found.kind is Kind.DIRECTORY:
            raise errors.IsDirectory(f"{name!r} is a directory")
        above, inode = self._parent(parent), self.inode(found.inode)
        changes: Changes = {keys.dirent(parent, name): None}
        self._bury(changes, found, parent, name, inode)
        content = self._lose_link(changes, inode, found.file)
        above.mtime_ns = above.ctime_ns = inode.ctime_ns
        self._commit_keeping(changes, inode, above)
        self._let_go(content)
        if inode.generation:
            self.changed(found.file, "deleted")
        return inode

    def _commit_keeping(self, changes: Changes, gone: Inode, *inodes: Inode) -> None:
        """_commit for a change whose `gone` inode is already in `changes` (perhaps as removed)."""
        try:
            self._commit(changes, *inodes)
        except BaseException:
            self._restore((gone,))
            raise

    def remove_directory(self, parent: InodeNumber, name: bytes) -> Inode:
        """rmdir(2). Raises NoEntry, NotDirectory, NotEmpty."""
        found = self.dirent(parent, name)
        if found is None:
            raise errors.NoEntry(f"no {name!r} here")
        if found.kind is not Kind.DIRECTORY:
            raise errors.NotDirectory(f"{name!r} is no directory")
        self._need_empty(found.inode, name)
        above, inode = self._parent(parent), self.inode(found.inode)
        changes: Changes = {keys.dirent(parent, name): None}
        self._lose_directory(changes, found, parent, name, inode, above)
        above.mtime_ns = above.ctime_ns = inode.ctime_ns
        self._commit_keeping(changes, inode, above)
        self._paths.clear()
        self.changed(found.file, "deleted")
        return inode

    def _lose_directory(
        self, changes: Changes, found: Dirent, parent: InodeNumber, name: bytes, inode: Inode, above: Inode
    ) -> None:
        self._bury(changes, found, parent, name, inode)
        inode.nlink, inode.files, inode.ctime_ns = 0, (), self.now_ns()
        changes[keys.subtree(inode.number)] = None
        self._erase(changes, inode)
        above.nlink -= 1

    def _need_empty(self, directory: InodeNumber, name: bytes) -> None:
        if self.catalog.scan(keys.dirents(directory), limit=1):
            raise errors.NotEmpty(f"directory {name!r} is not empty")

    # -- renaming --------------------------------------------------------------------------------------------------

    def rename(
        self,
        parent: InodeNumber,
        name: bytes,
        new_parent: InodeNumber,
        new_name: bytes,
        *,
        exchange: bool = False,
        replace: bool = True,
    ) -> None:
        """rename(2); `exchange` and `replace` False are RENAME_EXCHANGE and RENAME_NOREPLACE. File ids move along.

        Raises NoEntry, Exists, IsDirectory, NotDirectory, NotEmpty, Invalid (into itself), NameTooLong.
        """
        moved, there = self.dirent(parent, name), self.dirent(new_parent, new_name)
        if moved is None or (exchange and there is None):
            raise errors.NoEntry(f"no {name!r} to rename")
        if there is not None and not replace:
            raise errors.Exists(f"{new_name!r} exists already")
        if there is not None and there.inode == moved.inode and not exchange:
            return  # two names of one file: POSIX says to do nothing
        source, target = self._parent(parent), self._parent(new_parent)
        self._need_outside(moved, new_parent)
        if exchange:
            assert there is not None
            self._need_outside(there, parent)
            self._exchange(source, name, moved, target, new_name, there)
            return
        changes: Changes = {keys.dirent(parent, name): None}
        inode, gone, content = self.inode(moved.inode), None, ContentId(0)
        if there is not None:
            gone = self.inode(there.inode)
            content = self._replace(changes, moved, there, gone, target, new_name)
        self._stand(changes, moved, inode, source, target, new_name)
        source.mtime_ns = source.ctime_ns = target.mtime_ns = target.ctime_ns = inode.ctime_ns
        touched = (inode, source) if source is target else (inode, source, target)
        if gone is None:
            self._commit(changes, *touched)
        else:
            self._commit_keeping(changes, gone, *touched)
            self._let_go(content)
        self._tell_moved(moved, inode)
        self.history.moved(moved.file, parent, name)
        if there is not None and gone is not None and (gone.generation or there.kind is Kind.DIRECTORY):
            self.changed(there.file, "deleted")

    def _need_outside(self, moved: Dirent, new_parent: InodeNumber) -> None:
        """A directory cannot go below itself. The kernel checks this too; a second source of changes would not."""
        at = new_parent if moved.kind is Kind.DIRECTORY else ROOT_INODE
        while at != ROOT_INODE:
            if at == moved.inode:
                raise errors.Invalid("a directory cannot be moved into itself")
            at = self.peek(at).parent

    def _replace(
        self, changes: Changes, moved: Dirent, there: Dirent, gone: Inode, target: Inode, new_name: bytes
    ) -> ContentId:
        if there.kind is not Kind.DIRECTORY:
            if moved.kind is Kind.DIRECTORY:
                raise errors.NotDirectory(f"{new_name!r} is no directory")
            self._bury(changes, there, target.number, new_name, gone)
            return self._lose_link(changes, gone, there.file, REPLACED)
        if moved.kind is not Kind.DIRECTORY:
            raise errors.IsDirectory(f"{new_name!r} is a directory")
        self._need_empty(there.inode, new_name)
        self._lose_directory(changes, there, target.number, new_name, gone, target)
        return ContentId(0)

    def _stand(
        self, changes: Changes, moved: Dirent, inode: Inode, source: Inode, target: Inode, new_name: bytes
    ) -> None:
        """Write that a file id stands under a name now."""
        changes[keys.dirent(target.number, new_name)] = pack_dirent(moved)
        changes[keys.name(moved.file)] = pack_name(Name(target.number, new_name, moved.inode, moved.kind))
        inode.ctime_ns = self.now_ns()
        if moved.kind is Kind.DIRECTORY:
            old = self.directory_path(moved.inode)
            new = self.directory_path(target.number) + b"/" + new_name
            inode.parent = target.number
            source.nlink -= 1
            target.nlink += 1
            # At another depth a relative link may lead out of the tree, or not any more.
            if old.count(b"/") != new.count(b"/") or self.rename_matters(old, new):
                changes[keys.subtree(moved.inode)] = b""
            self._paths.clear()
        if inode.generation or moved.kind is Kind.DIRECTORY:
            self.mark(changes, moved.file, "renamed")

    def _exchange(
        self, source: Inode, name: bytes, moved: Dirent, target: Inode, new_name: bytes, there: Dirent
    ) -> None:
        changes: Changes = {}
        one, other = self.inode(moved.inode), self.inode(there.inode)
        self._stand(changes, moved, one, source, target, new_name)
        self._stand(changes, there, other, target, source, name)
        source.mtime_ns = source.ctime_ns = target.mtime_ns = target.ctime_ns = other.ctime_ns
        self._commit(changes, *{inode.number: inode for inode in (one, other, source, target)}.values())
        self._tell_moved(moved, one)
        self._tell_moved(there, other)
        self.history.moved(moved.file, source.number, name)
        self.history.moved(there.file, target.number, new_name)

    def _tell_moved(self, moved: Dirent, inode: Inode) -> None:
        if moved.kind is Kind.DIRECTORY:
            self.changed(moved.file, "renamed")
            self.subtree_changed(moved.inode)
        elif inode.generation:
            self.changed(moved.file, "renamed")

    # -- attributes ------------------------------------------------------------------------------------------------

    def set_attributes(
        self,
        number: InodeNumber,
        *,
        mode: int | None = None,
        uid: int | None = None,
        gid: int | None = None,
        atime_ns: int | None = None,
        mtime_ns: int | None = None,
        ctime_ns: int | None = None,
    ) -> Inode:
        """chmod, chown, utimensat. Of `mode` only permission bits. ctime is now unless given. Raises NoEntry."""
        inode = self.inode(number)
        kept = (inode.mode, inode.mtime_ns)
        before = (inode.uid, inode.gid, inode.atime_ns, inode.ctime_ns)
        if mode is not None:
            inode.mode = stat.S_IFMT(inode.mode) | stat.S_IMODE(mode)
        if uid is not None:
            inode.uid = uid
        if gid is not None:
            inode.gid = gid
        if atime_ns is not None:
            inode.atime_ns = atime_ns
        if mtime_ns is not None:
            inode.mtime_ns = mtime_ns
        inode.ctime_ns = self.now_ns() if ctime_ns is None else ctime_ns
        if kept == (inode.mode, inode.mtime_ns) and before == (inode.uid, inode.gid, inode.atime_ns, inode.ctime_ns):
            # The kernel tells the ctime of a rename or write that it has just had from us, by the same clock. (Of a
            # file with bytes not sealed yet, the seal will record the times.)
            return inode
        if inode.nlink == 0 and self.catalog.get(keys.inode(number)) is None:
            return inode  # erased; only the kernel still holds it
        changes: Changes = {}
        told = inode.files if self._concerns_entries(inode, *kept) else ()
        for file in told:
            self.mark(changes, file, "attributes")
        self._commit(changes, inode)
        for file in told:
            self.changed(file, "attributes")
        return inode

    def _concerns_entries(self, inode: Inode, mode: int, mtime_ns: int) -> bool:
        """Whether a change of what were mode and mtime is to be placed now (not while a seal is to come anyway)."""
        if inode.kind is Kind.DIRECTORY:  # whose times are those of what was last done in it
            return inode.mode != mode and bool(inode.files)
        return inode.kind is Kind.FILE and inode.generation != 0 and (inode.mode, inode.mtime_ns) != (mode, mtime_ns)

    def forget(self, number: InodeNumber) -> None:
        """The kernel holds the inode no more."""
        self._live.pop(number, None)

    def trim(self, at_most: int = LIVE_MAX) -> None:
        """Let live inodes go, but for those that the catalog alone could not bring back: open ones and erased ones.

        For between two calls only: while one is at work there must not be a second object for an inode. The kernel
        may know millions of inodes, and says when it forgets them only if memory gets short.
        """
        if len(self._live) > at_most:
            self._live = {n: inode for n, inode in self._live.items() if inode.nlink == 0 or self._is_open(n)}

    # -- extended attributes, xattr(7) -------------------------------------------------------------------------------

    def get_xattr(self, number: InodeNumber, name: bytes) -> bytes:
        """Raises NoAttribute."""
        value = self.catalog.get(keys.xattr(number, name))
        if value is None:
            raise errors.NoAttribute(f"no attribute {name!r}")
        return value

    def set_xattr(self, number: InodeNumber, name: bytes, value: bytes) -> None:
        """Create or replace. Raises NoEntry."""
        inode = self.inode(number)
        inode.ctime_ns = self.now_ns()
        self._xattrs = True
        self._commit({keys.xattr(number, name): value}, inode)

    def list_xattrs(self, number: InodeNumber) -> list[bytes]:
        prefix = keys.xattrs(number)
        return [key[len(prefix) :] for key, _ in self.catalog.scan(prefix, limit=100_000)]

    def remove_xattr(self, number: InodeNumber, name: bytes) -> None:
        """Raises NoAttribute."""
        self.get_xattr(number, name)
        inode = self.inode(number)
        inode.ctime_ns = self.now_ns()
        self._commit({keys.xattr(number, name): None}, inode)
