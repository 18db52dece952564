"""Root mounts, as at boot: the daemon is the owner's of the setup, and nothing of root is left in it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import ONITUFS
from .machine import UID, USER, Machine
from .place import Place

LINE = "noauto,user,_netdev,nofail,x-systemd.automount,allow_other"
HELPER = "/usr/sbin/mount.fuse.onitufs"


@pytest.fixture
def place(request: pytest.FixtureRequest, machine: Machine) -> Iterator[Place]:
    """A place of the user's."""
    name = "".join(c if c.isalnum() else "_" for c in request.node.name)
    place = Place(machine, machine.home / name, UID)
    machine.write("/etc/fuse.conf", "")
    yield place
    place.end()
    machine.run("/bin/rm", "-f", HELPER)


def refusal(place: Place, *command: str | Path) -> str:
    """What root's mount says, in one line of ours; nothing is mounted then."""
    done = place.run(*(command or ("/bin/mount", place.mnt)), uid=0)
    assert done.returncode != 0
    assert not place.is_mounted()
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("onitufs: ")]
    return line


@pytest.mark.parametrize("helper", ["mount.fuse3", "ours"])
def test_the_line_serves_the_owner_of_the_setup(place: Place, helper: str) -> None:
    if helper == "ours":
        place.ok(ONITUFS, "install-helper", uid=0)
    place.fstab(LINE)
    place.ok("/bin/mount", place.mnt, uid=0)
    process = place.process()
    for field in ("Uid", "Gid"):
        assert process[field].split() == [str(UID)] * 4, field
    assert process["Groups"] == str(UID)
    assert int(process["CapEff"], 16) == int(process["CapPrm"], 16) == 0

    place.save("mine")
    place.ok(ONITUFS, "wait", place.mnt, "--timeout", "30s")  # the user's own
    place.ok(ONITUFS, "status", place.mnt, uid=0)
    assert ((place.entry / "file").read_text(), (place.entry / "file").stat().st_uid) == ("mine", UID)
    assert (place.machine.home / ".local/share/onitufs" / place.name / "catalog").stat().st_uid == UID
    # root said allow_other, and needs nobody's permission for it
    assert place.ok("/bin/cat", place.mnt / "file", uid=65534) == "mine"
    assert f"{place.setup} on {place.mnt} type fuse.onitufs" in place.ok("/bin/mount")
    place.ok("/bin/umount", place.mnt)  # by the user, whose it is
    assert not place.is_mounted()


def test_root_may_name_another(place: Place) -> None:
    place.ok(ONITUFS, "install-helper", uid=0)
    os.chown(place.setup, 0, 0)
    place.fstab(f"noauto,user,setuid={USER}")
    place.ok("/bin/mount", place.mnt, uid=0)
    assert place.process()["Uid"].split() == [str(UID)] * 4
    place.ok(ONITUFS, "umount", place.mnt)
    place.fstab("noauto,user,setuid=nobody-here")
    assert "setuid=nobody-here: there is no such user" in refusal(place)
    done = place.run(ONITUFS, "mount", place.setup, place.mnt, "-o", "setuid=root")
    assert "only root may mount for somebody else" in done.stderr


def test_root_serves_itself_if_it_says_so(place: Place) -> None:
    place.ok(ONITUFS, "mount", place.setup, place.mnt, "-o", "setuid=root", "--state", place.state, uid=0)
    assert place.process()["Uid"].split() == ["0"] * 4


def test_the_option_setuid_of_mount_fuse3_is_refused(place: Place) -> None:
    """It leaves the user in root's groups, so nothing is made with them; our own helper does better."""
    place.fstab(f"noauto,user,setuid={USER}")
    command = ("/usr/bin/setpriv", "--groups", "0,4", "/bin/mount", place.mnt)
    assert f"{USER} would have the groups of root here" in refusal(place, *command)
    place.ok(ONITUFS, "install-helper", uid=0)
    place.ok(*command, uid=0)
    assert place.process()["Groups"] == str(UID)


def test_nobody_chooses_for_root_whom_it_serves(place: Place) -> None:
    """Neither by a link to another's setup nor by a directory that others may change."""
    link = place.setup.with_name("link.json")
    link.symlink_to(place.setup)
    os.chown(link, 65534, 65534, follow_symlinks=False)
    command = (ONITUFS, "mount", link, place.mnt)
    assert f"others can change {link}: say with -o setuid=USER whom to serve" in refusal(place, *command)
    link.unlink()
    place.setup.parent.chmod(0o777)
    command = ("/bin/mount", "-t", "fuse.onitufs", place.setup, place.mnt)
    assert f"others can change {place.setup.parent}" in refusal(place, *command)
    place.setup.parent.chmod(0o755)
    place.ok(*command, uid=0)


