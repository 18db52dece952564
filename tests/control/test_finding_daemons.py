"""Which daemon a path leads to, and who may be found at all."""

import json
import os
import pwd
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from onitufs.control import runtime
from onitufs.control.client import Conversation
from onitufs.model.errors import NoDaemon, StateError


def fake(mount: str, pid: int = 7) -> runtime.Daemon:
    return runtime.Daemon(pid=pid, started=1, setup="/s", name="n", mount=mount, state="/st", directory="/run/x", uid=0)


def test_the_mount_nearest_to_the_path_is_meant(tmp_path: Path) -> None:
    outer, inner = fake(f"{tmp_path}/a"), fake(f"{tmp_path}/a/b/c")
    daemons = [outer, inner]
    assert runtime.choose(daemons, f"{tmp_path}/a/b/c/d") == (inner, b"/d")
    assert runtime.choose(daemons, f"{tmp_path}/a/b/cc") == (outer, b"/b/cc")
    assert runtime.choose(daemons, f"{tmp_path}/a") == (outer, b"/")
    assert runtime.choose(daemons, f"{tmp_path}/a/b/c/") == (inner, b"/")
    with pytest.raises(NoDaemon, match=f"{tmp_path}/ab: not in a mount of onitufs"):
        runtime.choose(daemons, f"{tmp_path}/ab")


def test_without_a_path_the_only_daemon_is_meant() -> None:
    assert runtime.choose([fake("/m")], None) == (fake("/m"), None)
    with pytest.raises(NoDaemon, match="no daemon runs: start one with `onitufs mount"):
        runtime.choose([], None)
    with pytest.raises(NoDaemon, match=r"2 daemons run: name one by a path in its mount \(/m, /o\)"):
        runtime.choose([fake("/m"), fake("/o")], None)


def test_links_on_the_way_are_followed_and_a_link_that_is_asked_about_is_not(tmp_path: Path) -> None:
    (tmp_path / "mnt/dir").mkdir(parents=True)
    (tmp_path / "shortcut").symlink_to(tmp_path / "mnt/dir")
    (tmp_path / "mnt/dir/link").symlink_to("/etc/passwd")
    daemons = [fake(f"{tmp_path}/mnt")]
    assert runtime.choose(daemons, f"{tmp_path}/shortcut/link")[1] == b"/dir/link"
    assert runtime.choose(daemons, f"{tmp_path}/shortcut/new\udcff")[1] == b"/dir/new\xff"


def test_a_relative_path_counts_from_where_one_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mnt/dir").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "mnt/dir")
    daemons = [fake(f"{tmp_path}/mnt")]
    assert runtime.choose(daemons, ".")[1] == b"/dir"
    assert runtime.choose(daemons, "../x")[1] == b"/x"


def test_the_record_of_a_dead_daemon_is_removed(start_desk, tmp_path: Path) -> None:
    process = start_desk()
    daemon, _ = runtime.find(str(tmp_path / "mnt"))
    process.kill()
    process.wait()
    record = Path(daemon.directory, f"{process.pid}.json")
    assert record.exists()
    with pytest.raises(NoDaemon):
        runtime.find(str(tmp_path / "mnt"))
    assert not record.exists()
    assert not Path(daemon.directory, daemon.socket_name).exists()


def test_a_pid_that_was_given_away_again_is_no_daemon(daemon: runtime.Daemon, tmp_path: Path) -> None:
    record = Path(daemon.directory, f"{daemon.pid}.json")
    record.write_text(json.dumps(json.loads(record.read_text()) | {"started": daemon.started - 1}))
    with pytest.raises(NoDaemon):
        runtime.find(str(tmp_path / "mnt"))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"started": "x"}', "[" * 10000])
def test_a_record_that_is_none_is_passed_over_and_removed(daemon: runtime.Daemon, text: str) -> None:
    bad = Path(daemon.directory, f"{os.getpid()}.json")
    bad.write_text(text)
    assert daemon in runtime.running()
    assert not bad.exists()


def test_socket_and_record_are_for_their_owner_alone(daemon: runtime.Daemon) -> None:
    directory = Path(daemon.directory)
    assert directory.stat().st_mode & 0o7777 == 0o700
    assert (directory / daemon.socket_name).stat().st_mode & 0o7777 == 0o600
    assert (directory / f"{daemon.pid}.json").stat().st_mode & 0o7777 == 0o600


def test_a_runtime_directory_that_others_can_enter_is_refused(tmp_path: Path) -> None:
    open_to_all = tmp_path / "run"
    open_to_all.mkdir()
    open_to_all.chmod(0o711)
    with pytest.raises(StateError, match="has to belong to uid"):
        runtime._open_directory(str(open_to_all), os.geteuid())
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(StateError, match="has to be a directory"):
        runtime._open_directory(str(tmp_path / "link"), os.geteuid())


def test_a_socket_that_somebody_else_listens_on_is_not_spoken_to(daemon: runtime.Daemon) -> None:
    with pytest.raises(NoDaemon, match="somebody else listens there"):
        Conversation(replace(daemon, uid=daemon.uid + 1))


def test_home_and_state_do_not_follow_the_environment() -> None:
    code = "from onitufs.control import runtime; print(runtime.state_directory('my home'), runtime.own_directory())"
    environment = {"HOME": "/nowhere", "XDG_DATA_HOME": "/nowhere", "XDG_RUNTIME_DIR": "/nowhere"}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    state, _, directory = run.stdout.strip().rpartition(" ")
    assert state == f"{pwd.getpwuid(os.geteuid()).pw_dir}/.local/share/onitufs/my home"
    assert not directory.startswith("/nowhere")


@pytest.mark.parametrize(
    ("name", "safe"),
    [("a", "a"), ("été", "été"), ("../x", "%2E.%2Fx"), (".run", "%2Erun"), ("", "%"), ("a%\n", "a%25%0A")],
)
def test_a_setup_name_is_one_visible_directory(name: str, safe: str) -> None:
    assert Path(runtime.state_directory(name)).name == safe
    assert Path(runtime.state_directory(name)).parent == Path(runtime.state_directory("other")).parent


def test_the_record_of_another_user_is_not_removed_and_no_link_of_his_is_followed(tmp_path: Path) -> None:
    theirs = tmp_path / "onitufs"
    theirs.mkdir(mode=0o700)
    (tmp_path / "secret").write_text("{}")
    (theirs / "1.json").symlink_to(tmp_path / "secret")
    (theirs / "2.json").write_text("{}")
    os.mkfifo(theirs / "3.json")
    if os.geteuid() == 0:
        os.chown(theirs, 65534, 65534)
        assert runtime._in_directory(str(theirs), 65534) == []
        assert sorted(path.name for path in theirs.iterdir()) == ["1.json", "2.json", "3.json"]
    else:
        assert runtime._in_directory(str(theirs), os.geteuid()) == []
        assert (tmp_path / "secret").exists()
