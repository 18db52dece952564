"""Mounting, asking, ending: what each command says, and with which status, from the first mount to the last."""

import json
import os
import select
import signal
import socket
import stat
import subprocess
from pathlib import Path
from typing import Any

from .absence import pass_for_placed
from .conftest import Maker
from .harness import ONITUFS, Onitu, end, lives, until
from .trees import files

FINE, USAGE, NO_SUCH, NO_DAEMON, PENDING, TIMED_OUT, RUNNING = 0, 2, 3, 4, 5, 9, 10


def pause(onitu: Onitu, entry: str = "b") -> None:
    onitu.ok("entry", "pause", entry, "--mount", onitu.mnt)


def resume(onitu: Onitu, entry: str = "b") -> None:
    onitu.ok("entry", "resume", entry, "--mount", onitu.mnt)


def one_line(text: str) -> str:
    assert text.endswith("\n")
    assert text.count("\n") == 1, text
    return text


def test_mount_ask_unmount_and_mount_again(new_onitu: Maker) -> None:
    """As a shell has it: the program is executed for each command."""
    onitu = new_onitu(afresh=True)
    onitu.mount()
    assert os.path.ismount(onitu.mnt)
    assert onitu.ok("status", onitu.mnt).startswith("SAFE")
    (onitu.mnt / "x").mkdir()
    (onitu.mnt / "x/report.txt").write_text("saved\n")
    assert "SAFE" in onitu.ok("wait", onitu.mnt)
    said = onitu.ok("whereis", onitu.mnt / "x/report.txt")
    assert "a " in said
    assert "b " in said
    onitu.umount()
    assert not os.path.ismount(onitu.mnt)
    assert os.listdir(onitu.mnt) == []
    assert onitu.run("status", onitu.mnt).returncode == NO_DAEMON
    assert onitu.pid is not None
    assert not lives(onitu.pid)
    onitu.mount()
    assert (onitu.mnt / "x/report.txt").read_text() == "saved\n"
    assert onitu.status()["verdict"] == "safe"


def test_after_an_orderly_end_there_is_nothing_to_recover(onitu: Onitu) -> None:
    """Not even of files that were written again and again until just before."""
    for name in ("one.log", "two.log"):
        for line in range(5):
            with (onitu.mnt / name).open("a") as file:
                file.write(f"line {line}\n")
    onitu.wait()
    onitu.umount()
    onitu.mount()
    assert onitu.status()["verdict"] == "safe"
    assert "recovered after a crash" not in onitu.log()


def test_status_json(onitu: Onitu) -> None:
    (onitu.mnt / "f").write_bytes(b"12345")
    onitu.wait()
    status = onitu.status()
    assert status["v"] == 1
    assert (status["verdict"], status["mount"], status["name"]) == ("safe", str(onitu.mnt), "acceptance")
    assert (status["files"]["all"], status["files"]["pending"], status["files"]["failing"]) == (1, 0, 0)
    assert {entry["name"]: entry["health"] for entry in status["entries"]} == {"a": "up", "b": "up"}


def test_pending_is_said_waited_for_and_ends(onitu: Onitu) -> None:
    """An entry that is paused: status ends with 5, wait with 9 when its time is up; resumed, both with 0."""
    pause(onitu)
    (onitu.mnt / "f.txt").write_text("waiting")
    status = onitu.run("status", onitu.mnt)
    assert status.returncode == PENDING
    assert "1 pending" in status.stdout.splitlines()[0]
    timed_out = onitu.run("wait", onitu.mnt / "f.txt", "--timeout", "1")
    assert timed_out.returncode == TIMED_OUT
    where: dict[str, Any] = json.loads(onitu.ok("whereis", onitu.mnt / "f.txt", "--json"))
    assert where["state"] == "pending"
    assert sorted(where["wanted"]) == ["a", "b"]
    assert [copy["entry"] for copy in where["copies"]] in ([], ["a"])
    resume(onitu)
    onitu.ok("wait", onitu.mnt / "f.txt")
    assert onitu.run("status", onitu.mnt).returncode == FINE
    assert (onitu.roots["b"] / "f.txt").read_text() == "waiting"


def test_a_pause_lasts_over_a_restart(onitu: Onitu) -> None:
    pause(onitu)
    (onitu.mnt / "f.txt").write_text("waiting")
    onitu.kill()
    onitu.mount()
    assert {entry["name"]: entry["health"] for entry in onitu.status()["entries"]}["b"] == "paused"
    assert onitu.run("wait", onitu.mnt, "--timeout", "1").returncode == TIMED_OUT
    assert files(onitu.roots["b"]) == {}
    resume(onitu)
    onitu.wait()


