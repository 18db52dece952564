"""A driver of a server for tests that look at it from close by."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from onitufs.drivers import sftp
from onitufs.drivers.conformance.subject import Entry, Subject, connected
from tests.disk import Disk

from .server import Sshd


def new_entry(server: Sshd, base: Path, **more: Any) -> tuple[Entry, Path]:
    """An entry in a new directory on the server, and that directory."""
    name = uuid.uuid4().hex
    root = server.files / name
    root.mkdir()
    server.give(root)
    raw = server.options(**{"root": f"{server.root}/{name}", "watch": "100 ms"} | more)
    return Entry(driver=sftp.DRIVER, options=sftp.DRIVER.read_options(raw, base, ""), outside=Disk(root)), root


@asynccontextmanager
async def driving(server: Sshd, base: Path, **more: Any) -> AsyncIterator[tuple[Subject, Path]]:
    """A connected driver, and its root."""
    entry, root = new_entry(server, base, **more)
    async with connected(entry, base / "work") as subject:
        yield subject, root
