"""What `log` shows, and what never gets into the log."""

import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from onitufs.daemon import logs

from .conftest import ONITUFS, Desk, Run

SPEAK = """
import logging, sys
from pathlib import Path
from onitufs.daemon import logs
from onitufs.model import secrets
import structlog
logs.LARGEST = int(sys.argv[2])
logs.start(Path(sys.argv[1]), stderr=True)
secrets.hide("swordfish")
exec(sys.argv[3])
"""


def speak(directory: Path, code: str, largest: int = logs.LARGEST) -> "subprocess.CompletedProcess[str]":
    """Log something in a process of its own."""
    command = [sys.executable, "-c", SPEAK, directory, str(largest), code]
    return subprocess.run(command, capture_output=True, text=True, check=True)


def read(directory: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (directory / logs.FILE).read_text().splitlines()]


def test_a_line_is_json_with_time_level_and_facts(tmp_path: Path) -> None:
    said = speak(
        tmp_path / "log", 'logging.getLogger("onitufs.x").warning("put %s", "a", extra={"bytes": 7, "path": b"/\\xff"})'
    )
    (line,) = read(tmp_path / "log")
    assert list(line)[:4] == ["time", "level", "logger", "event"]
    assert str(line.pop("time")).endswith("Z")
    assert line == {"level": "warning", "logger": "onitufs.x", "event": "put a", "bytes": 7, "path": "/\\xff"}
    assert "warning put a bytes=7" in said.stderr


def test_structlog_and_its_context_end_there_too(tmp_path: Path) -> None:
    speak(
        tmp_path / "log",
        'structlog.contextvars.bind_contextvars(entry="nas"); structlog.get_logger("y").info("up", n=1)',
    )
    (line,) = read(tmp_path / "log")
    assert (line["event"], line["entry"], line["n"], line["logger"]) == ("up", "nas", 1, "y")


HELD_BACK = """
import logging, sys
from datetime import UTC, datetime
from pathlib import Path
from onitufs.daemon import logs
directory = Path(sys.argv[1])
logs.start(directory, stderr=False, later=True)
log = logging.getLogger("onitufs.x")
log.info("first")
log.info("second")
assert "structlog" not in sys.modules
assert (directory / logs.FILE).read_text() == ""
before = datetime.now(UTC)
exec(sys.argv[2])
"""
WRITTEN = "; assert len((directory / logs.FILE).read_text().splitlines()) == 3"


@pytest.mark.parametrize(
    "code",
    [
        f"log.warning('third'){WRITTEN}",
        f"logs.go_on(); log.info('third'){WRITTEN}",
        "log.info('third')",
        "log.info('third'); logging.shutdown()",
    ],
)
def test_what_is_held_back_while_the_daemon_comes_up_is_written_in_the_end(tmp_path: Path, code: str) -> None:
    code += "; (directory / 'before').write_text(before.isoformat())"
    subprocess.run([sys.executable, "-c", HELD_BACK, tmp_path, code], check=True)
    lines = read(tmp_path)
    assert [line["event"] for line in lines] == ["first", "second", "third"]
    before = (tmp_path / "before").read_text().replace("+00:00", "Z")
    assert str(lines[1]["time"]) <= before <= str(lines[2]["time"])  # when it happened, not when it was written


def test_an_exception_is_told_whole(tmp_path: Path) -> None:
    code = "try:\n    1 / 0\nexcept ZeroDivisionError:\n    logging.getLogger().exception('bad')"
    speak(tmp_path / "log", code)
    assert "Traceback" in str(read(tmp_path / "log")[0]["exception"])


@pytest.mark.parametrize(
    "code",
    [
        'log.info("it is swordfish")',
        'log.info("%s", "swordfish")',
        'log.info("x", extra={"options": {"a": ["swordfish"]}})',
        'log.info("x", extra={"password": "other"})',
        'log.info("x", extra={"options": {"refresh_token": "other", "n": 1}})',
        'log.info("GET https://me:other@example.org/x")',
        'log.info("Authorization: Bearer otherother")',
        'log.info("failed: token=other, code 7")',
        'log.info("x", extra={"error": ValueError("swordfish")})',
        "try:\n    raise ValueError('swordfish')\nexcept ValueError:\n    log.exception('x')",
    ],
)
def test_no_secret_gets_in(tmp_path: Path, code: str) -> None:
    said = speak(tmp_path / "log", f"log = logging.getLogger()\n{code}")
    text = (tmp_path / "log" / logs.FILE).read_text()
    for out in (text, said.stderr):
        assert "swordfish" not in out
        assert "other" not in out
        assert "[redacted]" in out