def test_umount_now_leaves_a_durable_queue(onitu: Onitu) -> None:
    pause(onitu)
    (onitu.mnt / "f.txt").write_text("later")
    onitu.umount("--now")
    assert not os.path.ismount(onitu.mnt)
    assert files(onitu.roots["b"]) == {}
    onitu.mount()
    resume(onitu)
    onitu.wait()
    assert (onitu.roots["b"] / "f.txt").read_text() == "later"


def test_umount_with_a_time_limit_says_what_is_left(onitu: Onitu) -> None:
    pause(onitu)
    (onitu.mnt / "f.txt").write_text("later")
    done = onitu.run("umount", onitu.mnt, "--timeout", "1")
    assert done.returncode == TIMED_OUT
    assert "1 file" in done.stdout
    assert not os.path.ismount(onitu.mnt)


def test_umount_of_a_mount_in_use_names_who_uses_it(onitu: Onitu) -> None:
    """Nothing is changed by it, and it goes once the user of it has gone."""
    (onitu.mnt / "d").mkdir()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, cwd=onitu.mnt / "d") as user:
        busy = onitu.run("umount", onitu.mnt)
        assert busy.returncode == NO_DAEMON
        assert f"pid {user.pid}" in busy.stderr
        assert onitu.ok("status", onitu.mnt).startswith("SAFE")
        (onitu.mnt / "d/still").write_text("works")
        user.communicate()
    onitu.umount()
    assert not os.path.ismount(onitu.mnt)


def test_sigterm_unmounts_and_keeps_what_waits(new_onitu: Maker) -> None:
    """In the foreground, as a service manager runs it: it says when it is ready, and SIGTERM ends it with status 0."""
    onitu = new_onitu(afresh=True)
    command = [ONITUFS, "mount", onitu.setup, onitu.mnt, "--state", onitu.state, "--foreground"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, open(onitu.base / "stderr", "w") as stderr:
        manager.bind(str(onitu.base / "notify"))
        manager.settimeout(60)
        environment = onitu.environment | {"NOTIFY_SOCKET": str(onitu.base / "notify")}
        daemon = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stderr=stderr)
        onitu.runs(daemon.pid)
        assert b"READY=1" in manager.recv(4096)
        assert os.path.ismount(onitu.mnt)
        pause(onitu)
        (onitu.mnt / "f.txt").write_text("kept")
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(60) == 0
    assert not os.path.ismount(onitu.mnt)
    onitu.mount()
    assert (onitu.mnt / "f.txt").read_text() == "kept"
    resume(onitu)
    onitu.wait()
    assert (onitu.roots["b"] / "f.txt").read_text() == "kept"


def test_sigterm_of_the_background_daemon(onitu: Onitu) -> None:
    (onitu.mnt / "f.txt").write_text("kept")
    assert onitu.pid is not None
    end(onitu.pid, signal.SIGTERM)
    assert not os.path.ismount(onitu.mnt)
    onitu.mount()
    assert (onitu.mnt / "f.txt").read_text() == "kept"


def test_sighup_reads_the_setup_again_and_places_accordingly(new_onitu: Maker) -> None:
    """b is taken out of the rules, then back in: its copies go, and come again."""
    onitu = new_onitu()
    onitu.mount()
    (onitu.mnt / "d").mkdir()
    (onitu.mnt / "d/f.txt").write_text("everywhere")
    onitu.wait()
    assert set(files(onitu.roots["b"])) == {b"d/f.txt"}
    assert onitu.pid is not None

    def reload(rules: list[Any]) -> None:
        onitu.rules = rules
        onitu.write_setup()
        assert onitu.pid is not None
        os.kill(onitu.pid, signal.SIGHUP)

    def targets() -> list[str]:
        found: list[str] = json.loads(onitu.ok("explain", onitu.mnt / "d/f.txt", "--json"))["targets"]
        return found

    reload([{"match": {"path": "/"}, "sync": ["a"]}])
    until("the new rules hold", lambda: targets() == ["a"])
    onitu.wait()
    assert files(onitu.roots["b"]) == {}
    assert set(files(onitu.roots["a"])) == {b"d/f.txt"}
    reload([{"match": {"path": "/"}, "sync": ["a", "b"]}])
    until("the old rules hold again", lambda: targets() == ["a", "b"])
    onitu.wait()
    assert files(onitu.roots["b"]) == files(onitu.mnt)


