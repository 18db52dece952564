"""Large files are begun with while they are written."""

import os
from pathlib import Path

import trio

from onitufs.content.early import EARLY_BYTES, EarlyWriting
from onitufs.model.ids import ContentId
from onitufs.model.writeback import begin_write
from tests.volume.conftest import Life


def test_the_system_takes_the_call(tmp_path: Path) -> None:
    """A wrong one would go unnoticed: it only begins what happens anyway."""
    with open(tmp_path / "file", "wb") as file:
        file.write(b"x" * 100_000)
        file.flush()
        assert begin_write(file.fileno())
    source, sink = os.pipe()
    try:
        assert not begin_write(sink)
    finally:
        os.close(source)
        os.close(sink)


async def test_a_file_that_has_gone_ends_nothing(tmp_path: Path) -> None:
    opened: list[int] = []
    done = trio.Event()

    def open_content(content: ContentId) -> int:
        opened.append(content)
        if content == 3:
            trio.from_thread.run_sync(done.set)
        return os.open(tmp_path / str(content), os.O_RDWR)

    (tmp_path / "3").write_bytes(b"x")
    early = EarlyWriting(open_content)
    for number in (1, 2, 3, 3):
        early.ask(ContentId(number))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(early.run)
        await done.wait()
        nursery.cancel_scope.cancel()
    assert opened == [1, 2, 3]


async def test_a_volume_has_large_files_begun_while_they_are_written(tmp_path: Path) -> None:
    life = Life(tmp_path / "state")
    begun: list[int] = []
    came = trio.Event()

    def open_content(content: ContentId) -> int:
        begun.append(content)
        trio.from_thread.run_sync(came.set)
        return life.content.open(content)

    life.volume.early = EarlyWriting(open_content)
    async with trio.open_nursery() as nursery:
        await nursery.start(life.volume.run)
        life.make(b"small", bytes(EARLY_BYTES - 1))
        large = life.make(b"large", bytes(EARLY_BYTES))
        await came.wait()
        nursery.cancel_scope.cancel()
    name = life.volume.name(large)
    assert name is not None
    assert begun == [life.volume.peek(name.inode).content]
