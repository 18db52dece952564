"""The driver dropbox passes the suite, against the emulator."""

from pathlib import Path

import pytest

from onitufs.drivers.conformance.subject import Entry
from onitufs.drivers.conformance.suite import DriverConformance
from tests.dropbox_emulator.fixture import DropboxEmulator, dropbox_emulator, dropbox_process

from .dropbox_service import entry_on

__all__ = ["dropbox_emulator", "dropbox_process"]


class TestDropbox(DriverConformance):
    @pytest.fixture(autouse=True)
    def _emulator(self, dropbox_emulator: DropboxEmulator) -> None:
        self.emulator = dropbox_emulator

    def new_entry(self, directory: Path) -> Entry:
        return entry_on(self.emulator, directory)
