"""get and scan see one truth, wherever a change lies: in either memtable or in LMDB."""

import tempfile
from pathlib import Path

import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from onitufs.catalog import keys
from onitufs.catalog.store import Catalog
from onitufs.content.files import ContentStore
from onitufs.model.ids import InodeNumber

from .conftest import Opener

_parents = st.sampled_from([InodeNumber(1), InodeNumber(256), InodeNumber(257)])
_names = st.binary(min_size=1, max_size=2)
_keys = st.one_of(
    st.builds(keys.dirent, _parents, _names),
    st.builds(keys.inode, _parents),
    st.builds(keys.remote, st.sampled_from(["a", "b", "bb"]), _parents, _names),
    st.builds(keys.copy, _parents, st.sampled_from(["a", "b"])),
    st.builds(keys.unsettled, _parents),
)
_prefixes = st.one_of(
    st.builds(keys.dirents, _parents),
    st.builds(lambda parent, name: keys.dirents(parent) + name, _parents, _names),
    st.builds(keys.remotes, st.sampled_from(["a", "b", "bb"]), _parents),
    st.builds(keys.copies, _parents),
    st.sampled_from([keys.DIRENT, keys.INODE, keys.UNSETTLED, keys.REMOTE, keys.REMOTE + b"b"]),
)
_steps = st.one_of(
    st.tuples(st.just("commit"), st.dictionaries(_keys, st.one_of(st.none(), st.binary(max_size=3)), max_size=6)),
    st.tuples(st.just("fold"), st.none()),
    st.tuples(st.just("freeze"), st.none()),
    st.tuples(st.just("reopen"), st.none()),
    st.tuples(st.just("scan"), st.tuples(_prefixes, st.one_of(st.just(b""), _keys), st.integers(1, 5))),
)


async def _play(directory: Path, steps: list[tuple[str, object]]) -> None:
    content = ContentStore(directory / "content")

    def open_it() -> Catalog:
        return Catalog.open(directory / "catalog", content, segment_bytes=4096)

    catalog, truth = open_it(), dict[bytes, bytes]()
    real = catalog._fold_in_thread
    for what, how in steps:
        if what == "commit":
            assert isinstance(how, dict)
            catalog.commit(how)
            truth = {k: v for k, v in (truth | how).items() if v is not None}
        elif what == "fold":
            await catalog.fold()
        elif what == "freeze":  # a fold that has begun and not ended
            catalog._fold_in_thread = _full_disk  # type: ignore[method-assign]
            try:
                await catalog.fold()
            except OSError:
                assert catalog._frozen is not None
            catalog._fold_in_thread = real  # type: ignore[method-assign]
        elif what == "reopen":
            catalog.close()
            catalog = open_it()
            real = catalog._fold_in_thread
        else:
            assert isinstance(how, tuple)
            prefix, after, limit = how
            wanted = sorted((k, v) for k, v in truth.items() if k.startswith(prefix) and k > after)
            assert catalog.scan(prefix, after, limit) == wanted[:limit]
    for key in truth:
        assert catalog.get(key) == truth[key]
    for prefix in (keys.DIRENT, keys.INODE, keys.REMOTE, keys.COPY, keys.UNSETTLED):
        assert catalog.scan(prefix) == sorted((k, v) for k, v in truth.items() if k.startswith(prefix))
    catalog.close()
    content.close()
    catalog.close()


def _full_disk(*args: object) -> None:
    raise OSError(28, "No space left on device")


@given(st.lists(_steps, max_size=25))
@settings(max_examples=150, deadline=None)
def test_reads_agree_with_a_plain_dict(steps: list[tuple[str, object]]) -> None:
    """Through commits, folds, half folds and restarts."""
    with tempfile.TemporaryDirectory() as directory:
        trio.run(_play, Path(directory), steps)


async def test_a_large_directory_is_read_in_pieces(catalog: Catalog) -> None:
    """By the last key: what is added or removed between two pieces changes neither what was read nor what follows."""
    for number in range(0, 100, 2):
        catalog.commit({keys.dirent(InodeNumber(1), b"%03d" % number): b"folded"})
    await catalog.fold()
    for number in range(1, 100, 2):
        catalog.commit({keys.dirent(InodeNumber(1), b"%03d" % number): b"new"})
    seen: list[bytes] = []
    while rows := catalog.scan(keys.dirents(InodeNumber(1)), seen[-1] if seen else b"", 7):
        seen += [key for key, _ in rows]
        catalog.commit({seen[-1]: None, keys.dirent(InodeNumber(1), b"000"): None})
    assert [key[9:] for key in seen] == [b"%03d" % number for number in range(100)]


def test_reading_and_committing_never_let_others_run(opened: Opener) -> None:
    """Between two awaits the tree belongs to one task."""

    async def use() -> None:
        catalog = opened()
        with trio.testing.assert_no_checkpoints():
            catalog.commit({keys.inode(InodeNumber(5)): b"x"})
            catalog.get(keys.inode(InodeNumber(5)))
            catalog.scan(keys.INODE)
            catalog.request_barrier()

    trio.run(use)
