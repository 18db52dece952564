"""The emulated Dropbox as tests of the driver use it: an entry on it, and what another program does to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from onitufs.drivers import dropbox
from onitufs.drivers.conformance.subject import Entry
from onitufs.drivers.dropbox import names
from onitufs.drivers.dropbox.driver import Dropbox
from onitufs.drivers.dropbox.options import DropboxOptions
from onitufs.drivers.handlers import PRIVATE, RemotePath
from onitufs.drivers.registry import ManifestedDriver
from onitufs.drivers.values import Secret
from tests.dropbox_emulator.fixture import APP_KEY, DropboxEmulator
from tests.dropbox_emulator.remote import Refusal

_emulators: dict[str, DropboxEmulator] = {}


class Emulated(Dropbox):
    """The driver, whose connections lead to the emulator, whatever this process's environment says."""

    def new_session(self) -> requests.Session:
        return _emulators[self._options.token.name].session()


DRIVER = ManifestedDriver(dropbox.DRIVER.manifest, dropbox.DRIVER.options, f"{__name__}:Emulated")


class OnDropbox:
    """An account as another program uses it. Names are those of the mount, as the driver reads and spells them."""

    def __init__(self, emulator: DropboxEmulator, root: str = "") -> None:
        self.control = emulator.control
        self._root = root

    def at(self, path: RemotePath) -> str:
        """The path on Dropbox of what has these names, or of what is to get them."""
        stored = self._root
        for name in path:
            there = [each for each in map(self._name, [f"{stored}/{each}" for each in names.spellings(name)]) if each]
            stored = f"{stored}/{next((each for each in there if names.read(each) == name), names.plain(name))}"
        return stored

    def _name(self, stored: str) -> str:
        """How what stands there is written, "" if nothing does."""
        try:
            return str(self.control.stat(stored)["path"].split("/")[-1])
        except Refusal:
            return ""

    def _listed(self, stored: str) -> set[str]:
        try:
            inside = self.control.list(stored)
        except Refusal:
            return set()
        depth = stored.count("/") + 1
        return {each["path"].split("/")[-1] for each in inside if each["path"].count("/") == depth}

    def read(self, path: RemotePath) -> bytes | None:
        try:
            return self.control.read(self.at(path))
        except Refusal:
            return None

    def write(self, path: RemotePath, data: bytes) -> None:
        self.control.write(self.at(path), data)

    def make_directory(self, path: RemotePath) -> None:
        self.control.mkdir(self.at(path))

    def names(self, path: RemotePath) -> set[bytes]:
        return {names.read(each) for each in self._listed(self.at(path))} - {PRIVATE}

    def move(self, path: RemotePath, to: RemotePath) -> None:
        self.control.move(self.at(path), self.at(to))

    def remove(self, path: RemotePath) -> None:
        self.control.delete(self.at(path))

    @contextmanager
    def broken(self) -> Iterator[None]:
        self.control.settings(offline=True)
        yield
        self.control.settings(offline=False)

    def trash(self) -> list[bytes]:
        return self.control.past()


def entry_on(emulator: DropboxEmulator, directory: Path, root: str = "") -> Entry:
    """An entry that is logged in."""
    token = directory / "token"
    token.write_text(emulator.control.refresh_token() + "\n")
    _emulators[str(token)] = emulator
    options = DropboxOptions(app_key=APP_KEY, token=Secret("file", str(token)), root=root)
    return Entry(driver=DRIVER, options=options, outside=OnDropbox(emulator, root))