def test_what_is_no_secret_stays(tmp_path: Path) -> None:
    speak(tmp_path / "log", 'logging.getLogger().info("key a:b at 12:30", extra={"token_valid": True, "keys": ["x"]})')
    (line,) = read(tmp_path / "log")
    assert (line["event"], line["token_valid"], line["keys"]) == ("key a:b at 12:30", True, ["x"])


def test_only_the_owner_reads_it_also_after_rotation(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        speak(tmp_path / "log", "for n in range(100): logging.getLogger().info('line %d', n)", largest=2000)
    finally:
        os.umask(old)
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o700
    files = sorted((tmp_path / "log").iterdir())
    assert [file.name for file in files] == ["onitufs.log", *(f"onitufs.log.{n}" for n in range(1, logs.KEPT + 1))]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert all(file.stat().st_size <= 2000 for file in files)


def test_a_full_disk_loses_lines_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir(mode=0o700)
    (tmp_path / "log" / logs.FILE).symlink_to("/dev/full")
    assert speak(tmp_path / "log", "logging.getLogger().info('x'); print('alive')").stdout == "alive\n"


def test_the_last_lines_are_shown_over_rotations(tmp_path: Path, onitufs: Run) -> None:
    speak(tmp_path / "log", "for n in range(40): logging.getLogger().info('line %d', n)", largest=1500)
    done = onitufs("log", "--state", tmp_path, "-n", "20", "--json")
    assert [json.loads(line)["event"] for line in done.stdout.splitlines()] == [f"line {n}" for n in range(20, 40)]
    assert onitufs("log", "--state", tmp_path, "-n", "1").stdout.rstrip().endswith("  info    line 39")


def test_hostile_lines_are_shown_escaped(tmp_path: Path, onitufs: Run) -> None:
    (tmp_path / "log").mkdir()
    lines = [json.dumps({"time": "T", "level": "info", "event": "a\x1b[31m", "path": "\u202e"}), "no json \x1b", "[1]"]
    (tmp_path / "log" / logs.FILE).write_text("\n".join(lines))
    shown = onitufs("log", "--state", tmp_path).stdout.splitlines()
    assert shown == ["T  info    a\\x1b[31m  path=\\u202e", "no json \\x1b", "[1]"]


def test_following_goes_over_a_rotation(tmp_path: Path) -> None:
    log = tmp_path / "log" / logs.FILE
    log.parent.mkdir()
    log.write_text("0\n")
    with subprocess.Popen([ONITUFS, "log", "--state", tmp_path, "-f", "--json"], stdout=-1, text=True) as following:
        assert following.stdout is not None
        assert following.stdout.readline() == "0\n"
        with log.open("a") as file:
            file.write("1\n2")
            file.flush()
            assert following.stdout.readline() == "1\n"
            log.rename(log.with_suffix(".log.1"))
            file.write("3\n4\n")
        log.write_text("5\n")
        assert [following.stdout.readline() for _ in range(3)] == ["23\n", "4\n", "5\n"]
        following.send_signal(signal.SIGINT)
        assert following.wait(20) == 0


def test_the_daemon_says_where_its_log_is(desk: Desk, onitufs: Run) -> None:
    speak(desk.state / "log", "logging.getLogger().info('hello')")
    assert onitufs("log", "-m", desk.mnt).stdout.rstrip().endswith("hello")


def test_no_log_there(tmp_path: Path, onitufs: Run) -> None:
    done = onitufs("log", "--state", tmp_path)
    assert done.returncode == 3
    assert (
        done.stderr == f"onitufs: {tmp_path}/log/onitufs.log: no log there: no daemon ever used this state directory\n"
    )


def test_starting_again_replaces_what_was_there(tmp_path: Path) -> None:
    speak(
        tmp_path / "log",
        f"logs.start(Path({str(tmp_path)!r}) / 'other', stderr=False); logging.getLogger().info('once')",
    )
    assert read(tmp_path / "log") == []
    assert [line["event"] for line in read(tmp_path / "other")] == ["once"]
    assert logging.getLogger().handlers is not None
