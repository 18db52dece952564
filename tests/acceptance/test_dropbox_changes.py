"""Much that others change on Dropbox comes into a mount for few calls, and nothing that was seen too early counts."""

import os
from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest

from .box import Box, read
from .harness import until


def looks(box: Box, since: int) -> int:
    """Calls to see what stands there."""
    routes = Counter(each["route"] for each in box.control.journal(since=since))
    return routes["files/get_metadata"] + routes["files/list_folder"] + routes["users/get_current_account"]


def told_together(box: Box, *deeds: Callable[[], object]) -> None:
    """Others do all of it before Dropbox tells of any."""
    box.control.fault("files/list_folder/continue", hold="telling")
    deeds[0]()
    box.control.wait_at_gate("telling")
    for deed in deeds[1:]:
        deed()
    box.control.release("telling")


def test_many_files_changed_by_others_do_not_cost_a_call_each(box: Box) -> None:
    files = {f"d{number % 10}/{number}" for number in range(200)}
    for file in files:
        box.control.write(f"/Onitu/{file}", b"old")
    until("all is seen", lambda: set(box.here()) == files)
    box.onitu.wait()

    before = len(box.control.journal())
    for file in files:  # 20 in each directory: so few are told one by one
        box.control.write(f"/Onitu/{file}", b"changed, and longer")
    until("the changes are seen", lambda: {(box.mnt / file).stat().st_size for file in files} == {19})
    assert looks(box, before) < 50

    before = len(box.control.journal())
    gone = {file for file in files if file.endswith("7")}
    for file in gone:
        box.control.delete(f"/Onitu/{file}")
    until("the deletions are seen", lambda: {file for file in files if (box.mnt / file).exists()} == files - gone)
    assert looks(box, before) < 50


def test_what_was_seen_before_an_order_of_ours_ended_is_no_edit(box: Box) -> None:
    for name in "abc":
        box.control.write(f"/Onitu/d/{name}", b"theirs")
    until("they are seen", lambda: set(box.here()) == {"d/a", "d/b", "d/c"})
    box.onitu.wait()
    box.control.fault("files/list_folder", match="/Onitu/d", hold_answer="seen")
    told_together(  # once more, though nothing has changed
        box, *(partial(box.control.mark, f"/Onitu/d/{name}", restricted=False) for name in "abc")
    )
    box.control.wait_at_gate("seen")
    (box.mnt / "d" / "a").write_bytes(b"ours")
    inode = (box.mnt / "d" / "a").stat().st_ino
    box.onitu.wait("d/a")
    box.control.write("/Onitu/d/b", b"theirs, and last")
    box.control.release("seen")
    until("what comes later is seen", lambda: read(box.mnt / "d" / "b") == b"theirs, and last")
    box.onitu.wait()
    assert (box.mnt / "d" / "a").stat().st_ino == inode, "nobody else has changed it"
    assert box.here() == box.there() == {"d/a": b"ours", "d/b": b"theirs, and last", "d/c": b"theirs"}


def test_what_is_placed_again_while_it_is_seen_to_be_gone_stays(box: Box) -> None:
    for name in "abcd":
        box.control.write(f"/Onitu/d/{name}", b"theirs")
    until("they are seen", lambda: len(box.here()) == 4)
    box.onitu.wait()
    box.control.fault("files/list_folder", match="/Onitu/d", skip=1, hold_answer="seen")
    told_together(box, *(partial(box.control.delete, f"/Onitu/d/{name}") for name in "abc"))
    box.control.wait_at_gate("seen")
    (box.mnt / "d" / "a").write_bytes(b"ours")
    box.onitu.wait("d/a")
    box.control.release("seen")
    until("the others are gone", lambda: set(os.listdir(box.mnt / "d")) == {"a", "d"})
    box.onitu.wait()
    assert box.here() == box.there() == {"d/a": b"ours", "d/d": b"theirs"}


@pytest.mark.parametrize("mounted", [True, False], ids=["at once", "while nobody looked"])
@pytest.mark.parametrize("what", ["removed", "renamed"])
def test_another_folder_of_the_same_name_has_nothing_of_the_one_before(box: Box, what: str, mounted: bool) -> None:
    control = box.control
    for name in ("a", "b", "sub/deep"):
        control.write(f"/Onitu/D/{name}", b"old")
    until("they are seen", lambda: len(box.here()) == 3)
    box.onitu.wait()
    deeds = [
        partial(control.delete, "/Onitu/D") if what == "removed" else partial(control.move, "/Onitu/D", "/Onitu/E"),
        partial(control.write, "/Onitu/D/a", b"another"),
        partial(control.mkdir, "/Onitu/D/sub"),
    ]
    if mounted:
        told_together(box, *deeds)
    else:
        box.onitu.umount()
        for deed in deeds:
            deed()
        box.onitu.mount()
    wanted = {"D/a": b"another"}
    if what == "renamed":
        wanted |= {"E/a": b"old", "E/b": b"old", "E/sub/deep": b"old"}
    until("it is as it is there", lambda: box.here() == wanted)
    box.onitu.wait()
    assert box.there() == wanted


@pytest.mark.parametrize("what", ["renamed", "removed"])
def test_what_is_saved_in_a_directory_that_others_renamed_meanwhile_goes_with_it(box: Box, what: str) -> None:
    for name in ("x", "z", "sub/y"):
        box.control.write(f"/Onitu/D/{name}", name[-1:].encode())
    until("they are seen", lambda: len(box.here()) == 3)
    box.onitu.wait()
    box.control.settings(offline=True)
    (box.mnt / "D" / "new").write_bytes(b"new")
    (box.mnt / "D" / "x").write_bytes(b"edited")
    (box.mnt / "D" / "made").mkdir()
    (box.mnt / "D" / "made" / "in it").write_bytes(b"deep")
    until("it is known to be away", lambda: box.health() == "degraded")
    if what == "renamed":
        box.control.move("/Onitu/D", "/Onitu/E")
    else:
        box.control.delete("/Onitu/D")
    box.control.settings(offline=False)
    box.onitu.ok("entry", "resume", "box", "--mount", box.mnt)
    wanted = {"new": b"new", "x": b"edited", "made/in it": b"deep"}
    if what == "renamed":
        wanted = {f"E/{name}": data for name, data in (wanted | {"z": b"z", "sub/y": b"y"}).items()}
    else:
        wanted = {f"D/{name}": data for name, data in wanted.items()}
    until("both sides have it so", lambda: box.here() == box.there() == wanted)
    box.onitu.wait()
    assert os.listdir(box.mnt) == ["E" if what == "renamed" else "D"]
    assert {each["path"] for each in box.control.list("/Onitu") if each["path"].count("/") == 2} <= {
        f"/Onitu/{name}" for name in (*os.listdir(box.mnt), ".onitufs")
    }
