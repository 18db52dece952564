"""`mount` as mount(8) and /etc/fstab have it: nothing in the environment, by root and by a user."""

import json
from collections.abc import Iterator

import pytest

from ..acceptance.harness import until
from .conftest import ONITUFS
from .machine import UID, Machine
from .place import Place

WHO = {"root": 0, "user": UID}


@pytest.fixture(params=WHO)
def place(request: pytest.FixtureRequest, machine: Machine) -> Iterator[Place]:
    uid = WHO[request.param]
    name = "".join(c if c.isalnum() else "_" for c in request.node.name)
    place = Place(machine, (machine.home if uid else machine.base) / name, uid)
    machine.write("/etc/fuse.conf", "")
    yield place
    place.end()


def test_a_line_in_fstab_is_enough(place: Place) -> None:
    place.fstab("noauto,user,_netdev,nofail,x-systemd.automount,x-gvfs-show")
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
        place.save(text)
        assert place.ok("/bin/cat", place.mnt / "file") == text
        stopped = place.machine.run(ONITUFS, "umount", place.mnt)
        assert stopped.returncode == 0, stopped.stderr
        assert (place.entry / "file").read_text() == text


def test_what_is_wrong_is_said_through_mount(place: Place) -> None:
    place.fstab("noauto,user")
    place.write_setup({"b": {"driver": "local_storage", "options": {"root": "a"}}})
    done = place.machine.run("/bin/mount", place.mnt, uid=place.uid)
    assert done.returncode != 0
    assert "onitufs: my setup.json: rules[0].sync[0]: no entry 'a'" in done.stderr
    assert not place.is_mounted()

    place.fstab("noauto,user,allow_othre")
    done = place.machine.run("/bin/mount", place.mnt, uid=place.uid)
    assert "onitufs: Invalid value for -o: unknown option 'allow_othre'" in done.stderr


def test_allow_other_lets_others_in_where_root_permits_it(place: Place) -> None:
    place.fstab("noauto,user,allow_other")
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
    place.fstab("noauto,user")
    place.ok("/bin/mount", place.mnt)
    assert place.machine.run(ONITUFS, "status", place.mnt).returncode == 0
    refused = place.machine.run(ONITUFS, "status", place.mnt, uid=65534, environment=("HOME=/tmp",))
    assert refused.returncode != 0
    assert f"belongs to uid {place.uid}: only that user and root may ask" in refused.stderr
    place.ok(ONITUFS, "umount", place.mnt)


def test_programs_run_only_if_asked_and_devices_never(place: Place) -> None:
    place.fstab("noauto,user,exec")
    place.ok("/bin/mount", place.mnt)
    place.ok("/bin/cp", "/bin/true", place.mnt / "true")
    place.ok(place.mnt / "true")
    (line,) = [line for line in place.ok("/bin/mount").splitlines() if f" on {place.mnt} " in line]
    assert "nosuid,nodev" in line
    place.ok(ONITUFS, "umount", place.mnt)
    place.fstab("noauto,user")  # which implies noexec, nosuid, nodev
    place.ok("/bin/mount", place.mnt)
    assert place.machine.run(place.mnt / "true", uid=place.uid).returncode == 126
    place.ok(ONITUFS, "umount", place.mnt)


def test_the_daemon_is_found_whether_sessions_begin_or_end(machine: Machine) -> None:
    """At boot there is none, and a daemon outlives them: where a session's sockets are comes and goes."""
    place = Place(machine, machine.home / "sessions", UID)
    session = f"/run/user/{UID}"

    def begin() -> None:
        place.ok("/bin/mkdir", "-m", "700", session, uid=0)
        place.ok("/bin/chown", str(UID), session, uid=0)

    place.fstab("noauto,user")
    place.ok("/bin/mount", place.mnt)
    begin()
    place.ok(ONITUFS, "status", place.mnt)
    place.ok(ONITUFS, "status", place.mnt, uid=0)
    place.ok(ONITUFS, "umount", place.mnt)

    place.ok("/bin/mount", place.mnt)
    assert place.ok("/bin/ls", f"{session}/onitufs") != ""
    place.ok("/bin/rm", "-r", session, uid=0)
    until("the daemon has moved", lambda: place.run(ONITUFS, "status", place.mnt).returncode == 0)
    begin()
    place.ok(ONITUFS, "status", place.mnt)
    place.ok(ONITUFS, "umount", place.mnt)