def test_another_limit_at_sighup_ends_no_transfer(new_onitu: Maker) -> None:
    """b may be sent so little that the file would take hours; then as much as it takes."""
    onitu = new_onitu()

    def limit(bandwidth: dict[str, str] | None) -> None:
        setup = json.loads(onitu.setup.read_text())
        setup["entries"]["b"] |= {"bandwidth": bandwidth} if bandwidth else {}
        onitu.setup.write_text(json.dumps(setup))

    def entry(name: str) -> dict[str, Any]:
        return next(found for found in onitu.status()["entries"] if found["name"] == name)

    limit({"up": "1 kB/s"})
    onitu.mount()
    (onitu.mnt / "film").write_bytes(os.urandom(20 << 20))
    until("a has it, and b some of it", lambda: files(onitu.roots["a"]) and entry("b")["running"])
    assert files(onitu.roots["b"]) == {}
    since = entry("b")["since"]
    onitu.write_setup()
    assert onitu.pid is not None
    os.kill(onitu.pid, signal.SIGHUP)
    onitu.wait()
    assert files(onitu.roots["b"]) == files(onitu.mnt)
    assert entry("b")["since"] == since


def test_a_broken_setup_at_sighup_changes_nothing(onitu: Onitu) -> None:
    assert onitu.pid is not None
    onitu.setup.write_text("{ this is no JSON")
    os.kill(onitu.pid, signal.SIGHUP)
    (onitu.mnt / "f.txt").write_text("still placed")
    onitu.wait()
    assert files(onitu.roots["b"]) == files(onitu.mnt)


