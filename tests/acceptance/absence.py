"""Makes placed files absent, as if they had been found on the entries: their bytes are there only."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from onitufs.catalog import keys
from onitufs.catalog.records import pack_copy, pack_inode, unpack_copy, unpack_inode
from onitufs.catalog.store import Catalog
from onitufs.content.files import ContentStore
from onitufs.drivers.local_storage.tree import rev_of
from onitufs.model.ids import ContentId, EntryName, Seq
from onitufs.volume import Volume
from onitufs.volume.space import Space

from .harness import Onitu


def forget_bytes(state: Path, paths: Iterable[str], *, keep_digest: bool = True) -> None:
    """While no daemon runs: what is at these paths of the mount is no longer here."""
    content = ContentStore(state / "content")
    catalog = Catalog.open(state / "catalog", content)
    volume = Volume(catalog, content, Space(state), owner=(0, 0))
    for path in paths:
        inode = volume.resolve(b"/" + path.encode())[1]
        gone, inode.content, inode.absent = inode.content, ContentId(0), True
        catalog.commit({keys.inode(inode.number): pack_inode(inode)})
        content.let_go(gone, Seq(catalog.next_seq - 1))
        for file in inode.files:
            for key, value in catalog.scan(keys.copies(file)):
                if not keep_digest:
                    copy = unpack_copy(value)
                    object.__setattr__(copy, "digest", b"")
                    catalog.commit({key: pack_copy(copy)})
    catalog.close()


def mount_with_absent(onitu: Onitu, name: str, data: bytes) -> None:
    """Mount with one file in the root whose bytes are on the entries only."""
    onitu.mount()
    (onitu.mnt / name).write_bytes(data)
    onitu.wait()
    onitu.umount()
    forget_bytes(onitu.state, [name])
    onitu.mount()


def absent(state: Path, path: str) -> bool:
    """While no daemon runs: whether the bytes of a file are not here."""
    content = ContentStore(state / "content")
    catalog = Catalog.open(state / "catalog", content)
    try:
        inode = Volume(catalog, content, Space(state), owner=(0, 0)).resolve(b"/" + path.encode())[1]
        return unpack_inode(catalog.get(keys.inode(inode.number)) or b"").absent
    finally:
        catalog.close()


def pass_for_placed(state: Path, path: str, entry: str, real: Path) -> None:
    """While no daemon runs: what lies at `real` has, but for its bytes, all that the Copy on the entry says."""
    content = ContentStore(state / "content")
    catalog = Catalog.open(state / "catalog", content)
    file = Volume(catalog, content, Space(state), owner=(0, 0)).resolve(b"/" + path.encode())[0]
    key = keys.copy(file, EntryName(entry))
    copy = unpack_copy(catalog.get(key) or b"")
    catalog.commit({key: pack_copy(replace(copy, rev=rev_of(real.stat())))})
    catalog.close()


def content_files(state: Path) -> list[Path]:
    return [path for path in (state / "content").rglob("*") if path.is_file()]
