"""An entry on Dropbox, through a real mount: what is saved is there, what others do there is here; trouble passes."""

import os
import random
import threading

import pytest

from tests.dropbox_emulator.fixture import DropboxEmulator
from tests.dropbox_emulator.remote import Refusal

from .box import Box, read
from .conftest import Maker
from .harness import until

MIB = 1024 * 1024


def test_saved_here_is_there_and_changed_there_is_here(box: Box) -> None:
    (box.mnt / "A" / "b").mkdir(parents=True)
    (box.mnt / "A" / "b" / "f").write_bytes(b"one")
    os.utime(box.mnt / "A" / "b" / "f", (1_500_000_000, 1_500_000_000))
    (box.mnt / "ends\\with ").write_bytes(b"two")
    (box.mnt / "large").write_bytes(os.urandom(3 * MIB))
    box.onitu.wait()
    assert box.there() == box.here()
    assert set(box.there()) == {"A/b/f", "ends\u285cwith\u2820", "large"}

    # edited in the mount, as editors save
    (box.mnt / "A" / "b" / "f.tmp").write_bytes(b"edited here")
    os.rename(box.mnt / "A" / "b" / "f.tmp", box.mnt / "A" / "b" / "f")
    box.onitu.wait()
    until("there, too", lambda: box.there() == box.here())

    control = box.control
    control.write("/Onitu/theirs/new.txt", b"from there")
    control.write("/Onitu/a/B/F", b"edited there")
    until("the new file is seen", lambda: read(box.mnt / "theirs" / "new.txt") == b"from there")
    until("the edit is seen", lambda: read(box.mnt / "A" / "b" / "f") == b"edited there")
    inode = (box.mnt / "A" / "b" / "f").stat().st_ino
    control.move("/Onitu/A/b", "/Onitu/moved")
    until("the move is seen", lambda: read(box.mnt / "moved" / "f") == b"edited there")
    assert (box.mnt / "moved" / "f").stat().st_ino == inode, "a rename there is a rename here"
    control.delete("/Onitu/moved/f")
    until("the deletion is seen", lambda: not (box.mnt / "moved" / "f").exists())

    before = len(control.journal())
    os.rename(box.mnt / "theirs", box.mnt / "Renamed")
    box.onitu.wait()
    assert control.read("/Onitu/Renamed/new.txt") == b"from there"
    assert len(control.journal(route="files/move_v2", since=before)) == 1
    assert not control.journal(route="files/upload*", since=before)


def test_names_that_dropbox_takes_for_one_are_two_here(box: Box) -> None:
    (box.mnt / "readme").write_bytes(b"small")
    box.onitu.wait()
    (box.mnt / "README").write_bytes(b"large")
    (box.mnt / "e\u0301").write_bytes(b"decomposed")
    (box.mnt / "\u00e9").write_bytes(b"composed")
    with open(os.fsencode(box.mnt) + b"/\xff\xfe", "wb") as file:
        file.write(b"no text")
    box.onitu.wait()
    assert len(box.there()) == 5
    assert box.control.read("/Onitu/readme") == b"small"
    (box.mnt / "readme").unlink()
    box.onitu.wait()
    assert read(box.mnt / "README") == b"large"
    os.rename(box.mnt / "README", box.mnt / "ReadMe")
    box.onitu.wait()
    assert box.control.read("/Onitu/readme") == b"large"
    box.onitu.umount()
    box.onitu.mount()
    assert sorted(os.listdir(os.fsencode(box.mnt))) == sorted(
        [b"ReadMe", "e\u0301".encode(), "\u00e9".encode(), b"\xff\xfe"]
    )
    until("it is up again", lambda: box.health() == "up")
    box.onitu.wait()
    assert len(box.there()) == 4


