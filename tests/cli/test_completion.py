"""What a shell is offered, by the script that the shell itself would run, and the manual page."""

import os
import subprocess

import click
import pytest

from onitufs.cli.program import program

from .conftest import ONITUFS, Desk, Run


def offered(*words: str) -> list[str]:
    """What is offered for the last word, as lines of TYPE,VALUE."""
    environment = {
        **os.environ, "_ONITUFS_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(["onitufs", *words]),
        "COMP_CWORD": str(len(words)),
    }  # fmt: skip
    done = subprocess.run([ONITUFS], env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return [line for line in done.stdout.splitlines() if line]


def test_commands_and_options() -> None:
    assert offered("sta") == ["plain,status"]
    assert offered("entry", "pa") == ["plain,pause"]
    assert "plain,--timeout" in offered("wait", "--t")


def test_names_of_entries(desk: Desk) -> None:
    desk.says(entries=[{"name": "nas", "health": "up"}, {"name": "disk", "health": "up"}])
    assert offered("entry", "pause", "--mount", str(desk.mnt), "n") == ["plain,nas"]
    assert offered("scrub", "--mount", str(desk.mnt), "d") == ["plain,disk"]
    desk.process.kill()
    desk.process.wait()
    assert offered("entry", "pause", "--mount", str(desk.mnt), "n") == []  # and no error in the middle of a line


def test_paths_and_drivers() -> None:
    assert offered("whereis", "/tm") == ["file,/tm"]  # the shell knows what is there
    assert offered("umount", "/tm") == ["dir,/tm"]
    assert offered("mount", "s") == ["file,s"]
    assert offered("drivers", "loc") == ["plain,local_storage"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script(onitufs: Run, shell: str) -> None:
    script = onitufs("completion", shell)
    assert script.returncode == 0
    assert f"_ONITUFS_COMPLETE={shell}_complete" in script.stdout


def test_bash_takes_its_script(onitufs: Run) -> None:
    code = onitufs("completion", "bash").stdout + (
        '\nCOMP_WORDS=(onitufs vers); COMP_CWORD=1; _onitufs_completion onitufs; echo "${COMPREPLY[@]}"'
    )
    environment = {**os.environ, "PATH": f"{os.path.dirname(ONITUFS)}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["version"]


def commands(context: click.Context) -> list[tuple[str, click.Command]]:
    group = context.command
    assert isinstance(group, click.Group)
    found = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        inner = click.Context(command, info_name=name, parent=context)
        found.append((inner.command_path, command))
        if isinstance(command, click.Group):
            found += commands(inner)
    return found


def test_the_manual_page_has_every_command_and_option(onitufs: Run) -> None:
    page = onitufs("man").stdout.replace("\\-", "-").replace("\\&", "")
    headings = [line.removeprefix(".SS ") for line in page.splitlines() if line.startswith(".SS ")]
    for path, command in commands(click.Context(program, info_name="onitufs")):
        assert any(heading == path or heading.startswith(f"{path} ") for heading in headings), path
        assert command.help, path
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert parameter.opts[-1] in page, (path, parameter.opts)
    assert "Exit status:" in page


def test_the_manual_page_is_good_roff(onitufs: Run) -> None:
    known = {".TH", ".SH", ".SS", ".PP", ".TP", ".nf", ".fi", ".B", ".I", ".BR"}
    page = onitufs("man").stdout
    assert page.startswith(".TH ONITUFS 1 ")
    assert {line.split()[0] for line in page.splitlines() if line.startswith((".", "'"))} <= known