def test_root_mounts_nowhere_where_neither_it_nor_the_user_is_at_home(place: Place) -> None:
    others = place.mnt.with_name("others")
    others.mkdir()
    place.fstab(LINE)
    place.machine.write("/etc/fstab", f"{place.setup} {others} fuse.onitufs {LINE} 0 0\n".replace("my ", "my\\040"))
    done = place.run("/bin/mount", others, uid=0)
    assert f"onitufs: {others}: belongs to uid 0, and the mount is to be of uid {UID}" in done.stderr
    assert done.returncode != 0

    roots = place.machine.base / f"roots-{place.name}"  # above it, only directories of root
    roots.mkdir()
    place.ok("/bin/mount", "-t", "fuse.onitufs", place.setup, roots, uid=0)
    place.ok("/bin/sh", "-c", f"echo x > {roots}/file")
    place.ok(ONITUFS, "umount", roots)


def test_a_daemon_that_does_not_come_up_leaves_no_mount(place: Place) -> None:
    place.fstab(LINE)
    place.write_setup({"b": {"driver": "local_storage", "options": {"root": "a"}}})
    assert "onitufs: my setup.json: rules[0].sync[0]: no entry 'a'" in refusal(place)


def test_what_is_in_it_gives_nobody_roots_rights(place: Place) -> None:
    place.ok(ONITUFS, "mount", place.setup, place.mnt, "-o", "suid,dev,allow_other", uid=0)
    (line,) = [line for line in place.ok("/bin/mount").splitlines() if f" on {place.mnt} " in line]
    assert "nosuid,nodev" in line


def test_in_the_foreground_it_is_the_same(place: Place) -> None:
    """As a service manager that runs as root would do it."""
    mounted = '"$0" mount "$1" "$2" --foreground >/dev/null 2>&1 & until "$0" status "$2"; do :; done'
    place.ok("/bin/sh", "-c", mounted, ONITUFS, place.setup, place.mnt, uid=0)
    assert place.process()["Uid"].split() == [str(UID)] * 4
    place.ok(ONITUFS, "umount", place.mnt)
    assert not place.is_mounted()


def test_the_state_of_a_user_is_never_roots(place: Place) -> None:
    place.ok(ONITUFS, "mount", place.setup, place.mnt, "--state", place.state, uid=0)
    found = [path for path in (place.state, *place.state.rglob("*")) if path.stat().st_uid != UID]
    assert found == []


def test_the_links_of_install_helper(machine: Machine) -> None:
    def run(*options: str) -> list[str]:
        done = machine.run(ONITUFS, "install-helper", *options)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    link = f"/sbin/mount.fuse.onitufs -> {ONITUFS}"
    assert run("--dry-run") == [f"would do: {link}"]  # the other link is there already
    assert run("--dry-run") == [f"would do: {link}"]
    assert run() == [link]
    assert run() == ["nothing to do"]
    machine.run("/bin/ln", "-sf", "/elsewhere/onitufs", HELPER)
    assert run() == [f"{link} (led elsewhere before)"]
    assert run("--uninstall", "--dry-run")[1:] == ["would do: removed /sbin/mount.fuse.onitufs"]
    assert run("--uninstall")[1:] == ["removed /sbin/mount.fuse.onitufs"]
    machine.write(HELPER, "somebody else's")
    done = machine.run(ONITUFS, "install-helper")
    assert done.returncode == 7
    assert done.stderr.startswith("onitufs: /sbin/mount.fuse.onitufs: is there and is no link to an onitufs")
    assert machine.run("/bin/cat", HELPER).stdout == "somebody else's"
    machine.run("/bin/rm", HELPER)
    run()
    refused = machine.run(ONITUFS, "install-helper", "--uninstall", uid=UID)
    assert refused.returncode == 7
    assert "only root may change" in refused.stderr
    run("--uninstall")
    assert run() == [f"/usr/local/bin/onitufs -> {ONITUFS}", link]


def test_what_mount_hands_to_its_helper(place: Place) -> None:
    place.ok(ONITUFS, "install-helper", uid=0)
    place.fstab("noauto,user")
    place.ok("/bin/mount", "-fv", place.mnt)  # only pretends
    assert not place.is_mounted()
    place.ok("/bin/mount", "-n", "-v", place.mnt)
    place.save("by our own helper, as the user")
    place.ok("/bin/umount", place.mnt)
