"""Bringing back what history keeps, and letting it go in time."""

import os
import stat

from onitufs.catalog import keys
from onitufs.catalog.records import pack_dirent, pack_name
from onitufs.content.files import ContentStore
from onitufs.model import errors
from onitufs.model.files import Dirent, Inode, Kind, Name
from onitufs.model.ids import ContentId, FileId, GenerationId, InodeNumber, Seq
from onitufs.model.versions import REPLACED

from .history import Kept
from .tree import Changes, Tree


class Restoring(Tree):
    """A Tree whose history can be restored. Plain methods; nothing waits."""

    content: ContentStore
    _restored: dict[InodeNumber, Seq]  # since when an inode has its bytes, if it was never written to since

    def _open_orphans(self) -> dict[ContentId, Inode]:
        """The inodes without a name that programs still hold open, by their content."""
        raise NotImplementedError

    def restore(self, kept: Kept, parent: InodeNumber, name: bytes) -> FileId:
        """Give these bytes a name again, as a new generation; history keeps them no more.

        A file that has the name now goes to history, keeps its file id for the new bytes, and loses its inode number:
        whoever holds it open goes on seeing the old bytes. One record. The caller tells the kernel.
        Raises NoEntry (not kept any more), Exists (something that is no file has the name), NotDirectory,
        NameTooLong, OSError.
        """
        if not self.history.holds(kept):
            raise errors.NoEntry(f"version {kept.rev} is not kept any more")
        there, above = self.dirent(parent, name), self._parent(parent)
        if there is not None and there.kind is not Kind.FILE:
            raise errors.Exists(f"{name!r} is no file")
        seq, now = self.catalog.next_seq, self.now_ns()
        changes: Changes = {}
        file, old, content = FileId(seq), None, ContentId(0)
        if there is not None:
            file, old = there.file, self.inode(there.inode)
            content = self._lose_link(changes, old, file, REPLACED)
        else:
            self._count(changes, files=1)
        inode = self._open_orphans().get(kept.content) or self._anew(kept)
        inode.files, inode.nlink, inode.ctime_ns = (file,), 1, now
        if not self._is_being_written(inode.number):
            inode.generation = GenerationId(seq)
        changes[keys.orphan(inode.number)] = None
        changes[keys.dirent(parent, name)] = pack_dirent(Dirent(inode.number, file, Kind.FILE))
        changes[keys.name(file)] = pack_name(Name(parent, name, inode.number, Kind.FILE))
        above.mtime_ns = above.ctime_ns = now
        self.history.drop(changes, kept)
        self.mark(changes, file, "restored")
        if old is None:
            self._commit(changes, inode, above)
        else:
            self._commit_keeping(changes, old, inode, above)
        self._live[inode.number] = inode
        self._restored[inode.number] = seq
        self._let_go(content)
        self.changed(file, "restored")
        return file

    def _anew(self, kept: Kept) -> Inode:
        version, now = kept.version, self.now_ns()
        try:
            fd = self.content.open(kept.content)
        except FileNotFoundError:
            raise errors.NoEntry(f"the bytes of version {kept.rev} are missing from the local store") from None
        try:
            found = os.fstat(fd)
        finally:
            os.close(fd)
        return Inode(
            number=InodeNumber(self.catalog.next_seq), mode=stat.S_IFREG | version.mode, uid=version.uid,
            gid=version.gid, nlink=1, size=found.st_size, blocks=found.st_blocks, atime_ns=now,
            mtime_ns=version.mtime_ns, ctime_ns=now, content=kept.content, sealed_size=found.st_size,
            sealed_mtime_ns=version.mtime_ns, incomplete=version.incomplete,
        )  # fmt: skip

    def expire(self, *, free: int = 0, limit: int = 200) -> int:
        """Let go of up to `limit` versions that are due (see History.due), in one record. Returns their bytes.

        They are unlinked once that record is on disk (D6). Raises OSError; then nothing has changed.
        """
        due = self.history.due(free=free, limit=limit)
        if not due:
            return 0
        changes: Changes = {}
        orphans = self._open_orphans()
        for kept in due:
            self.history.drop(changes, kept)
            if kept.content in orphans:  # its bytes are the inode's own again, and go when that is closed
                changes[keys.orphan(orphans[kept.content].number)] = b""
        try:
            seq = self.catalog.commit(changes)
        except BaseException:
            self.history.read_counts()
            raise
        for kept in due:
            if kept.content not in orphans:
                self.content.let_go(kept.content, Seq(seq))
        return sum(kept.cost for kept in due)