def test_what_was_there_is_read_in_part_without_fetching_all(
    new_onitu: Maker, dropbox_emulator: DropboxEmulator
) -> None:
    box = Box(new_onitu(entries=()), dropbox_emulator)
    data = random.Random(3).randbytes(12 * MIB)
    box.control.write("/Onitu/film.mkv", data)
    box.onitu.mount()
    until("it is seen", lambda: (box.mnt / "film.mkv").exists())
    with open(box.mnt / "film.mkv", "rb") as file:
        file.seek(9 * MIB)
        assert file.read(1000) == data[9 * MIB : 9 * MIB + 1000]
    sent = sum(each["answer_bytes"] for each in box.control.journal(route="files/download"))
    assert sent < 8 * MIB
    assert (box.mnt / "film.mkv").read_bytes() == data


def test_equal_files_here_and_there_are_one_without_a_transfer(
    new_onitu: Maker, dropbox_emulator: DropboxEmulator
) -> None:
    box = Box(new_onitu(entries=("disk",), afresh=True), dropbox_emulator)
    data = os.urandom(100_000)
    (box.onitu.roots["disk"] / "same").write_bytes(data)
    box.control.write("/Onitu/same", data)
    same = box.control.stat("/Onitu/same")
    box.control.write("/Onitu/only there", b"x")
    box.onitu.mount()
    until("all is on both", lambda: read(box.onitu.roots["disk"] / "only there") == b"x")
    box.onitu.wait()
    assert set(os.listdir(box.mnt)) == {"same", "only there"}
    assert box.control.stat("/Onitu/same").items() <= same.items()
    assert [each["arg"]["path"] for each in box.control.journal(route="files/download")] == ["/Onitu/only there"]
    box.onitu.ok("scrub", "--mount", box.mnt)


def test_two_edits_end_as_two_files(new_onitu: Maker, dropbox_emulator: DropboxEmulator) -> None:
    box = Box(new_onitu(entries=()), dropbox_emulator)
    box.onitu.mount()
    (box.mnt / "f.txt").write_bytes(b"ancestor")
    box.onitu.wait()
    box.control.settings(offline=True)
    (box.mnt / "f.txt").write_bytes(b"edited here")
    until("the entry is known to be away", lambda: box.health() == "degraded")
    box.control.write("/Onitu/f.txt", b"edited there")
    box.control.settings(offline=False)
    box.onitu.run("entry", "resume", "box")
    until("both are here", lambda: set(box.here().values()) == {b"edited here", b"edited there"})
    box.onitu.wait()
    until("and there", lambda: box.there() == box.here())
    assert any("conflicted copy" in name for name in box.here())


def test_a_token_taken_back_waits_for_a_login_and_then_it_goes_on(
    new_onitu: Maker, dropbox_emulator: DropboxEmulator
) -> None:
    box = Box(new_onitu(entries=()), dropbox_emulator)
    onitu = box.onitu
    (onitu.base / "token").unlink()

    def log_in() -> None:
        asked = onitu.run("auth", "login", "box", "--setup", onitu.setup, "--state", onitu.state)
        assert asked.returncode == 7, asked.stderr
        (url,) = [word for word in asked.stdout.split() if word.startswith("https://")]
        told = onitu.ok(
            "auth", "login", "box", "--setup", onitu.setup, "--state", onitu.state,
            "--answer", box.control.authorize(url.replace("www.dropbox.invalid", "www.dropbox.com")),
        )  # fmt: skip
        assert "box: logged in as Ada Example" in told

    log_in()  # before the first mount
    onitu.mount()
    (box.mnt / "one").write_bytes(b"1")
    onitu.wait()
    box.control.revoke_tokens()
    (box.mnt / "two").write_bytes(b"2")
    until("it is known", lambda: box.health() == "auth-needed")
    status = onitu.run("status", onitu.mnt)
    assert "run: onitufs auth login box" in status.stdout
    log_in()
    onitu.wait()
    assert box.there() == {"one": b"1", "two": b"2"}
    log = onitu.log()
    assert (onitu.base / "token").read_text().strip() not in log


