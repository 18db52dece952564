"""Keys of every stored record: one byte for the table, then big-endian numbers, so that scans come in order.

This module and records.py own the stored form. A change of meaning needs a new SCHEMA number (store.py).
"""

from struct import Struct

from onitufs.model.ids import ContentId, EntryName, FileId, InodeNumber, Seq

_U64 = Struct(">Q")
_pack = _U64.pack

INODE = b"i"  # inode -> Inode
DIRENT = b"d"  # parent inode, name -> Dirent
NAME = b"f"  # file id -> Name
COPY = b"c"  # file id, entry -> Copy
REMOTE = b"r"  # entry, parent file id, name -> file id: which Copy stands at that place
UNSETTLED = b"u"  # file id -> Unsettled
SUBTREE = b"s"  # directory inode -> resume key: everything below is to be asked again
XATTR = b"x"  # inode, name -> value
HOT = b"h"  # inode -> content id: bytes under its sealed generation may have changed, or none is sealed yet
ANY_CONTENT = bytes(8)  # in HOT: whichever content the inode has
ORPHAN = b"o"  # inode -> key of its Version, or b"": no name left, still open when it was written
LOCAL = b"l"  # file id -> b"": placed nowhere, by the rules
INTENT = b"t"  # entry, file id -> Intent: an order that may have been carried out without being recorded
REMOTE_ID = b"j"  # entry, the service's own id of an object -> file id
CONFLICT = b"k"  # file id -> ConflictedCopy: the file was kept beside another one, and nobody has chosen yet
HISTORY = b"y"  # class (one byte), seq that ended it, content id -> Version: bytes that can be brought back
PIN = b"p"  # file id -> b"": the bytes of it, and of all below, are to be here
META = b"m"  # name -> value


def inode(number: InodeNumber) -> bytes:
    return INODE + _pack(number)


def dirents(parent: InodeNumber) -> bytes:
    """Prefix of a directory's entries; the rest of the key is the name."""
    return DIRENT + _pack(parent)


def dirent(parent: InodeNumber, name: bytes) -> bytes:
    return DIRENT + _pack(parent) + name


def name(file: FileId) -> bytes:
    return NAME + _pack(file)


def copies(file: FileId) -> bytes:
    """Prefix of a file's Copies; the rest of the key is the entry's name in UTF-8."""
    return COPY + _pack(file)


def copy(file: FileId, entry: EntryName) -> bytes:
    return COPY + _pack(file) + entry.encode()


def remotes(entry: EntryName, parent: FileId) -> bytes:
    """Prefix of what stands in one remote directory; the rest of the key is the remote name."""
    return REMOTE + entry.encode() + b"\0" + _pack(parent)


def remote_id(entry: EntryName, remote_id: str) -> bytes:
    return REMOTE_ID + entry.encode() + b"\0" + remote_id.encode()


def remote(entry: EntryName, parent: FileId, name: bytes) -> bytes:
    return REMOTE + entry.encode() + b"\0" + _pack(parent) + name


def intents(entry: EntryName) -> bytes:
    """Prefix of the intents on one entry; the rest of the key is the file id."""
    return INTENT + entry.encode() + b"\0"


def intent(entry: EntryName, file: FileId) -> bytes:
    return intents(entry) + _pack(file)


def unsettled(file: FileId) -> bytes:
    return UNSETTLED + _pack(file)


def conflict(file: FileId) -> bytes:
    return CONFLICT + _pack(file)


def local(file: FileId) -> bytes:
    return LOCAL + _pack(file)


def subtree(directory: InodeNumber) -> bytes:
    return SUBTREE + _pack(directory)


def xattrs(inode: InodeNumber) -> bytes:
    return XATTR + _pack(inode)


def xattr(inode: InodeNumber, name: bytes) -> bytes:
    return XATTR + _pack(inode) + name


def hot(inode: InodeNumber) -> bytes:
    return HOT + _pack(inode)


def orphan(inode: InodeNumber) -> bytes:
    return ORPHAN + _pack(inode)


def versions(brief: bool) -> bytes:
    """Prefix of one class of versions, in the order in which they ended: those that lived for moments only, or not."""
    return HISTORY + (b"b" if brief else b"k")


def version(brief: bool, ended: Seq, content: ContentId) -> bytes:
    return versions(brief) + _pack(ended) + _pack(content)


def pin(file: FileId) -> bytes:
    return PIN + _pack(file)


def meta(name: str) -> bytes:
    return META + name.encode()


def number(key: bytes, at: int = 1) -> int:
    """The big-endian number that starts at byte `at` of a key or value."""
    return int.from_bytes(key[at : at + 8], "big")
