"""Values of every stored record: msgpack arrays that begin with a version, read in any version that ever was.

A new field goes at the end under a new version; the old one keeps being read (tests hold a stored sample of each).
Encoding an inode takes about 1 us, so no record is kept decoded just to save that.
"""

from dataclasses import dataclass
from functools import lru_cache
from struct import Struct
from typing import Any

import msgpack

from onitufs.model.copies import Copy, Place
from onitufs.model.errors import StateError
from onitufs.model.files import Dirent, Inode, Kind, Name
from onitufs.model.ids import ContentId, EntryName, FileId, GenerationId, InodeNumber
from onitufs.model.versions import Version

_packer = msgpack.Packer(autoreset=True, use_bin_type=True)
_pack = _packer.pack
_unpack = msgpack.unpackb
_UINT32 = 0xCE  # how msgpack begins a number that fits into 32 bits
_u32 = Struct(">I").unpack_from


@dataclass(frozen=True, slots=True)
class Unsettled:
    """Why a file is to be looked at: what was changed ("content", "name", "attributes", "deleted", "rules"...)."""

    why: str
    since_ns: int  # wall clock, for people only


@dataclass(frozen=True, slots=True)
class ConflictedCopy:
    """A file that is one side of a conflict, kept under a name that says so.

    `original`: the file that has the name both wanted, 0 if there was none any more. `entry`: whence the kept side is.
    """

    original: FileId
    entry: EntryName
    since_ns: int  # wall clock, for people only


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What an order that began will make of an entry, and by what its object is known after a crash.

    `path`: where it is to stand below the entry's root. `missing`: directories that are made on the way, outermost
    first, and their places.
    """

    file: FileId
    moves: bool  # a Copy that is there already, else it is put
    kind: Kind
    place: Place
    generation: GenerationId
    size: int
    mtime_ns: int
    mode: int
    target: bytes
    path: tuple[bytes, ...]
    missing: tuple[tuple[FileId, Place], ...]


def _read(value: bytes, version: int, what: str) -> Any:
    fields = _unpack(value, use_list=False)
    if fields[0] > version:
        raise StateError(f"{what} record of version {fields[0]}: written by a newer OnituFS; use that version")
    return fields


def pack_inode(i: Inode) -> bytes:
    packed: bytes = _pack(
        (
            2, i.number, i.mode, i.uid, i.gid, i.nlink, i.rdev, i.size, i.blocks, i.atime_ns, i.mtime_ns, i.ctime_ns,
            i.files, i.parent, i.content, i.generation, i.sealed_size, i.sealed_mtime_ns, i.target, i.incomplete,
            i.absent, i.media_type,
        )
    )  # fmt: skip
    return packed


def unpack_inode(value: bytes) -> Inode:
    f = _read(value, 2, "inode")
    absent, media_type = f[20:22] if f[0] > 1 else (False, "")
    return Inode(
        number=InodeNumber(f[1]), mode=f[2], uid=f[3], gid=f[4], nlink=f[5], rdev=f[6], size=f[7], blocks=f[8],
        atime_ns=f[9], mtime_ns=f[10], ctime_ns=f[11], files=f[12], parent=InodeNumber(f[13]),
        content=ContentId(f[14]), generation=GenerationId(f[15]), sealed_size=f[16], sealed_mtime_ns=f[17],
        target=f[18], incomplete=f[19], absent=absent, media_type=media_type,
    )  # fmt: skip


def pack_dirent(d: Dirent) -> bytes:
    packed: bytes = _pack((1, d.inode, d.file, int(d.kind)))
    return packed


def inode_of_dirent(value: bytes) -> InodeNumber:
    """The number alone: listing a directory needs no more, and gets it at a tenth of the price."""
    plain = value[1] == 1 and value[2] == _UINT32
    number: InodeNumber = _u32(value, 3)[0] if plain else _read(value, 1, "directory entry")[1]
    return number


def unpack_dirent(value: bytes) -> Dirent:
    f = _read(value, 1, "directory entry")
    return Dirent(InodeNumber(f[1]), FileId(f[2]), Kind(f[3]))


def pack_name(n: Name) -> bytes:
    packed: bytes = _pack((1, n.parent, n.name, n.inode, int(n.kind)))
    return packed


def unpack_name(value: bytes) -> Name:
    f = _read(value, 1, "name")
    return Name(InodeNumber(f[1]), f[2], InodeNumber(f[3]), Kind(f[4]))


def pack_copy(c: Copy) -> bytes:
    packed: bytes = _pack(
        (
            2, c.file, c.entry, int(c.kind), c.place.parent, c.place.name, c.generation, c.size, c.mtime_ns, c.mode,
            c.rev, c.remote_id, c.digest, c.made, c.verified_ns,
            c.found,
        )
    )  # fmt: skip
    return packed


@lru_cache(4096)  # each is asked for several times while its file is placed, and they never change
def unpack_copy(value: bytes) -> Copy:
    f = _read(value, 2, "copy")
    return Copy(
        file=FileId(f[1]), entry=EntryName(f[2]), kind=Kind(f[3]), place=Place(FileId(f[4]), f[5]),
        generation=GenerationId(f[6]), size=f[7], mtime_ns=f[8], mode=f[9], rev=f[10], remote_id=f[11], digest=f[12],
        made=f[13], verified_ns=f[14], found=f[0] > 1 and f[15],
    )  # fmt: skip


def pack_intent(i: Intent) -> bytes:
    missing = [(file, place.parent, place.name) for file, place in i.missing]
    packed: bytes = _pack(
        (
            1, i.file, i.moves, int(i.kind), i.place.parent, i.place.name, i.generation, i.size, i.mtime_ns, i.mode,
            i.target, i.path, missing,
        )
    )  # fmt: skip
    return packed


def unpack_intent(value: bytes) -> Intent:
    f = _read(value, 1, "intent")
    return Intent(
        file=FileId(f[1]), moves=f[2], kind=Kind(f[3]), place=Place(FileId(f[4]), f[5]), generation=GenerationId(f[6]),
        size=f[7], mtime_ns=f[8], mode=f[9], target=f[10], path=f[11],
        missing=tuple((FileId(file), Place(FileId(parent), name)) for file, parent, name in f[12]),
    )  # fmt: skip


def pack_version(v: Version) -> bytes:
    packed: bytes = _pack(
        (
            1, v.file, v.parent, v.name, v.path, v.generation, v.size, v.mtime_ns, v.mode, v.uid, v.gid, v.incomplete,
            v.ended_ns, v.why, v.by,
        )
    )  # fmt: skip
    return packed


def unpack_version(value: bytes) -> Version:
    f = _read(value, 1, "version")
    return Version(
        file=FileId(f[1]), parent=InodeNumber(f[2]), name=f[3], path=f[4], generation=GenerationId(f[5]), size=f[6],
        mtime_ns=f[7], mode=f[8], uid=f[9], gid=f[10], incomplete=f[11], ended_ns=f[12], why=f[13], by=f[14],
    )  # fmt: skip


def pack_unsettled(u: Unsettled) -> bytes:
    packed: bytes = _pack((1, u.why, u.since_ns))
    return packed


def unpack_unsettled(value: bytes) -> Unsettled:
    f = _read(value, 1, "unsettled")
    return Unsettled(f[1], f[2])


def pack_conflicted_copy(c: ConflictedCopy) -> bytes:
    packed: bytes = _pack((1, c.original, c.entry, c.since_ns))
    return packed


def unpack_conflicted_copy(value: bytes) -> ConflictedCopy:
    f = _read(value, 1, "conflicted copy")
    return ConflictedCopy(FileId(f[1]), EntryName(f[2]), f[3])


def pack_value(value: Any) -> bytes:
    """A META value: any msgpack type."""
    packed: bytes = _pack(value)
    return packed


def unpack_value(value: bytes) -> Any:
    return _unpack(value, use_list=False)
