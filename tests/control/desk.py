"""A small daemon without a mount: a Service whose answers come from a file, behind the real control socket.

    python desk.py GLANCE.json MOUNT STATE

GLANCE.json holds the answer to `status`, and under "answers" those to other questions; it is read at each question.
Prints one line when clients can come.
"""

import json
import os
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import trio

from onitufs.control.server import serve
from onitufs.model.errors import NoSuchPath


class Desk:
    def __init__(self, glance: Path, mount: str, state: str, end: trio.CancelScope) -> None:
        self._glance = glance
        self._mount = mount
        self._state = state
        self._end = end
        self._called_off = trio.Event()

    def status(self) -> dict[str, Any]:
        glance = json.loads(self._glance.read_text())
        glance.pop("answers", None)
        return {"mount": self._mount, "pid": os.getpid(), **glance}

    def _answer(self, question: str) -> Any:
        return json.loads(self._glance.read_text())["answers"][question]

    def entries(self) -> list[dict[str, Any]]:
        return self.status()["entries"]

    def whereis(self, path: bytes) -> dict[str, Any]:
        if path.endswith(b"/missing"):
            raise NoSuchPath(f"{os.fsdecode(path)}: no such file in the mount")
        if path == b"/bug":
            raise RuntimeError("half a thought\nand the rest")
        return {**self._answer("whereis"), "asked": path.hex()}

    def explain(self, path: bytes, media_type: str | None, size: int | None) -> dict[str, Any]:
        return {**self._answer("explain"), "media_type": media_type, "size": size}

    async def wait(self, path: bytes | None, timeout_s: float | None) -> dict[str, Any]:
        if path == b"/until-a-wait-was-called-off":
            await self._called_off.wait()
            return {"done": True}
        if timeout_s is None:
            try:
                await trio.sleep_forever()
            finally:
                self._called_off.set()
        return {**self.status()["files"], "done": self.status()["verdict"] == "safe", "timeout_s": timeout_s}

    def pause(self, entry: str) -> dict[str, Any]:
        if entry not in [known["name"] for known in self.entries()]:
            raise NoSuchPath(f"no entry {entry!r}")
        return {"name": entry, "health": "paused"}

    def resume(self, entry: str, *, accept: bool = False, restore: bool = False) -> dict[str, Any]:
        return {"name": entry, "health": "up"}

    async def scrub(self, entry: str | None) -> AsyncIterator[dict[str, Any]]:
        for answer in self._answer("scrub"):
            await trio.lowlevel.checkpoint()
            yield answer

    def pin(self, path: bytes) -> dict[str, Any]:
        return {**self._answer("pin"), "asked": path.hex()}

    def unpin(self, path: bytes) -> dict[str, Any]:
        return {**self._answer("unpin"), "asked": path.hex()}

    async def free(self, path: bytes) -> AsyncIterator[dict[str, Any]]:
        for answer in self._answer("free"):
            await trio.lowlevel.checkpoint()
            yield answer

    async def history(self, path: bytes) -> AsyncIterator[dict[str, Any]]:
        for answer in self._answer("history"):
            await trio.lowlevel.checkpoint()
            yield {**answer, "asked": path.hex()}

    async def restore(self, path: bytes, rev: str | None, to: bytes | None) -> AsyncIterator[dict[str, Any]]:
        for answer in self._answer("restore"):
            await trio.lowlevel.checkpoint()
            yield {**answer, "asked": [path.hex(), rev, to and to.hex()]}

    async def stop(self, timeout_s: float | None, now: bool) -> dict[str, Any]:
        answer = self._answer("stop")
        if answer == "wait":
            await trio.sleep_forever()
        if not answer["busy"]:
            self._end.cancel()
        return answer

    def log_path(self) -> str:
        return f"{self._state}/log/onitufs.log"


async def main(glance: Path, mount: str, state: str) -> None:
    async with trio.open_nursery() as nursery:
        desk = Desk(glance, mount, state, nursery.cancel_scope)
        await nursery.start(partial(serve, desk, state=state))
        print("open", flush=True)


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]), sys.argv[2], sys.argv[3])
