"""A setup with one entry, and a mount point, on a machine of one's own."""

import json
import os
import subprocess
from pathlib import Path

from .conftest import ONITUFS
from .machine import Machine


class Place:
    """All of it belongs to `uid`, who also runs what run() runs."""

    def __init__(self, machine: Machine, base: Path, uid: int) -> None:
        self.machine, self.uid, self.name = machine, uid, base.name
        self.mnt, self.setup, self.entry, self.state = base / "mnt", base / "my setup.json", base / "a", base / "state"
        for directory in (base, self.mnt, self.entry):
            directory.mkdir()
        self.write_setup({"a": {"driver": "local_storage", "options": {"root": "a"}}})
        for path in (base, self.mnt, self.entry, self.setup):
            os.chown(path, uid, uid)

    def write_setup(self, entries: dict[str, object]) -> None:
        rules = [{"match": {"path": "/"}, "sync": ["a"]}]
        self.setup.write_text(json.dumps({"name": self.name, "entries": entries, "rules": rules}))

    def run(self, *command: str | Path, uid: int | None = None) -> "subprocess.CompletedProcess[str]":
        return self.machine.run(*command, uid=self.uid if uid is None else uid)

    def ok(self, *command: str | Path, environment: tuple[str, ...] = (), uid: int | None = None) -> str:
        done = self.machine.run(*command, uid=self.uid if uid is None else uid, environment=environment)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def save(self, text: str) -> None:
        self.ok("/bin/sh", "-c", 'printf %s "$2" > "$1"', "sh", self.mnt / "file", text)

    def is_mounted(self) -> bool:
        """By the kernel's list, in which a mount stays when nobody serves it any more."""
        return f" {self.mnt} fuse.onitufs " in self.machine.run("/bin/cat", "/proc/self/mounts").stdout

    def fstab(self, options: str) -> None:
        """The line that mounts it is all of /etc/fstab."""
        source = str(self.setup).replace(" ", "\\040")
        self.machine.write("/etc/fstab", f"{source} {self.mnt} fuse.onitufs {options} 0 0\n")

    def process(self) -> dict[str, str]:
        """What the kernel says of the daemon, by field of /proc/PID/status."""
        pid = json.loads(self.run(ONITUFS, "status", self.mnt, "--json", uid=0).stdout)["pid"]
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def end(self) -> None:
        if self.is_mounted():
            self.machine.run(ONITUFS, "umount", "--now", self.mnt)