def test_a_pause_that_dropbox_asks_for_is_kept(box: Box) -> None:
    (box.mnt / "one").write_bytes(b"1")
    box.onitu.wait()
    before = len(box.control.journal())
    box.control.fault("files/upload*", status=429, headers={"Retry-After": "3"})
    (box.mnt / "two").write_bytes(b"2")
    box.onitu.wait()
    assert box.there() == {"one": b"1", "two": b"2"}
    calls = box.control.journal(since=before)
    refused = next(each for each in calls if each["status"] == 429)
    until_s = refused["at"] + 3
    assert not [each for each in calls if refused["at"] < each["at"] < until_s and "longpoll" not in each["route"]]


@pytest.mark.long(9)
def test_a_pause_holds_for_every_entry_of_the_account(new_onitu: Maker, dropbox_emulator: DropboxEmulator) -> None:
    box = Box(new_onitu(entries=()), dropbox_emulator)
    entries = box.onitu.extra["entries"]
    entries["other"] = {**entries["box"], "options": {**entries["box"]["options"], "root": "/Other"}}
    box.onitu.rules = [
        {"match": {"path": "/"}, "sync": ["box"]},
        {"match": {"path": "/other/"}, "ban": ["box"], "sync": ["other"]},
    ]
    box.onitu.write_setup()
    box.onitu.mount()
    (box.mnt / "other").mkdir()
    (box.mnt / "one").write_bytes(b"1")
    (box.mnt / "other/one").write_bytes(b"1")
    box.onitu.wait()
    before = len(box.control.journal())
    box.control.fault("files/upload*", status=429, headers={"Retry-After": "7"})
    (box.mnt / "two").write_bytes(b"2")
    limited = "rate limited by the service until "
    until(
        "both entries say so",
        lambda: all(entry["message"].startswith(limited) for entry in box.onitu.status()["entries"]),
    )
    (box.mnt / "other/two").write_bytes(b"2")
    box.onitu.wait()
    assert box.control.read("/Other/other/two") == b"2"
    calls = box.control.journal(since=before)
    refused = next(each for each in calls if each["status"] == 429)
    assert not [
        each
        for each in calls
        if refused["at"] + 0.5 < each["at"] < refused["at"] + 7 and "longpoll" not in each["route"]
    ]
    assert [entry["health"] for entry in box.onitu.status()["entries"]] == ["up", "up"]


def test_a_large_upload_goes_on_after_a_kill(box: Box) -> None:
    data = random.Random(5).randbytes(50 * MIB)
    box.control.fault("files/upload_session/append_v2", skip=1, hold="the second chunk")
    (box.mnt / "large").write_bytes(data)
    box.control.wait_at_gate("the second chunk")
    box.onitu.kill()
    box.control.release("the second chunk")
    before = len(box.control.journal())
    box.onitu.mount()
    box.onitu.wait()
    assert box.control.read("/Onitu/large") == data
    sent = sum(each["body_bytes"] for each in box.control.journal(since=before))
    assert sent < 40 * MIB, "the first chunk was sent again"


def goes_on_where_it_was(box: Box) -> bool:
    """Whether a restart does, rather than to begin with what is there now."""
    box.onitu.umount()
    before = len(box.control.journal())
    box.onitu.mount()
    until("it is told what changes", lambda: box.control.journal(route="files/list_folder/longpoll", since=before))
    begun = box.control.journal(route="files/list_folder/get_latest_cursor", since=before)
    until("what is there is listed", lambda: not begun or len(box.lists(before)) == 4)
    return not begun


def test_a_restart_lists_nothing_and_misses_nothing(box: Box) -> None:
    for number in range(30):
        box.control.write(f"/Onitu/d{number % 3}/{number}", b"%d" % number)
    until("all is seen", lambda: box.here() == box.there())
    until("how far that was taken over is written down", lambda: goes_on_where_it_was(box))
    box.onitu.umount()
    box.control.write("/Onitu/d1/1", b"changed while nobody looked")
    box.control.delete("/Onitu/d2/2")
    box.control.move("/Onitu/d0", "/Onitu/Other")
    before = len(box.control.journal())
    box.onitu.mount()
    until("what changed is seen", lambda: box.here() == box.there())
    assert "/Onitu" not in box.lists(before)


