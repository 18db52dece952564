"""x-systemd.automount: the units that systemd makes of the line, and the first look that makes the mount."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import ONITUFS
from .machine import UID, Machine
from .place import Place

AUTOMOUNT = Path(__file__).with_name("automount.py")
LINE = "noauto,user,_netdev,nofail,x-systemd.automount,allow_other"
WHO = {"root": 0, "user": UID}


@pytest.fixture(params=WHO)
def place(request: pytest.FixtureRequest, machine: Machine) -> Iterator[Place]:
    """A place of the user's, or of root's."""
    uid = WHO[request.param]
    name = "".join(c if c.isalnum() else "_" for c in request.node.name)
    place = Place(machine, (machine.home if uid else machine.base) / name, uid)
    yield place
    place.end()
    machine.run("/bin/umount", "-l", place.mnt)


def test_the_first_look_mounts(place: Place) -> None:
    place.fstab(LINE)
    look = [sys.executable, AUTOMOUNT, place.mnt, "/bin/sh", "-c", 'echo seen > "$0/file"; cat "$0/file"', place.mnt]
    assert place.ok(*look, uid=0) == "seen\n"
    assert place.process()["Uid"].split() == [str(place.uid)] * 4
    place.ok(ONITUFS, "umount", place.mnt)
    assert (place.entry / "file").read_text() == "seen\n"


def test_a_first_look_at_what_cannot_be_mounted_ends(place: Place) -> None:
    place.fstab(LINE)
    place.write_setup({"b": {"driver": "local_storage", "options": {"root": "a"}}})
    done = place.run(sys.executable, AUTOMOUNT, place.mnt, "/bin/ls", place.mnt, uid=0)
    assert done.returncode == 2  # of ls
    assert "onitufs: my setup.json: rules[0].sync[0]: no entry 'a'" in done.stderr
    assert "No such file or directory" in done.stderr


def test_the_units_that_systemd_makes_of_the_line(tmp_path: Path) -> None:
    """The line is the one that `mount --print-fstab` prints, blanks and all."""
    setup, point = tmp_path / "my setup.json", tmp_path / "my files"
    line = subprocess.run(
        [ONITUFS, "mount", "--print-fstab", "--allow-other", setup, point], check=True, capture_output=True, text=True
    ).stdout
    (tmp_path / "fstab").write_text(line)
    units = [tmp_path / kind for kind in ("normal", "early", "late")]
    for directory in units:
        directory.mkdir()
    generator = "/usr/lib/systemd/system-generators/systemd-fstab-generator"
    subprocess.run([generator, *units], check=True, env={"SYSTEMD_FSTAB": str(tmp_path / "fstab")})
    name = subprocess.run(
        ["systemd-escape", "--path", point], check=True, capture_output=True, text=True
    ).stdout.strip()
    made = {path.name: path.read_text() for path in units[0].iterdir() if path.is_file()}
    assert set(made) == {f"{name}.mount", f"{name}.automount"}
    mount, automount = made[f"{name}.mount"].splitlines(), made[f"{name}.automount"].splitlines()
    assert f"Where={point}" in mount
    assert f"What={setup}" in mount
    assert "Type=fuse.onitufs" in mount
    (options,) = [text.removeprefix("Options=").split(",") for text in mount if text.startswith("Options=")]
    assert {"user", "_netdev", "allow_other"} <= set(options)
    assert f"Where={point}" in automount
    wanted = {str(path.relative_to(units[0])) for path in units[0].rglob(f"{name}.*") if path.is_symlink()}
    assert wanted == {f"remote-fs.target.wants/{name}.automount"}  # wanted, not required: nofail
    for unit in made:  # systemd itself finds no fault with them
        subprocess.run(["systemd-analyze", "verify", "--man=no", units[0] / unit], check=True, capture_output=True)
