"""The frame around every command: help, errors in one line, start-up that pays for nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from onitufs.cli.failures import told
from onitufs.cli.program import program
from onitufs.cli.show import safe, size
from onitufs.model.errors import AlreadyRunning, Exit, SetupError

from .conftest import ONITUFS, Desk, Run


def commands() -> list[list[str]]:
    context = click.Context(program)
    found = []
    for name in program.list_commands(context):
        command = program.get_command(context, name)
        found.append([name])
        if isinstance(command, click.Group):
            found += [[name, inner] for inner in command.list_commands(context)]
    return found


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_help_has_an_example(onitufs: Run, command: list[str]) -> None:
    done = onitufs(*command, "--help")
    assert done.returncode == 0
    assert "Example" in done.stdout
    assert f"onitufs {' '.join(command)}" in done.stdout.split("Example", 1)[1]


def test_the_help_of_all_lists_them_with_exit_statuses(onitufs: Run) -> None:
    text = onitufs("--help").stdout
    for command in commands():
        if len(command) == 1:
            assert f"\n  {command[0]} " in text
    for status in Exit:
        assert f"{int(status)}  " in text
    assert onitufs().returncode == 2


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["staus"], "onitufs: No such command 'staus'. Did you mean 'status'? (see `onitufs --help`)"),
        (["staus", "here"], "onitufs: No such command 'staus'. Did you mean 'status'? (see `onitufs --help`)"),
        (["entry", "puase"], "onitufs: No such command 'puase'. Did you mean 'pause'? (see `onitufs entry --help`)"),
        (
            ["status", "--wacth"],
            "onitufs: No such option '--wacth'. Did you mean '--watch'? (see `onitufs status --help`)",
        ),
        (["mount", "x"], "onitufs: Missing argument 'MOUNTPOINT'. (see `onitufs mount --help`)"),
        (["wait", "--timeout", "-5m"], None),
        (["log", "-n", "x"], None),
    ],
)
def test_wrong_usage_is_one_line_and_2(onitufs: Run, arguments: list[str], line: str | None) -> None:
    done = onitufs(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    (said,) = done.stderr.splitlines()
    assert said.startswith("onitufs: ")
    if line is not None:
        assert said == line


CLIENTS = [["status"], ["status", "--json"], ["whereis"], ["entry", "list", "-m"], ["umount"]]


@pytest.mark.parametrize("command", CLIENTS, ids=" ".join)
def test_a_client_command_imports_next_to_nothing(desk: Desk, command: list[str]) -> None:
    code = """
import sys
from onitufs.cli.program import run
status = run(sys.argv[1:])
heavy = {"trio", "pydantic", "structlog", "rich", "lmdb", "msgpack", "pyfuse3", "asyncio", "blake3", "wcmatch",
         "importlib.metadata", "onitufs.daemon.core", "onitufs.drivers", "onitufs.setup", "onitufs.daemon.service"}
print(sorted(heavy & set(sys.modules)), file=sys.stderr)
"""
    path = desk.mnt / "missing" if command == ["whereis"] else desk.mnt
    done = subprocess.run([sys.executable, "-c", code, *command, path], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "[]"


def test_a_reader_that_leaves_early_is_no_error(desk: Desk) -> None:
    desk.says(entries=[{"name": f"entry {n}", "health": "up"} for n in range(20000)])
    script = f"{ONITUFS} entry list -m {desk.mnt} | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1:] == ["0"]
    assert done.stderr == ""


def test_a_terminal_that_knows_no_unicode_shows_escapes(desk: Desk, onitufs: Run) -> None:
    desk.says(name="été")
    environment = {**os.environ, "PYTHONIOENCODING": "iso-8859-5"}
    done = onitufs("status", desk.mnt, env=environment)
    assert done.returncode == 0
    assert "\\xe9t\\xe9" in done.stdout


def test_version(onitufs: Run) -> None:
    from onitufs import __version__

    assert onitufs("--version").stdout == f"onitufs {__version__}\n"
    assert onitufs("version").stdout.startswith(f"onitufs {__version__} (Python 3.")
    assert json.loads(onitufs("version", "--json").stdout)["version"] == __version__


def test_drivers_show_their_manifests(onitufs: Run) -> None:
    assert "local_storage" in onitufs("drivers").stdout
    one = onitufs("drivers", "local_storage")
    assert one.returncode == 0
    assert "root" in one.stdout
    answer = json.loads(onitufs("drivers", "local_storage", "--json").stdout)
    assert (answer["v"], answer["name"]) == (1, "local_storage")
    assert [option["name"] for option in answer["options"] if option["required"]] == ["root"]
    unknown = onitufs("drivers", "locale_storage")
    assert unknown.returncode == 2
    assert unknown.stderr == "onitufs: no driver 'locale_storage' (did you mean 'local_storage'?)\n"


def test_what_a_person_is_told_of_errors() -> None:
    assert told(SetupError(["a: x", "b: y"])) == (["a: x", "b: y"], 2)
    group = ExceptionGroup("tasks", [ExceptionGroup("more", [ValueError("x"), AlreadyRunning("pid 7\nholds it")])])
    assert told(group) == (["pid 7 holds it"], 10)
    assert told(FileNotFoundError(2, "No such file or directory", b"/a\xff\n")) == (
        ["/a\\xff\\x0a: No such file or directory"], 3,
    )  # fmt: skip
    (line,), status = told(RuntimeError("what\nelse"))
    assert line.startswith("a bug: RuntimeError: what (see `onitufs log`")
    assert status == 1


def test_a_bug_shows_its_trace_only_when_asked(onitufs: Run, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from onitufs.cli import program; program.program = None; program.run([])"]
    quiet = subprocess.run(command, capture_output=True, text=True, check=False)
    assert len(quiet.stderr.splitlines()) == 1
    assert quiet.stderr.startswith("onitufs: a bug: ")
    loud = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "ONITUFS_DEBUG": "1"}
    )
    assert "Traceback" in loud.stderr


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/plain (1) [x].pdf", "/plain (1) [x].pdf"),
        ("été 漢字 🎉", "été 漢字 🎉"),
        ("\x1b]0;owned\x07", "\\x1b]0;owned\\x07"),
        ("a\nb\tc\r\x00\x7f\x9b", "a\\x0ab\\x09c\\x0d\\x00\\x7f\\x9b"),
        ("gpj.\u202eexe\u2066\u200b", "gpj.\\u202eexe\\u2066\\u200b"),
        ("\udcff\u2028\U000e0001", "\\xff\\u2028\\U000e0001"),
    ],
)
def test_nothing_in_a_name_reaches_the_terminal_as_a_command(text: str, shown: str) -> None:
    assert safe(text) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1023897, "999.9 KiB"), (1048576, "1.0 MiB"),
     (1023 << 10, "1.0 MiB"), (2 << 30, "2.0 GiB"), (1 << 50, "1.0 PiB"), (None, "")],
)  # fmt: skip
def test_sizes(count: int | None, shown: str) -> None:
    assert size(count) == shown
