"""How `umount` ends, and what it says on the way."""

import signal
import subprocess

from .conftest import ONITUFS, Desk, Run


def test_all_placed(desk: Desk, onitufs: Run) -> None:
    done = onitufs("umount", desk.mnt)
    assert (done.returncode, done.stdout) == (0, "unmounted; everything is placed\n")
    assert desk.process.wait(20) == 0


def test_the_time_ran_out(desk: Desk, onitufs: Run) -> None:
    desk.says({"stop": {"done": False, "pending": 3, "busy": False}})
    done = onitufs("umount", desk.mnt, "--timeout", "1s")
    assert (done.returncode, done.stdout) == (9, "unmounted; 3 files wait in the local store for the next mount\n")


def test_now_leaves_work_and_that_is_fine(desk: Desk, onitufs: Run) -> None:
    desk.says({"stop": {"done": False, "pending": 1, "busy": False}})
    done = onitufs("umount", "--now", desk.mnt)
    assert (done.returncode, done.stdout) == (0, "unmounted; 1 file waits in the local store for the next mount\n")


def test_a_busy_mount_names_who_keeps_it_busy(desk: Desk, onitufs: Run) -> None:
    desk.says({"stop": {"done": True, "pending": 0, "busy": True}})
    with subprocess.Popen(["sleep", "60"], cwd=desk.mnt) as holder:
        done = onitufs("umount", desk.mnt)
        holder.kill()
    assert done.returncode == 4
    assert done.stderr.startswith(f"onitufs: {desk.mnt}: in use by sleep (pid {holder.pid}: {desk.mnt}): ")
    assert len(done.stderr.splitlines()) == 1
    assert onitufs("status", desk.mnt).returncode == 0, "the daemon goes on"


def test_waiting_says_for_what_and_ctrl_c_leaves_it_mounted(desk: Desk, onitufs: Run) -> None:
    desk.says({"stop": "wait"}, verdict="pending", files={"all": 5, "pending": 3})
    with subprocess.Popen([ONITUFS, "umount", desk.mnt], stderr=-1, text=True) as waiting:
        assert waiting.stderr is not None
        assert "--now leaves the rest" in waiting.stderr.readline()
        assert waiting.stderr.readline() == "waiting: 3 pending\n"
        waiting.send_signal(signal.SIGINT)
        assert "still mounted" in waiting.stderr.read()
        assert waiting.wait(20) == 130
    assert onitufs("status", desk.mnt).returncode == 5


def test_no_daemon_at_all(onitufs: Run, tmp_path) -> None:
    done = onitufs("umount", tmp_path)
    assert done.returncode == 4
    assert done.stderr.startswith(f"onitufs: {tmp_path}: not in a mount of onitufs: ")
