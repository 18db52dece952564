"""A mount over one emulated Dropbox, as the tests of it use one."""

import os
from pathlib import Path
from typing import Any

from onitufs.drivers.dropbox import names
from tests.dropbox_emulator.fixture import APP_KEY, DropboxEmulator
from tests.dropbox_emulator.remote import Control, Refusal

from .harness import Onitu


class Box:
    """A mount whose every file goes to one Dropbox, and, if so named, to a local folder."""

    def __init__(self, onitu: Onitu, emulator: DropboxEmulator) -> None:
        self.onitu = onitu
        self.mnt = onitu.mnt
        self.control: Control = emulator.control
        token = onitu.base / "token"
        token.write_text(emulator.control.refresh_token())
        onitu.more_environment = emulator.environment
        entries: dict[str, Any] = {
            name: {"driver": "local_storage", "options": {"root": str(root)}} for name, root in onitu.roots.items()
        }
        entries["box"] = {
            "driver": "dropbox",
            "options": {"app_key": APP_KEY, "token": {"file": str(token)}, "root": "/Onitu"},
        }
        onitu.extra = {"entries": entries}
        onitu.rules = [{"match": {"path": "/"}, "sync": list(entries)}]
        onitu.write_setup()

    def there(self) -> dict[str, bytes]:
        """Every file below the entry's folder, by its path as Dropbox has it."""
        try:
            files = [each["path"] for each in self.control.list("/Onitu") if each["is"] == "file"]
        except Refusal:
            return {}
        return {path.removeprefix("/Onitu/"): self.control.read(path) for path in files if "/.onitufs/" not in path}

    def here(self) -> dict[str, bytes]:
        """Every file of the mount, by its path as Dropbox would have it."""
        found = {}
        for directory, _, inside in os.walk(os.fsencode(self.mnt)):
            for name in inside:
                path = os.path.join(directory, name)
                try:
                    with open(path, "rb") as file:
                        data = file.read()
                except FileNotFoundError:
                    continue
                parts = os.path.relpath(path, os.fsencode(self.mnt)).split(b"/")
                found["/".join(names.plain(part) for part in parts)] = data
        return found

    def health(self) -> str:
        return str(next(entry for entry in self.onitu.status()["entries"] if entry["name"] == "box")["health"])

    def lists(self, since: int = 0) -> list[str]:
        """Which folders were listed."""
        return [each["arg"]["path"] for each in self.control.journal(route="files/list_folder", since=since)]


def read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
