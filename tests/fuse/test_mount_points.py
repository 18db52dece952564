"""Where one can mount, what is said where one cannot, and how a mount ends."""

import errno
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from onitufs.fuse import mount_points
from onitufs.fuse.mounting import Options
from onitufs.model.errors import NoDaemon

from .expecting import fails
from .mounted import Mounted

Maker = Callable[..., Mounted]


def test_source_and_type_are_shown(mounted: Mounted) -> None:
    there = mount_points.mounted_at(str(mounted.root))
    assert there is not None
    assert (there.type, there.source) == ("fuse.onitufs", mounted.options["source"])


def test_a_dead_mount_is_cleared(mount: Maker) -> None:
    mounted = mount().start()
    (mounted.root / "file").write_text("x")
    mounted.kill()
    fails(errno.ENOTCONN, os.listdir, mounted.root)
    mounted.start()
    assert (mounted.root / "file").read_text() == "x"
    assert mounted.end() == 0
    assert mount_points.mounted_at(str(mounted.root)) is None


def test_dead_mounts_on_top_of_each_other_are_cleared(mount: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = mount().start(), mount()
    other.root = one.root
    one.kill()
    other.start()
    other.kill()
    assert mount_points.prepare(str(one.root)) == str(one.root)
    assert mount_points.mounted_at(str(one.root)) is None


def test_a_mount_that_lives_is_left_alone(mounted: Mounted) -> None:
    with pytest.raises(NoDaemon, match=rf"{mounted.root}: .*mounted there already.*umount"):
        mount_points.prepare(str(mounted.root))
    assert os.listdir(mounted.root) is not None


@pytest.mark.parametrize("what", ["absent", "file", "full"])
def test_what_cannot_be_mounted_on(tmp_path: Path, what: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    remedy = {"absent": "mkdir -p", "file": "not a directory", "full": "not empty"}[what]
    with pytest.raises(NoDaemon, match=rf"^{re.escape(str(tmp_path / what))}: .*{remedy}") as caught:
        mount_points.prepare(str(tmp_path / what))
    assert "\n" not in str(caught.value)


def test_a_mount_point_by_way_of_links_and_dots(tmp_path: Path) -> None:
    (tmp_path / "real" / "mnt").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "last").symlink_to("real/mnt")
    expected = os.path.realpath(tmp_path / "real" / "mnt")
    assert mount_points.prepare(str(tmp_path / "link" / "." / ".." / "real" / "mnt")) == expected
    assert mount_points.prepare(str(tmp_path / "last")) == expected


def test_unmounting_what_is_in_use_does_nothing(mount: Maker) -> None:
    mounted = mount().start()
    with open(mounted.root / "file", "w") as file:
        assert mounted.call("unmount", force=False) is False
        file.write("x")
    assert (mounted.root / "file").read_text() == "x"
    mounted.call("opened_at_most", handles=0)
    assert mounted.call("unmount", force=False) is True
    assert mounted.end() == 0
    assert mount_points.mounted_at(str(mounted.root)) is None


def test_ending_a_mount_in_use_keeps_what_was_written(mount: Maker) -> None:
    """Also what write(2) answered and nobody has closed or synced yet."""
    mounted = mount().start()
    fd = os.open(mounted.root / "file", os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"written")
    assert mounted.end() == 0
    assert mount_points.mounted_at(str(mounted.root)) is None
    gone = (errno.ENOTCONN, errno.ECONNABORTED, errno.EIO)
    fails(gone, os.fsync, fd)
    fails(gone, os.close, fd)
    mounted.start()
    assert (mounted.root / "file").read_bytes() == b"written"


def test_ending_a_mount_while_a_read_waits_for_ever(mount: Maker) -> None:
    mounted = mount().start()
    mounted.call("plant", path="dead", text="bytes", times=600_000)
    mounted.call("stall")
    code = "import os,sys\ntry: os.read(os.open(sys.argv[1], 0), 1)\nexcept OSError as e: sys.exit(e.errno)"
    with subprocess.Popen([sys.executable, "-c", code, mounted.root / "dead"]) as reader:
        mounted.call("waiting_for", readers=1)
        assert mounted.end() == 0
        assert reader.wait(30) in (errno.ENOTCONN, errno.ECONNABORTED)


def test_somebody_else_unmounts(mount: Maker) -> None:
    mounted = mount().start()
    (mounted.root / "file").write_text("x")
    mounted.call("opened_at_most", handles=0)
    assert mount_points.unmount(str(mounted.root))
    assert mounted.end() == 0


def test_a_mount_that_others_made_in_the_place_of_ours_stays(mount: Maker) -> None:
    mounted = mount().start()
    there = mount_points.mounted_at(str(mounted.root))
    assert there is not None
    ours_was = str(int(there.connection) + 1)
    assert mount_points.unmount(str(mounted.root), ours_was)
    mount_points.detach(str(mounted.root), ours_was)
    assert mount_points.mounted_at(str(mounted.root)) == there
    assert mount_points.unmount(str(mounted.root), there.connection)
    assert mount_points.mounted_at(str(mounted.root)) is None
    assert mounted.end() == 0


def test_a_read_only_mount(mount: Maker) -> None:
    mounted = mount(read_only=True).start()
    assert os.listdir(mounted.root) == []
    fails(errno.EROFS, (mounted.root / "file").touch)


def test_programs_do_not_run_from_a_noexec_mount(mount: Maker) -> None:
    mounted = mount(exec=False).start()
    (mounted.root / "script").write_text("#!/bin/sh\n")
    (mounted.root / "script").chmod(0o755)
    with pytest.raises(PermissionError):
        os.posix_spawn(mounted.root / "script", ["script"], {})


def test_waiting_requests_do_not_use_up_the_kernels_few(mounted: Mounted) -> None:
    limit = Path("/sys/fs/fuse/connections") / mounted.connection / "max_background"
    assert int(limit.read_text()) >= 1000


def test_what_libfuse_says_gets_into_the_error(tmp_path: Path) -> None:
    source = Options(source="/a,b\\c").to_libfuse()
    assert "fsname=/a\\,b\\\\c" in source
