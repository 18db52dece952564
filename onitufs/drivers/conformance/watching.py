"""What others change is told, wherever it is."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import trio

from onitufs.drivers.handlers import RemotePath, Sighted

from .subject import Subject

PATIENCE_S = 30.0


class Told:
    """What was told, in order."""

    def __init__(self) -> None:
        self.all: list[Sighted] = []
        self._news = trio.Event()

    async def tell(self, sighted: Sighted) -> None:
        self.all.append(sighted)
        self._news.set()
        self._news = trio.Event()

    async def until(self, met: Callable[[], bool], what: str) -> None:
        with trio.move_on_after(PATIENCE_S):
            while not met():
                await self._news.wait()
            return
        raise AssertionError(f"{what} was not told; this was: {self.all}")

    async def first(self) -> Sighted:
        await self.until(lambda: bool(self.all), "anything")
        return self.all[0]

    async def after(self, change: Callable[[], None], *paths: RemotePath) -> None:
        """Make a change; wait until each of the paths is told, itself or with all in a directory above."""
        start = len(self.all)
        change()

        def left() -> list[RemotePath]:
            return [path for path in paths if not any(_covers(each, path) for each in self.all[start:])]

        await self.until(lambda: not left(), repr(paths))


def _covers(sighted: Sighted, path: RemotePath) -> bool:
    return path in sighted.paths or any(path[: len(below)] == below for below in sighted.below)


@asynccontextmanager
async def watched(s: Subject, cursor: str | None = None) -> AsyncIterator[Told]:
    """While inside, changes are told."""
    told = Told()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(s.call, "watch", cursor, told.tell)
        await told.first()
        yield told
        nursery.cancel_scope.cancel()


async def tells_of_files(s: Subject) -> None:
    """New, changed, renamed and removed ones."""
    if "watch" not in s.abilities:
        return
    s.outside.write((b"before",), b"x")
    async with watched(s) as told:
        assert () in told.all[0].below, "what was there before has to be looked at"
        await told.after(lambda: s.outside.write((b"f",), b"one"), (b"f",))
        await told.after(lambda: s.outside.write((b"f",), b"other"), (b"f",))
        await told.after(lambda: s.outside.write((b"before",), b"y"), (b"before",))
        await told.after(lambda: s.outside.move((b"f",), (b"\xff\xfe",)), (b"f",), (b"\xff\xfe",))
        await told.after(lambda: s.outside.remove((b"\xff\xfe",)), (b"\xff\xfe",))


async def tells_of_directories(s: Subject) -> None:
    """Also of what is in new ones, in ones that were moved, and in ones that were removed and made again."""
    if "watch" not in s.abilities:
        return
    s.outside.make_directory((b"old",))
    s.outside.make_directory((b"old", b"in"))

    def nest() -> None:
        path: RemotePath = (b"new",)
        for _ in range(4):
            s.outside.make_directory(path)
            s.outside.write((*path, b"f"), b"x")
            path = (*path, b"deeper")

    async with watched(s) as told:
        await told.after(lambda: s.outside.write((b"old", b"in", b"f"), b"x"), (b"old", b"in", b"f"))
        deep = (b"new", b"deeper", b"deeper", b"deeper")
        await told.after(nest, (b"new", b"f"), (*deep, b"f"))
        await told.after(lambda: s.outside.write((*deep, b"g"), b"x"), (*deep, b"g"))
        await told.after(lambda: s.outside.move((b"new", b"deeper"), (b"old", b"in", b"moved")), (b"new", b"deeper"))
        moved = (b"old", b"in", b"moved", b"deeper", b"deeper")
        await told.after(lambda: s.outside.write((*moved, b"h"), b"x"), (*moved, b"h"))
        await told.after(lambda: s.outside.move((b"old",), (b"older",)), (b"old",), (b"older",))
        moved = (b"older", *moved[1:])
        await told.after(lambda: s.outside.write((*moved, b"h"), b"y"), (*moved, b"h"))
        await told.after(lambda: s.outside.remove((b"older",)), (b"older",))
        await told.after(lambda: s.outside.make_directory((b"older",)), (b"older",))
        await told.after(lambda: s.outside.write((b"older", b"f"), b"x"), (b"older", b"f"))


async def tells_what_was_missed(s: Subject) -> None:
    """With the cursor that was told, what changed meanwhile is told as well, itself or by all that is to be listed."""
    if "watch" not in s.abilities:
        return
    async with watched(s) as told:
        await told.after(lambda: s.outside.write((b"f",), b"one"), (b"f",))
        cursor = told.all[-1].cursor
    s.outside.write((b"missed",), b"x")
    async with watched(s, cursor) as told:
        await told.until(lambda: any(_covers(each, (b"missed",)) for each in told.all), "what was missed")
        await told.after(lambda: s.outside.write((b"f",), b"later"), (b"f",))


async def tells_of_ours_that_went_at_once(s: Subject) -> None:
    """What we placed, and others removed before anybody looked: nothing differs from before, and yet it is told."""
    if "watch" not in s.abilities:
        return
    async with watched(s) as told:
        for path in [(b"f",), (b"g",), (b"h",)]:
            await s.put(path, b"ours")
            await told.after(partial(s.outside.remove, path), path)
        cursor = told.all[-1].cursor
    await s.put((b"i",), b"ours")
    s.outside.remove((b"i",))
    async with watched(s, cursor) as told:
        await told.until(lambda: any(_covers(each, (b"i",)) for each in told.all), "what was missed")