def test_a_second_daemon_on_the_same_state_is_refused(onitu: Onitu, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    second = onitu.run("mount", onitu.setup, other, "--state", onitu.state)
    assert second.returncode == RUNNING
    assert str(onitu.pid) in one_line(second.stderr)
    assert not os.path.ismount(other)
    (onitu.mnt / "f").write_text("the first goes on")
    onitu.wait()


def test_a_second_mount_at_the_same_place_is_refused(onitu: Onitu, tmp_path: Path) -> None:
    second = onitu.run("mount", onitu.setup, onitu.mnt, "--state", tmp_path / "state")
    assert second.returncode == RUNNING
    assert str(onitu.mnt) in one_line(second.stderr)


def test_a_dead_mount_is_cleared_by_the_next(onitu: Onitu) -> None:
    (onitu.mnt / "f.txt").write_text("kept")
    onitu.kill()
    asked = onitu.run("status", onitu.mnt)
    assert asked.returncode == NO_DAEMON
    assert "onitufs mount" in one_line(asked.stderr)
    onitu.mount()
    assert (onitu.mnt / "f.txt").read_text() == "kept"
    assert Path("/proc/self/mounts").read_text().count(str(onitu.mnt)) == 1


def test_umount_clears_a_dead_mount(onitu: Onitu) -> None:
    onitu.kill()
    onitu.umount()
    assert not os.path.ismount(onitu.mnt)
    assert os.listdir(onitu.mnt) == []


def test_a_mount_point_that_is_not_there(new_onitu: Maker) -> None:
    onitu = new_onitu()
    failed = onitu.run("mount", onitu.setup, onitu.base / "nowhere", "--state", onitu.state)
    assert failed.returncode == NO_DAEMON
    assert "nowhere" in one_line(failed.stderr)


def test_a_wrong_setup_names_every_problem_and_mounts_nothing(new_onitu: Maker) -> None:
    onitu = new_onitu()
    onitu.rules = [{"match": {"path": "/"}, "sync": ["a", "bb"]}, {"match": {"paht": "/"}, "sync": ["b"]}]
    onitu.write_setup()
    for command in (("mount", onitu.setup, onitu.mnt, "--state", onitu.state), ("check", "--offline", onitu.setup)):
        failed = onitu.run(*command)
        assert failed.returncode == USAGE
        assert "rules[0].sync[1]" in failed.stderr + failed.stdout
        assert "did you mean 'b'" in failed.stderr + failed.stdout
        assert "paht" in failed.stderr + failed.stdout
    assert not os.path.ismount(onitu.mnt)


def test_check_tries_the_entries(new_onitu: Maker) -> None:
    onitu = new_onitu()
    assert onitu.run("check", onitu.setup).returncode == FINE
    onitu.roots["b"] = onitu.base / "no such disk/b"
    onitu.write_setup()
    assert onitu.run("check", "--offline", onitu.setup).returncode == FINE
    failed = onitu.run("check", onitu.setup)
    assert failed.returncode not in (FINE, 1, USAGE)
    assert str(onitu.roots["b"].parent) in failed.stderr + failed.stdout


def test_paths_that_are_not_there(onitu: Onitu) -> None:
    missing = onitu.run("whereis", onitu.mnt / "nothing.txt")
    assert missing.returncode == NO_SUCH
    assert "nothing.txt" in one_line(missing.stderr)
    assert onitu.run("entry", "pause", "nowhere", "--mount", onitu.mnt).returncode == NO_SUCH
    outside = onitu.run("whereis", "/etc/passwd")
    assert outside.returncode == NO_DAEMON
    assert onitu.run("frobnicate").returncode == USAGE


def test_scrub_finds_and_mends_what_was_changed_behind_our_back(onitu: Onitu) -> None:
    (onitu.mnt / "f.txt").write_text("right")
    (onitu.mnt / "g.txt").write_text("right too")
    onitu.wait()
    assert onitu.run("scrub", "--mount", onitu.mnt).returncode == FINE
    onitu.umount()
    (onitu.roots["b"] / "f.txt").write_text("wrong")
    pass_for_placed(onitu.state, "f.txt", "b", onitu.roots["b"] / "f.txt")  # as a failing disk would
    onitu.mount()
    found = onitu.run("scrub", "--mount", onitu.mnt)
    assert found.returncode == PENDING
    assert "f.txt" in found.stdout
    onitu.wait()
    assert (onitu.roots["b"] / "f.txt").read_text() == "right"
    assert onitu.run("scrub", "--mount", onitu.mnt).returncode == FINE


def test_state_is_for_its_owner_only(onitu: Onitu) -> None:
    (onitu.mnt / "secret").write_text("s")
    onitu.wait()
    assert os.stat(onitu.state).st_mode & 0o777 == 0o700


def foreign_umount(onitu: Onitu) -> int:
    """As somebody who does not know us would do it; returns a descriptor of the daemon, which may go on."""
    assert onitu.pid is not None
    process = os.pidfd_open(onitu.pid)
    subprocess.run(["umount", onitu.mnt], check=True)
    return process


def test_after_a_foreign_umount_what_was_saved_is_still_placed(onitu: Onitu) -> None:
    saved = {f"{n}.txt": str(n) for n in range(300)}
    for name, text in saved.items():
        (onitu.mnt / name).write_text(text)
    process = foreign_umount(onitu)
    assert select.select([process], [], [], 60)[0]  # it ends by itself, and when it is done: the bound is 30 s
    os.close(process)
    for root in onitu.roots.values():
        assert {name: (root / name).read_text() for name in map(os.fsdecode, files(root))} == saved


def test_after_a_foreign_umount_the_daemon_goes_on_for_a_bounded_time(new_onitu: Maker) -> None:
    onitu = new_onitu()
    onitu.mount("-o", "linger=1s")
    pause(onitu)
    (onitu.mnt / "f.txt").write_text("later")
    process = foreign_umount(onitu)
    assert select.select([process], [], [], 60)[0]
    os.close(process)
    assert "ended with work left" in onitu.log()
    onitu.mount()
    resume(onitu)
    onitu.wait()
    assert (onitu.roots["b"] / "f.txt").read_text() == "later"


def test_one_can_mount_again_while_the_daemon_goes_on(onitu: Onitu) -> None:
    pause(onitu)  # so that it does, for as long as it may
    (onitu.mnt / "f.txt").write_text("later")
    process = foreign_umount(onitu)
    onitu.mount()
    assert select.select([process], [], [], 0)[0]
    os.close(process)
    assert (onitu.mnt / "f.txt").read_text() == "later"
    resume(onitu)
    onitu.wait()


def test_other_owners_and_fewer_permissions_are_shown_and_nothing_is_changed(new_onitu: Maker) -> None:
    onitu = new_onitu()
    onitu.mount("-o", "uid=4321,gid=4322,fmask=0137,dmask=027")
    directory = onitu.mnt / "d"
    directory.mkdir()
    (directory / "f.txt").write_text("x")
    (directory / "f.txt").chmod(0o777)
    (directory / "link").symlink_to("f.txt")

    def shown(path: Path) -> tuple[int, int, int]:
        found = path.lstat()
        return found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)

    for _ in range(2):  # as made, and as read again after a restart
        assert shown(onitu.mnt)[:2] == (4321, 4322)
        assert shown(directory) == (4321, 4322, 0o750)
        assert shown(directory / "f.txt") == (4321, 4322, 0o640)
        assert shown(directory / "link") == (4321, 4322, 0o777)
        assert {entry.name: entry.stat().st_uid for entry in os.scandir(directory)}["f.txt"] == 4321
        onitu.umount()
        onitu.mount("-o", "uid=4321,gid=4322,umask=0137,dmask=027")
    onitu.umount()
    onitu.mount()
    assert shown(directory / "f.txt") == (os.geteuid(), os.getegid(), 0o777)
    refused = onitu.run("mount", onitu.setup, onitu.mnt, "-o", "umask=8")
    assert refused.returncode == USAGE
    assert "umask= takes permission bits as octal digits" in refused.stderr
