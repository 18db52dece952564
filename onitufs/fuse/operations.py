"""The handlers: what the kernel asks, said in the volume's words. No decision is made here.

Permissions are the kernel's (default_permissions): no handler looks at the caller but to name a new file's owner. In
particular setattr never does, for the kernel strips suid and sgid bits in the writer's name.
"""

import os
from collections.abc import Sequence

import pyfuse3
from pyfuse3 import EntryAttributes, FileInfo, ReaddirToken, RequestContext, SetattrFields, StatvfsData

from onitufs.model import errors
from onitufs.model.files import Inode
from onitufs.model.ids import InodeNumber
from onitufs.model.shown import Shown
from onitufs.volume import Volume
from onitufs.volume.opened import Handle

from .directories import Directories
from .errnos import answering, unanswered
from .inodes import Lookups, absent, attributes_as
from .scanners import Scanners, Window

_NAME_MAX = 255
_ABSENT = absent()
_RENAME_FLAGS = pyfuse3.RENAME_EXCHANGE | pyfuse3.RENAME_NOREPLACE


class Operations(pyfuse3.Operations):
    """All that a mount needs. `xattr` off: the kernel is told once that there are none, and stops asking for
    security.capability before every write (one round trip each)."""

    # Bytes are gathered by the kernel and come in large writes, at close, fsync or after about 30 s. It then opens
    # what is written for reading too, and seeks for O_APPEND itself.
    enable_writeback_cache = True
    supports_dot_lookup = True  # inode numbers are never reused, so handles (NFS, open_by_handle_at) stay good

    def __init__(
        self, volume: Volume, *, xattr: bool = False, shown: Shown | None = None, scanners: Scanners | None = None
    ) -> None:
        super().__init__()
        self.volume = volume
        self.lookups = Lookups(volume.forget)
        self._attributes_of = attributes_as(shown or Shown())
        self.directories = Directories(volume, self.lookups, self._attributes_of)
        self._catalog = volume.catalog
        self._xattr = xattr
        self._scanners = scanners or Scanners()
        self._windows: dict[int, Window] = {}  # of handles of scanners, whose files were not here at open()

    def _given(self, inode: Inode) -> EntryAttributes:
        self.lookups.add(inode.number)
        return self._attributes_of(inode)

    # -- names -----------------------------------------------------------------------------------------------------

    @answering
    async def lookup(self, parent_inode: int, name: bytes, ctx: RequestContext) -> EntryAttributes:
        parent = InodeNumber(parent_inode)
        found = self.volume.lookup(parent, name)
        if found is not None:
            return self._given(found)
        if name == b".":  # somebody holds a file handle from long ago
            return self._given(self.volume.inode(parent))
        if name == b"..":
            return self._given(self.volume.inode(self.volume.inode(parent).parent))
        return _ABSENT

    @unanswered
    async def forget(self, inode_list: Sequence[tuple[int, int]]) -> None:
        self.lookups.forget(inode_list)

    @answering
    async def mknod(self, parent_inode: int, name: bytes, mode: int, rdev: int, ctx: RequestContext) -> EntryAttributes:
        if self._catalog.full:
            await self._catalog.room()
        return self._given(self.volume.make_node(InodeNumber(parent_inode), name, mode, ctx.uid, ctx.gid, rdev))

    @answering
    async def mkdir(self, parent_inode: int, name: bytes, mode: int, ctx: RequestContext) -> EntryAttributes:
        if self._catalog.full:
            await self._catalog.room()
        return self._given(self.volume.make_directory(InodeNumber(parent_inode), name, mode, ctx.uid, ctx.gid))

    @answering
    async def symlink(self, parent_inode: int, name: bytes, target: bytes, ctx: RequestContext) -> EntryAttributes:
        if self._catalog.full:
            await self._catalog.room()
        return self._given(self.volume.make_symlink(InodeNumber(parent_inode), name, target, ctx.uid, ctx.gid))

    @answering
    async def link(self, inode: int, new_parent_inode: int, new_name: bytes, ctx: RequestContext) -> EntryAttributes:
        if self._catalog.full:
            await self._catalog.room()
        return self._given(self.volume.link(InodeNumber(inode), InodeNumber(new_parent_inode), new_name))

    @answering
    async def unlink(self, parent_inode: int, name: bytes, ctx: RequestContext) -> None:
        if self._catalog.full:
            await self._catalog.room()
        self.volume.unlink(InodeNumber(parent_inode), name)

    @answering
    async def rmdir(self, parent_inode: int, name: bytes, ctx: RequestContext) -> None:
        if self._catalog.full:
            await self._catalog.room()
        self.volume.remove_directory(InodeNumber(parent_inode), name)

    @answering
    async def rename(
        self,
        parent_inode_old: int,
        name_old: bytes,
        parent_inode_new: int,
        name_new: bytes,
        flags: int,
        ctx: RequestContext,
    ) -> None:
        if flags and flags & ~_RENAME_FLAGS:
            raise errors.Invalid("rename with a flag that is not known here")  # RENAME_WHITEOUT
        if self._catalog.full:
            await self._catalog.room()
        self.volume.rename(
            InodeNumber(parent_inode_old),
            name_old,
            InodeNumber(parent_inode_new),
            name_new,
            exchange=bool(flags & pyfuse3.RENAME_EXCHANGE),
            replace=not flags & pyfuse3.RENAME_NOREPLACE,
        )

    @answering
    async def readlink(self, inode: int, ctx: RequestContext) -> bytes:
        return self.volume.inode(InodeNumber(inode)).target

    # -- attributes ------------------------------------------------------------------------------------------------

    @answering
    async def getattr(self, inode: int, ctx: RequestContext) -> EntryAttributes:
        return self._attributes_of(self.volume.inode(InodeNumber(inode)))

    @answering
    async def setattr(
        self, inode: int, attr: EntryAttributes, fields: SetattrFields, fh: int | None, ctx: RequestContext
    ) -> EntryAttributes:
        number = InodeNumber(inode)
        if self._catalog.full:
            await self._catalog.room()
        mode = attr.st_mode if fields.update_mode else None
        uid = attr.st_uid if fields.update_uid else None
        gid = attr.st_gid if fields.update_gid else None
        atime_ns = attr.st_atime_ns if fields.update_atime else None
        mtime_ns = attr.st_mtime_ns if fields.update_mtime else None
        ctime_ns = attr.st_ctime_ns if fields.update_ctime else None
        if fields.update_size:
            changed = await self.volume.truncate(number, attr.st_size)
            if mode is uid is gid is atime_ns is mtime_ns is ctime_ns is None:
                return self._attributes_of(changed)
        return self._attributes_of(
            self.volume.set_attributes(
                number, mode=mode, uid=uid, gid=gid, atime_ns=atime_ns, mtime_ns=mtime_ns, ctime_ns=ctime_ns
            )
        )

    @answering
    async def statfs(self, ctx: RequestContext) -> StatvfsData:
        room, answer = self.volume.statfs(), StatvfsData()
        answer.f_bsize = answer.f_frsize = room.block
        answer.f_blocks, answer.f_bfree, answer.f_bavail = room.blocks, room.free, room.available
        answer.f_files, answer.f_ffree, answer.f_favail = room.inodes, room.inodes_free, room.inodes_free
        answer.f_namemax = _NAME_MAX
        return answer

    # -- files -----------------------------------------------------------------------------------------------------

    @answering
    async def create(
        self, parent_inode: int, name: bytes, mode: int, flags: int, ctx: RequestContext
    ) -> tuple[FileInfo, EntryAttributes]:
        if self._catalog.full:
            await self._catalog.room()
        try:
            inode, handle = self.volume.create(InodeNumber(parent_inode), name, mode, ctx.uid, ctx.gid)
        except errors.Exists:
            if flags & os.O_EXCL:
                raise
            # The kernel's negative entry is older than the file. Told so, it looks again, checks the caller's rights
            # on what it finds, and opens that.
            raise errors.NoInode("the file has arrived meanwhile") from None
        through = self.volume.handles[handle].through
        return FileInfo(fh=handle, direct_io=through, keep_cache=True), self._given(inode)

    @answering
    async def open(self, inode: int, flags: int, ctx: RequestContext) -> FileInfo:
        truncate = bool(flags & os.O_TRUNC)
        write = truncate or flags & os.O_ACCMODE != os.O_RDONLY
        if truncate and self._catalog.full:
            await self._catalog.room()
        number, volume = InodeNumber(inode), self.volume
        if volume.is_overtaken(number):
            raise errors.NoInode("other bytes have this name now")  # the kernel looks it up again
        handle = volume.open(number, write=write, truncate=truncate)
        if not volume.is_here(handle):
            if not write and self._scanners.is_one(ctx.pid):
                size = volume.handles[handle].file.inode.size
                self._windows[handle] = Window(size, self._scanners.head_bytes)
                return FileInfo(fh=handle, direct_io=True, keep_cache=False)
            await self._brought(handle)
            if not volume.is_here(handle):
                if write:
                    volume.far.want(number)
                # Readahead of bytes that may be long in coming would use up the kernel's few background requests.
                return FileInfo(fh=handle, direct_io=True, keep_cache=False)
        # An inode's bytes change through the kernel only; a remote edit has a new inode.
        return FileInfo(fh=handle, direct_io=volume.handles[handle].through, keep_cache=True)

    async def _brought(self, handle: Handle) -> None:
        """Volume.bring_to_open; what that raises closes the handle."""
        try:
            await self.volume.bring_to_open(self.volume.handles[handle].file.inode.number)
        except BaseException:
            self.volume.release(handle, seal=False)
            raise

    @answering
    async def read(self, fh: int, off: int, size: int) -> bytes:
        handle, volume = Handle(fh), self.volume
        if volume.is_here(handle):
            return volume.read(handle, off, size)
        window = self._windows.get(fh)
        if window is not None:
            return await self._scan(handle, window, off, size)
        return await volume.read_absent(handle, off, size)

    async def _scan(self, handle: Handle, window: Window, off: int, size: int) -> bytes:
        """What a scanner gets: never an end of file that is none, since it might take that for all of it."""
        if off >= window.size:
            return b""
        if off >= window.end:
            raise errors.NotPermitted("of what is not here, programs that read everything get the beginning only")
        offset, length = window.wanted(off, size)
        if length:
            data = await self.volume.far.glance(self.volume.handles[handle].file.inode.number, offset, length)
            if data is None:
                return await self.volume.read_absent(handle, off, size)  # it has come meanwhile
            window.put(offset, data)
        return window.read(off, size)

    @answering
    async def write(self, fh: int, off: int, buf: bytes) -> int:
        handle, volume = Handle(fh), self.volume
        while not volume.settled_for_write(handle):
            await volume.make_writable(handle)
        return volume.write(handle, off, buf)

    @answering
    async def flush(self, fh: int) -> None:
        if self._catalog.full:
            await self._catalog.room()
        self.volume.flush(Handle(fh))

    @answering
    async def fsync(self, fh: int, datasync: bool) -> None:
        await self.volume.sync(self.volume.handles[Handle(fh)].file.inode.number)

    @answering
    async def release(self, fh: int) -> None:
        if self._catalog.full:
            await self._catalog.room()
        self._windows.pop(fh, None)
        self.volume.release(Handle(fh))

    # -- directories -------------------------------------------------------------------------------------------------

    @answering
    async def opendir(self, inode: int, ctx: RequestContext) -> int:
        return self.directories.open(InodeNumber(inode))

    @answering
    async def readdir(self, fh: int, start_id: int, token: ReaddirToken) -> None:
        self.directories.reply(fh, start_id, token)

    @answering
    async def releasedir(self, fh: int) -> None:
        self.directories.close(fh)

    @answering
    async def fsyncdir(self, fh: int, datasync: bool) -> None:
        await self.volume.sync(self.directories.number(fh))

    # -- extended attributes ---------------------------------------------------------------------------------------

    def _need_xattr(self, name: bytes) -> None:
        if not self._xattr:
            raise errors.NotOffered("no extended attributes in this mount")
        if name.startswith(b"system."):
            raise errors.NotSupported("no access control lists here")  # they would need more than being stored

    @answering
    async def getxattr(self, inode: int, name: bytes, ctx: RequestContext) -> bytes:
        self._need_xattr(name)
        return self.volume.get_xattr(InodeNumber(inode), name)

    @answering
    async def setxattr(self, inode: int, name: bytes, value: bytes, ctx: RequestContext) -> None:
        self._need_xattr(name)
        if self._catalog.full:
            await self._catalog.room()
        self.volume.set_xattr(InodeNumber(inode), name, value)

    @answering
    async def listxattr(self, inode: int, ctx: RequestContext) -> Sequence[bytes]:
        self._need_xattr(b"")
        return self.volume.list_xattrs(InodeNumber(inode))

    @answering
    async def removexattr(self, inode: int, name: bytes, ctx: RequestContext) -> None:
        self._need_xattr(name)
        if self._catalog.full:
            await self._catalog.room()
        self.volume.remove_xattr(InodeNumber(inode), name)
