"""The default list of names that are never placed: what programs leave, and nothing that people keep."""

import pytest

from onitufs.model.files import Kind
from onitufs.model.verdicts import Subject
from onitufs.referee.rules import Rulebook
from onitufs.setup import NEVER

BOOK = Rulebook([], [], NEVER)


def is_never_placed(name: str) -> bool:
    return BOOK.decide(Subject(path=f"/some/where/{name}".encode(), kind=Kind.FILE)).never


@pytest.mark.parametrize(
    "name",
    [
        ".report.txt.swp", ".report.txt.swo", ".report.txt.swx", ".swp", "4913", "report.txt~", "#report.txt#",
        ".#report.txt", ".report.txt.kate-swp", ".~lock.report.odt#", "lu4142x7w1.tmp", "~$report.docx", "~WRD0001.tmp",
        ".goutputstream-AB12CD", ".report.txt.aB3xYz", ".big.iso.x9Kq2L", ".a.ABc2dE", "film.mkv.part",
        "setup.exe.crdownload", "Unconfirmed 12345.crdownload", ".com.google.Chrome.kJ8s2a",
        ".nfs000000000001a2b300000001", ".fuse_hidden0000001a00000002",
    ],
)  # fmt: skip
def test_what_programs_leave(name: str) -> None:
    assert is_never_placed(name)


@pytest.mark.parametrize(
    "name",
    [
        "report.txt", "report.tmp", "data.bak", "a.swp", "film.swf", ".bashrc", ".env.sample", ".env.docker",
        ".notes.202411", ".x.README", ".gitignore", ".github", "part", "part.one", "my.partner", "lua.tmp", "lunch.tmp",
        "index.lock", "~", "~notes", "#1 hit.mp3", ".x.aB.txt", "4913.txt", ".nfsrc", "download",
    ],
)  # fmt: skip
def test_what_people_keep(name: str) -> None:
    assert is_never_placed(name) is (name == "~")


def test_the_directory_of_delayed_updates_goes_with_all_in_it() -> None:
    assert BOOK.decide(Subject(path=b"/a/.~tmp~/report.txt", kind=Kind.FILE)).never
