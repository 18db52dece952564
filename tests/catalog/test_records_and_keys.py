"""Stored forms: what is written comes back, old samples still open, newer ones are refused by name."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onitufs.catalog import keys, records
from onitufs.model.copies import Copy, Place
from onitufs.model.errors import StateError
from onitufs.model.files import Dirent, Inode, Kind, Name
from onitufs.model.versions import Version

numbers = st.integers(0, 2**64 - 1)
times = st.integers(-(2**63), 2**63 - 1)
names = st.binary(min_size=1, max_size=255)
kinds = st.sampled_from(Kind)

inodes = st.builds(
    Inode,
    number=numbers, mode=st.integers(0, 0o177777), uid=st.integers(0, 2**32 - 1), gid=st.integers(0, 2**32 - 1),
    nlink=st.integers(0, 65000), rdev=numbers, size=st.integers(0, 2**63), blocks=st.integers(0, 2**54),
    atime_ns=times, mtime_ns=times, ctime_ns=times, files=st.lists(numbers, max_size=5).map(tuple), parent=numbers,
    content=numbers, generation=numbers, sealed_size=st.integers(0, 2**63), sealed_mtime_ns=times,
    target=st.binary(max_size=300), incomplete=st.booleans(),
)  # fmt: skip
copies = st.builds(
    Copy,
    file=numbers, entry=st.text(min_size=1, max_size=20), kind=kinds, place=st.builds(Place, numbers, names),
    generation=numbers, size=st.integers(0, 2**63), mtime_ns=times, mode=st.integers(0, 0o7777), rev=st.text(),
    remote_id=st.text(), digest=st.binary(max_size=32), made=st.booleans(), verified_ns=times,
)  # fmt: skip


@given(inodes)
def test_an_inode_comes_back(inode: Inode) -> None:
    assert records.unpack_inode(records.pack_inode(inode)) == inode


@given(st.builds(Dirent, numbers, numbers, kinds))
def test_a_directory_entry_comes_back(dirent: Dirent) -> None:
    assert records.unpack_dirent(records.pack_dirent(dirent)) == dirent


@given(st.builds(Name, numbers, names, numbers, kinds))
def test_a_name_comes_back(name: Name) -> None:
    assert records.unpack_name(records.pack_name(name)) == name


@given(copies)
def test_a_copy_comes_back(copy: Copy) -> None:
    assert records.unpack_copy(records.pack_copy(copy)) == copy


@given(st.builds(records.Unsettled, st.text(), times))
def test_why_a_file_is_unsettled_comes_back(unsettled: records.Unsettled) -> None:
    assert records.unpack_unsettled(records.pack_unsettled(unsettled)) == unsettled


@given(
    st.builds(
        records.Intent,
        file=numbers, moves=st.booleans(), kind=kinds, place=st.builds(Place, numbers, names), generation=numbers,
        size=st.integers(0, 2**63), mtime_ns=times, mode=st.integers(0, 0o777), target=st.binary(max_size=300),
        path=st.lists(names, max_size=5).map(tuple),
        missing=st.lists(st.tuples(numbers, st.builds(Place, numbers, names)), max_size=3).map(tuple),
    )
)  # fmt: skip
def test_an_intent_comes_back(intent: records.Intent) -> None:
    assert records.unpack_intent(records.pack_intent(intent)) == intent


@given(st.builds(records.ConflictedCopy, numbers, st.text(), times))
def test_a_conflicted_copy_comes_back(conflicted: records.ConflictedCopy) -> None:
    assert records.unpack_conflicted_copy(records.pack_conflicted_copy(conflicted)) == conflicted


@given(
    st.builds(
        Version,
        file=numbers, parent=numbers, name=names, path=names, generation=numbers, size=st.integers(0, 2**63),
        mtime_ns=times, mode=st.integers(0, 0o7777), uid=st.integers(0, 2**32 - 1), gid=st.integers(0, 2**32 - 1),
        incomplete=st.booleans(), ended_ns=times, why=st.text(max_size=20), by=st.text(max_size=20),
    )
)  # fmt: skip
def test_a_version_comes_back(version: Version) -> None:
    assert records.unpack_version(records.pack_version(version)) == version


# One sample of each version of each record that was ever written to a disk. Never change one: add.
STORED: dict[str, tuple[Callable[[bytes], Any], str, Any]] = {
    "inode 1": (
        records.unpack_inode,
        "dc001401cd1234cd81a4cd03e8cd03e90200cd100008ffcf17979cfe3d85cd15cf17979cfe3d85cd1692cd1234cd123500cd1236cd1237"
        "cd0fffcf17979cfe362a0000c40161c3",
        Inode(
            number=0x1234, mode=0o100644, uid=1000, gid=1001, nlink=2, rdev=0, size=4096, blocks=8, atime_ns=-1,
            mtime_ns=1_700_000_000_123_456_789, ctime_ns=1_700_000_000_123_456_790, files=(0x1234, 0x1235), parent=0,
            content=0x1236, generation=0x1237, sealed_size=4095, sealed_mtime_ns=1_700_000_000_000_000_000, target=b"a",
            incomplete=True,
        ),
    ),
    "inode 2": (
        records.unpack_inode,
        "dc001602cd1234cd81a4cd03e8cd03e90100cd100008ffcf17979cfe3d85cd15cf17979cfe3d85cd1691cd123400cd1236cd1237cd0fff"
        "cf17979cfe362a0000c400c2c3a9696d6167652f706e67",
        Inode(
            number=0x1234, mode=0o100644, uid=1000, gid=1001, nlink=1, rdev=0, size=4096, blocks=8, atime_ns=-1,
            mtime_ns=1_700_000_000_123_456_789, ctime_ns=1_700_000_000_123_456_790, files=(0x1234,), parent=0,
            content=0x1236, generation=0x1237, sealed_size=4095, sealed_mtime_ns=1_700_000_000_000_000_000, target=b"",
            absent=True, media_type="image/png",
        ),
    ),
    "conflicted copy 1": (
        records.unpack_conflicted_copy,
        "9401cd1234a36e6173cf17979cfe362a0000",
        records.ConflictedCopy(0x1234, "nas", 1_700_000_000_000_000_000),
    ),
    "directory entry 1": (records.unpack_dirent, "9401cd1234ce0001000002", Dirent(0x1234, 0x10000, Kind.DIRECTORY)),
    "name 1": (
        records.unpack_name,
        "950101c40a7265706f72742e706466cd123401",
        Name(1, b"report.pdf", 0x1234, Kind.FILE),
    ),
    "copy 1": (
        records.unpack_copy,
        "9f01cd1235a36e61730101c40a7265706f72742e706466cd1237cd0fffcf17979cfe362a0000cd01a4a27231a469643a37c42000010203"
        "0405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1fc205",
        Copy(
            file=0x1235, entry="nas", kind=Kind.FILE, place=Place(1, b"report.pdf"), generation=0x1237, size=4095,
            mtime_ns=1_700_000_000_000_000_000, mode=0o644, rev="r1", remote_id="id:7", digest=bytes(range(32)),
            made=False, verified_ns=5,
        ),
    ),
    "copy 2": (
        records.unpack_copy,
        "dc001002cd1235a36e61730101c40a7265706f72742e706466cd1237cd0fffcf17979cfe362a0000cd01a4a27231a469643a37c400c205"
        "c3",
        Copy(
            file=0x1235, entry="nas", kind=Kind.FILE, place=Place(1, b"report.pdf"), generation=0x1237, size=4095,
            mtime_ns=1_700_000_000_000_000_000, mode=0o644, rev="r1", remote_id="id:7", digest=b"", made=False,
            verified_ns=5, found=True,
        ),
    ),
    "unsettled 1": (records.unpack_unsettled, "9301a7636f6e74656e7405", records.Unsettled("content", 5)),
    "version 1": (
        records.unpack_version,
        "9f01cd123501c40a7265706f72742e706466c40b2f7265706f72742e706466cd1237cd0fffcf17979cfe362a0000cd01a4cd03e8cd03e9"
        "c2cf17979cfe71c4ca00a87265706c61636564a36e6173",
        Version(
            file=0x1235, parent=1, name=b"report.pdf", path=b"/report.pdf", generation=0x1237, size=4095,
            mtime_ns=1_700_000_000_000_000_000, mode=0o644, uid=1000, gid=1001, incomplete=False,
            ended_ns=1_700_000_001_000_000_000, why="replaced", by="nas",
        ),
    ),
    "intent 1": (
        records.unpack_intent,
        "9d01cd1235c201cd1234c40166cd123705ffcd01a4c40092c40164c401669193cd123401c40164",
        records.Intent(
            file=0x1235, moves=False, kind=Kind.FILE, place=Place(0x1234, b"f"), generation=0x1237, size=5, mtime_ns=-1,
            mode=0o644, target=b"", path=(b"d", b"f"), missing=((0x1234, Place(1, b"d")),),
        ),
    ),
}  # type: ignore[arg-type]  # fmt: skip


@pytest.mark.parametrize("what", STORED)
def test_what_an_older_release_wrote_still_opens(what: str) -> None:
    unpack, stored, meant = STORED[what]
    assert unpack(bytes.fromhex(stored)) == meant


@pytest.mark.parametrize("what", STORED)
def test_a_record_of_a_newer_version_is_refused_by_name(what: str) -> None:
    unpack, stored, _ = STORED[what]
    newer = bytearray.fromhex(stored)
    newer[3 if newer[0] == 0xDC else 1] = 99  # the first element of the array
    with pytest.raises(StateError, match=f"{what.rpartition(' ')[0]} record of version 99.*newer"):
        unpack(bytes(newer))


@given(numbers, numbers, names, names)
def test_entries_of_a_directory_sort_by_name_and_stay_apart_from_the_next(
    parent: int, other: int, name: bytes, later: bytes
) -> None:
    """So that a scan of one prefix lists one directory, in order of names."""
    one, two = keys.dirent(parent, name), keys.dirent(parent, later)  # type: ignore[arg-type]
    assert (one < two) == (name < later)
    assert one.startswith(keys.dirents(parent))  # type: ignore[arg-type]
    if other != parent:
        assert not keys.dirent(other, name).startswith(keys.dirents(parent))  # type: ignore[arg-type]


@given(numbers, st.text(min_size=1, max_size=60).filter(lambda t: "\0" not in t), names)
def test_numbers_are_read_back_from_keys(file: int, entry: str, name: bytes) -> None:
    assert keys.number(keys.name(file)) == file  # type: ignore[arg-type]
    assert keys.number(keys.dirent(file, name)) == file  # type: ignore[arg-type]
    assert keys.copy(file, entry)[9:].decode() == entry  # type: ignore[arg-type]
    prefix = keys.remotes(entry, file)  # type: ignore[arg-type]
    assert keys.remote(entry, file, name) == prefix + name  # type: ignore[arg-type]


@given(st.booleans(), numbers, numbers)
def test_versions_sort_by_when_they_ended(brief: bool, ended: int, content: int) -> None:
    key = keys.version(brief, ended, content)  # type: ignore[arg-type]
    assert key.startswith(keys.versions(brief))
    assert (keys.number(key, 2), keys.number(key, 10)) == (ended, content)
    if ended:
        assert keys.version(brief, ended - 1, content) < key  # type: ignore[arg-type]


def test_the_longest_key_fits_the_store() -> None:
    """LMDB takes keys of up to 511 bytes; names have up to 255."""
    assert len(keys.dirent(2**64 - 1, b"n" * 255)) <= 511  # type: ignore[arg-type]
    assert len(keys.xattr(2**64 - 1, b"n" * 255)) <= 511  # type: ignore[arg-type]
    assert len(keys.remote("e" * 240, 2**64 - 1, b"n" * 255)) <= 511  # type: ignore[arg-type]
