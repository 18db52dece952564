"""The driver passes the suite that every driver has to pass, against a real sshd; also one that is chrooted."""

import os
import time
from pathlib import Path

import pytest
import trio

from onitufs.drivers.conformance.subject import Entry, connected
from onitufs.drivers.conformance.suite import DriverConformance
from onitufs.drivers.handlers import RemotePath
from tests.disk import Disk

from .driving import new_entry
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

    def new_entry(self, directory: Path) -> Entry:
        entry, root = new_entry(self.server, directory)
        return Entry(driver=entry.driver, options=entry.options, outside=Served(root))


class TestSftp(OverSftp):
    @pytest.fixture(autouse=True)
    def _server(self, sshd: Sshd) -> None:
        self.server = sshd


class TestChrooted(OverSftp):
    @pytest.fixture(autouse=True)
    def _server(self, chrooted_sshd: Sshd) -> None:
        self.server = chrooted_sshd


class TestBare(OverSftp):
    """A server with nothing but the protocol of 2001: no name is replaced in one step there, nor synced.

    What has nothing to do with that is seen above.
    """

    test_a_broken_list_is_an_error = test_awkward_names = test_closed_twice = test_deep_paths = test_known_again = None
    test_ids_outlive_renames = test_lists_awkward_names = test_probe_changes_nothing = test_too_long_a_name = None
    test_tells_of_directories = test_tells_of_files = test_tells_what_was_missed = None

    @pytest.fixture(autouse=True)
    def _server(self, bare_sshd: Sshd) -> None:
        self.server = bare_sshd

    def test_replaces_in_one_step(self, tmp_path: Path) -> None:
        """Not in one: the name may be absent for a moment."""
        entry = self.new_entry(tmp_path)

        async def check() -> None:
            async with connected(entry, tmp_path / "work") as s:
                state = await s.put((b"f",), b"1" * 200_000)
                await s.put((b"f",), b"2" * 200_000, state.rev)
                assert s.outside.read((b"f",)) == b"2" * 200_000
                assert s.outside.trash() == [b"1" * 200_000]
                assert s.outside.names(()) == {b"f"}

        trio.run(check)
