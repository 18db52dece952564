"""What comes from entries: names found there, and bytes that were changed there.

Each change is one record; the Copy that goes with it is committed in the same one. The kernel is not told here: the
caller does that, afterwards.
"""

import stat
from collections.abc import Callable
from dataclasses import replace

from onitufs.catalog import keys
from onitufs.catalog.records import pack_dirent, pack_name
from onitufs.model import errors
from onitufs.model.files import Dirent, Inode, Kind, Name
from onitufs.model.ids import FileId, GenerationId, InodeNumber
from onitufs.model.versions import REPLACED

from .tree import Changes, Tree

Also = Callable[[FileId, GenerationId], Changes]
"""What is to be committed in the same record, given the file id and the generation that the record makes."""

_TYPES = {Kind.FILE: stat.S_IFREG, Kind.DIRECTORY: stat.S_IFDIR, Kind.SYMLINK: stat.S_IFLNK}
_PERMISSIONS = 0o777  # of what an entry says of a mode


class Arrivals(Tree):
    """A Tree that takes in what is found on entries. Plain methods; nothing waits.

    `overtaken` is called when a program saves a file of which all names were given to other bytes by replace_content
    while it had it open: with the file id that it was, and the inode, which has no name now and whose bytes nobody else
    has. It may call give_name; it may not raise.
    """

    absences = 0
    """How often bytes became absent: who wants some here looks again when it grows."""
    owner: tuple[int, int]
    overtaken: Callable[[FileId, InodeNumber], None]

    def _overtake(self, number: InodeNumber, file: FileId) -> None:
        """An open inode has lost its last name to bytes from elsewhere."""
        raise NotImplementedError

    def is_dirty(self, number: InodeNumber) -> bool:
        """Whether a program has the file open and its bytes are not all sealed."""
        raise NotImplementedError

    def is_quiet(self, file: FileId) -> bool:
        """Whether the last sealed generation of a living regular file is all there is of it."""
        name = self.name(file)
        if name is None or not name.alive or name.kind is not Kind.FILE:
            return False
        return self.peek(name.inode).generation != 0 and not self.is_dirty(name.inode)

    def adopt(
        self,
        parent: InodeNumber,
        name: bytes,
        kind: Kind,
        *,
        size: int,
        mtime_ns: int,
        mode: int,
        target: bytes = b"",
        also: Also,
    ) -> FileId:
        """A name found on an entry. A regular file's bytes are absent. Its owner is the mount's, of `mode` 0777 counts.

        Raises Exists, NoEntry, NotDirectory, NameTooLong, OSError; then nothing has changed.
        """
        above = self._new_name(parent, name)
        generation = GenerationId(0 if kind is Kind.DIRECTORY else self.catalog.next_seq)
        changes: Changes = {}
        permissions = _PERMISSIONS if kind is Kind.SYMLINK else mode & _PERMISSIONS
        inode = self._add(changes, above, name, _TYPES[kind] | permissions, *self.owner)
        if kind is not Kind.DIRECTORY:
            inode.mtime_ns = inode.sealed_mtime_ns = mtime_ns
            inode.generation, inode.target = generation, target
            inode.size = inode.sealed_size = len(target) if kind is Kind.SYMLINK else size
        if kind is Kind.FILE:
            inode.absent, inode.blocks = True, blocks_of(size)
        file = inode.files[0]
        self.mark(changes, file, "found")
        changes.update(also(file, generation))
        self._commit(changes, inode, above)
        self.absences += 1
        self.changed(file, "found")
        return file

    def replace_content(self, file: FileId, *, size: int, mtime_ns: int, mode: int, also: Also) -> None:
        """Others changed a regular file on an entry: under its name stands a new inode now, whose bytes are absent.

        The file id stays. The old inode lives on under its other names, and for whoever has it open. Raises NoEntry if
        that is no living regular file, OSError; then nothing has changed.
        """
        name = self.name(file)
        if name is None or not name.alive or name.kind is not Kind.FILE:
            raise errors.NoEntry(f"file {file} is no regular file any more")
        old, seq, now = self.inode(name.inode), self.catalog.next_seq, self.now_ns()
        number, generation = InodeNumber(seq), GenerationId(seq)
        new = Inode(
            number=number, mode=stat.S_IFREG | (mode & _PERMISSIONS), uid=old.uid, gid=old.gid, nlink=1, size=size,
            blocks=blocks_of(size), atime_ns=now, mtime_ns=mtime_ns, ctime_ns=now, files=(file,), generation=generation,
            sealed_size=size, sealed_mtime_ns=mtime_ns, absent=True,
        )  # fmt: skip
        changes: Changes = {
            keys.dirent(name.parent, name.name): pack_dirent(Dirent(number, file, Kind.FILE)),
            keys.name(file): pack_name(replace(name, inode=number)),
        }
        if self._xattrs:
            for key, value in self.catalog.scan(keys.xattrs(old.number), limit=1_000_000):
                changes[keys.xattr(number, key[len(keys.xattrs(old.number)) :])] = value
        content = self._lose_link(changes, old, file, REPLACED)
        self.mark(changes, file, "found")
        changes.update(also(file, generation))
        self._commit_keeping(changes, old, new)
        self._let_go(content)
        if not old.nlink and self._is_open(old.number):
            self._overtake(old.number, file)
        self.absences += 1
        self.changed(file, "found")

    def give_name(self, number: InodeNumber, parent: InodeNumber, name: bytes) -> FileId:
        """An inode that has lost all its names and that programs hold open gets a name again, as another file.

        Its next seal makes it a generation. Raises NoInode if it has a name or is not open, Exists, NoEntry,
        NotDirectory, NameTooLong, OSError; then nothing has changed.
        """
        inode = self.inode(number)
        if inode.nlink or not self._is_open(number):
            raise errors.NoInode(f"inode {number} needs no name")
        above, file = self._new_name(parent, name), FileId(self.catalog.next_seq)
        inode.files, inode.nlink = (file,), 1
        inode.ctime_ns = above.mtime_ns = above.ctime_ns = self.now_ns()
        changes: Changes = {
            keys.orphan(number): None,
            keys.dirent(parent, name): pack_dirent(Dirent(number, file, Kind.FILE)),
            keys.name(file): pack_name(Name(parent, name, number, Kind.FILE)),
        }
        self.history.take_back(changes, number)
        self._count(changes, files=1)
        self.mark(changes, file, "overtaken")
        self._commit(changes, inode, above)
        self.changed(file, "overtaken")
        return file


def blocks_of(size: int) -> int:
    """st_blocks of a file that has no holes: a program that saw less would take absent bytes for a hole."""
    return -(-size // 512)
