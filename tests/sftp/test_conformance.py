"""The driver passes the suite that every driver has to pass, against a real sshd; also one that is chrooted."""

import os
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from onitufs.drivers import sftp
from onitufs.drivers.conformance.subject import Entry
from onitufs.drivers.conformance.suite import DriverConformance
from onitufs.drivers.handlers import RemotePath
from tests.disk import Disk

from .server import Sshd


class Served(Disk):
    """The served directory, past the server. Each content gets another second: the protocol tells no less."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._second = int(time.time()) - 1_000_000

    def write(self, path: RemotePath, data: bytes) -> None:
        super().write(path, data)
        self._second += 1
        os.utime(self._path(path), (self._second, self._second))


class OverSftp(DriverConformance):
    server: Sshd
    more: dict[str, Any]

    def new_entry(self, directory: Path) -> Entry:
        name = uuid.uuid4().hex
        root = self.server.files / name
        root.mkdir()
        self.server.give(root)
        raw = self.server.options(root=f"{self.server.root}/{name}", watch="100 ms")
        options = sftp.DRIVER.read_options(raw, directory, "")
        return Entry(driver=sftp.DRIVER, options=options, outside=Served(root))


class TestSftp(OverSftp):
    @pytest.fixture(autouse=True)
    def _server(self, sshd: Sshd) -> None:
        self.server = sshd


class TestChrooted(OverSftp):
    @pytest.fixture(autouse=True)
    def _server(self, chrooted_sshd: Sshd) -> None:
        self.server = chrooted_sshd
