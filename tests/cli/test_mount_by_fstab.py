"""`mount` as mount(8) and /etc/fstab have it: nothing in the environment, by root and by a user."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import ONITUFS
from .machine import UID, Machine, a_machine

WHO = {"root": 0, "user": UID}


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with a_machine(ONITUFS) as machine:
        yield machine


class Place:
    """A setup with one entry, and a mount point, of one user."""

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

    def run(self, *command: str | Path, **options: object) -> "object":
        return self.machine.run(*command, uid=self.uid, **options)  # type: ignore[arg-type]

    def ok(self, *command: str | Path, environment: tuple[str, ...] = ()) -> str:
        done = self.machine.run(*command, uid=self.uid, environment=environment)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def save(self, text: str) -> None:
        self.ok("/bin/sh", "-c", 'printf %s "$2" > "$1"', "sh", self.mnt / "file", text)

    def is_mounted(self) -> bool:
        return self.machine.run("/bin/mountpoint", "-q", self.mnt).returncode == 0


@pytest.fixture(params=WHO)
def place(request: pytest.FixtureRequest, machine: Machine) -> Iterator[Place]:
    uid = WHO[request.param]
    name = "".join(c if c.isalnum() else "_" for c in request.node.name)
    place = Place(machine, (machine.home if uid else machine.base) / name, uid)
    machine.write("/etc/fuse.conf", "")
    yield place
    if place.is_mounted():
        machine.run(ONITUFS, "umount", "--now", place.mnt, uid=uid)


def fstab(place: Place, options: str) -> None:
    source = str(place.setup).replace(" ", "\\040")
    place.machine.write("/etc/fstab", f"{source} {place.mnt} fuse.onitufs {options} 0 0\n")


def test_a_line_in_fstab_is_enough(place: Place) -> None:
    fstab(place, "noauto,user,_netdev,nofail,x-systemd.automount,x-gvfs-show")
    place.ok("/bin/mount", place.mnt)
    place.save("from fstab")
    place.ok(ONITUFS, "wait", place.mnt, "--timeout", "30s")
    assert (place.entry / "file").read_text() == "from fstab"

    known = json.loads(
        place.ok(ONITUFS, "status", place.mnt, "--json", environment=("HOME=/nowhere", "XDG_RUNTIME_DIR=/x"))
    )
    home = place.machine.home if place.uid else place.machine.base / "root"
    assert known["state"] == f"{home}/.local/share/onitufs/{place.name}"
    assert (known["setup"], known["mount"]) == (str(place.setup), str(place.mnt))
    assert f"{place.setup} on {place.mnt} type fuse.onitufs" in place.ok("/bin/mount")

    place.save("before the umount")
    place.ok("/bin/umount", place.mnt)
    assert not place.is_mounted()


def test_what_is_saved_last_before_a_plain_umount_is_there_again(place: Place) -> None:
    command = [
        "/bin/mount",
        "-t",
        "fuse.onitufs",
        place.setup,
        place.mnt,
        "-o",
        f"noexec,nosuid,nodev,state={place.state}",
    ]
    for text in ("first", "second"):
        mounted = place.machine.run(*command)  # only root may do this without a line in fstab
        assert mounted.returncode == 0, mounted.stderr
        place.machine.run("/bin/sh", "-c", f"printf {text} > '{place.mnt}/file'")
        assert place.machine.run("/bin/cat", place.mnt / "file").stdout == text
        stopped = place.machine.run(ONITUFS, "umount", place.mnt)
        assert stopped.returncode == 0, stopped.stderr
        assert (place.entry / "file").read_text() == text


def test_what_is_wrong_is_said_through_mount(place: Place) -> None:
    fstab(place, "noauto,user")
    place.write_setup({"b": {"driver": "local_storage", "options": {"root": "a"}}})
    done = place.machine.run("/bin/mount", place.mnt, uid=place.uid)
    assert done.returncode != 0
    assert "onitufs: my setup.json: rules[0].sync[0]: no entry 'a'" in done.stderr
    assert not place.is_mounted()

    fstab(place, "noauto,user,allow_othre")
    done = place.machine.run("/bin/mount", place.mnt, uid=place.uid)
    assert "onitufs: Invalid value for -o: unknown option 'allow_othre'" in done.stderr


def test_allow_other_lets_others_in_where_root_permits_it(place: Place) -> None:
    fstab(place, "noauto,user,allow_other")
    if place.uid:
        done = place.machine.run("/bin/mount", place.mnt, uid=place.uid)
        assert done.returncode != 0
        assert "user_allow_other" in done.stderr
        assert "/etc/fuse.conf" in done.stderr
        assert len([line for line in done.stderr.splitlines() if "onitufs: " in line]) == 1
        place.machine.write("/etc/fuse.conf", "user_allow_other\n")
    place.ok("/bin/mount", place.mnt)
    place.save("for all")
    assert place.machine.run("/bin/cat", place.mnt / "file", uid=65534).stdout == "for all"
    place.ok(ONITUFS, "umount", place.mnt)


def test_root_and_the_owner_can_ask_and_nobody_else(place: Place) -> None:
    fstab(place, "noauto,user")
    place.ok("/bin/mount", place.mnt)
    assert place.machine.run(ONITUFS, "status", place.mnt).returncode == 0
    refused = place.machine.run(ONITUFS, "status", place.mnt, uid=65534, environment=("HOME=/tmp",))
    assert refused.returncode != 0
    assert f"belongs to uid {place.uid}: only that user and root may ask" in refused.stderr
    place.ok(ONITUFS, "umount", place.mnt)


def test_programs_run_only_if_asked_and_devices_never(place: Place) -> None:
    fstab(place, "noauto,user,exec")
    place.ok("/bin/mount", place.mnt)
    place.ok("/bin/cp", "/bin/true", place.mnt / "true")
    place.ok(place.mnt / "true")
    (line,) = [line for line in place.ok("/bin/mount").splitlines() if f" on {place.mnt} " in line]
    assert "nosuid,nodev" in line
    place.ok(ONITUFS, "umount", place.mnt)
    fstab(place, "noauto,user")  # which implies noexec, nosuid, nodev
    place.ok("/bin/mount", place.mnt)
    assert place.machine.run(place.mnt / "true", uid=place.uid).returncode == 126
    place.ok(ONITUFS, "umount", place.mnt)