def test_nothing_that_others_do_is_missed_however_often_the_daemon_is_killed(box: Box) -> None:
    chance = random.Random(11)
    stop = threading.Event()
    (box.mnt / "ours").write_bytes(b"ours")
    box.onitu.wait()
    control = box.control

    def others() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            path = f"/Onitu/d{chance.randrange(4)}/{chance.randrange(12)}"
            try:
                if chance.random() < 0.2:
                    control.delete(path)
                elif chance.random() < 0.2:
                    control.move(path, f"/Onitu/d{chance.randrange(4)}/moved {number}")
                else:
                    control.write(path, b"%d" % number)
            except Refusal:
                pass
            stop.wait(0.02)

    thread = threading.Thread(target=others)
    thread.start()
    try:
        for _ in range(4):
            before = len(control.journal(route="files/list_folder/continue"))
            control.wait_for_call("files/list_folder/continue", count=before + 2)
            box.onitu.kill()
            box.onitu.mount()
    finally:
        stop.set()
        thread.join()
    until("both sides are the same", lambda: box.here() == box.there(), 60)


@pytest.mark.parametrize("placed_before", [True, False], ids=["replaced", "new"])
def test_killed_after_dropbox_took_a_file_and_before_that_was_written_down(box: Box, placed_before: bool) -> None:
    """What is saved then is nobody's edit but ours: no conflict, and nothing is left over."""
    if placed_before:
        (box.mnt / "f").write_bytes(b"first")
        box.onitu.wait()
    box.control.fault("files/upload", hold_answer="done")
    (box.mnt / "f").write_bytes(b"second")
    box.control.wait_at_gate("done")
    box.onitu.kill()
    box.control.release("done")
    box.control.settings(offline=True)
    box.onitu.mount()
    (box.mnt / "f").write_bytes(b"third, and longer")
    os.rename(box.mnt / "f", box.mnt / "g")
    box.control.settings(offline=False)
    box.onitu.ok("entry", "resume", "box", "--mount", box.mnt)
    box.onitu.wait()
    until("it is there, and nothing else", lambda: box.there() == {"g": b"third, and longer"})
    assert box.here() == {"g": b"third, and longer"}


def test_a_directory_with_more_in_it_than_dropbox_moves_keeps_its_name_there_and_is_usable(box: Box) -> None:
    (box.mnt / "D").mkdir()
    for number in range(9):
        (box.mnt / "D" / str(number)).write_bytes(b"%d" % number)
    box.onitu.wait()
    box.control.settings(tree_limit=5)
    os.rename(box.mnt / "D", box.mnt / "E")
    said = "the folder has more items than Dropbox moves at once; move them in parts"
    until("it is said", lambda: said in box.onitu.run("status", box.mnt).stdout)
    (box.mnt / "E" / "new").write_bytes(b"new")
    (box.mnt / "E" / "1").write_bytes(b"edited")
    until(
        "what is saved in it is there", lambda: box.there().get("D/new") == b"new" and box.there()["D/1"] == b"edited"
    )
    box.control.write("/Onitu/D/2", b"edited there")
    box.control.delete("/Onitu/D/3")
    until(
        "so is what others do",
        lambda: read(box.mnt / "E" / "2") == b"edited there" and not (box.mnt / "E" / "3").exists(),
    )
    (box.mnt / "F").mkdir()
    for name in os.listdir(box.mnt / "E"):
        os.rename(box.mnt / "E" / name, box.mnt / "F" / name)
    (box.mnt / "E").rmdir()
    box.onitu.wait()
    until("moved in parts", lambda: box.there() == box.here())
    assert all(name.startswith("F/") for name in box.here())
