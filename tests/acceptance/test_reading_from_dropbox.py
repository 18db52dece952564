"""A file that is on Dropbox and on a server is read while Dropbox stops to answer: the program notices nothing."""

import os
from pathlib import Path
from typing import Any

import pytest

from tests.dropbox_emulator.fixture import DropboxEmulator
from tests.sftp.fixtures import NewSshd

from .absence import absent, content_files, mount_with_absent
from .box import Box
from .conftest import Maker
from .harness import until

MIB = 1 << 20
CONTENT = os.urandom(MIB) * 16
PIECE = 1 << 17


@pytest.mark.parametrize("how", ["cut", "silent"])
def test_a_server_goes_on_in_the_middle(
    new_onitu: Maker, new_sshd: NewSshd, dropbox_emulator: DropboxEmulator, how: str
) -> None:
    box = Box(new_onitu(entries=()), dropbox_emulator)
    onitu, control = box.onitu, box.control
    entries: dict[str, Any] = onitu.extra["entries"]
    entries["box"]["velocity"] = 0.9
    entries["server"] = {"driver": "sftp", "options": new_sshd().options(watch="200 ms"), "velocity": 0.09}
    onitu.rules = [{"match": {"path": "/"}, "sync": ["box", "server"]}]
    onitu.write_setup()
    mount_with_absent(onitu, "large", CONTENT)
    before = len(control.journal())
    got = bytearray()
    with open(onitu.mnt / "large", "rb", buffering=0) as file:
        while piece := file.read(PIECE):
            got += piece
            if len(got) == 2 * MIB:
                assert control.journal(route="files/download", since=before), "Dropbox is the faster one"
                misbehaving: dict[str, Any] = {"cut_answer_after": 1000} if how == "cut" else {"hold": "for ever"}
                control.fault("files/download", times=0, **misbehaving)
    assert bytes(got) == CONTENT
    answered = [each for each in control.journal(route="files/download", since=before) if each["ended"] == "answered"]
    assert sum(each["answer_bytes"] for each in answered) < len(CONTENT)
    until("all of it is here", lambda: is_kept(onitu.state))
    control.clear_faults()
    onitu.umount("--now")
    assert not absent(onitu.state, "large"), "what came from two places was compared with what is known"


def is_kept(state: Path) -> bool:
    return any(file.stat().st_blocks * 512 >= len(CONTENT) for file in content_files(state))
