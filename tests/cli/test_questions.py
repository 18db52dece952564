"""The other commands that ask the daemon."""

import base64
import json

from .conftest import Desk, Run

WHEREIS = {
    "path": "/backedup/report.pdf", "kind": "file", "size": 12595, "modified": "2026-11-24T15:00:00Z", "here": True,
    "state": "pending", "wanted": ["A", "B"],
    "copies": [{"entry": "A", "path": "backedup/report.pdf", "state": "current", "size": 12595,
                "verified": "2026-11-24T15:00:01Z", "digest": "ab"}],
    "problems": [{"entry": "B", "reason": "disk full", "remedy": "make room"}],
}  # fmt: skip


def test_whereis(desk: Desk, onitufs: Run) -> None:
    desk.says({"whereis": WHEREIS})
    done = onitufs("whereis", desk.mnt / "backedup/report.pdf")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "/backedup/report.pdf: file, 12.3 KiB, pending",
        "  here  current       in the local store",
        "  A     current       backedup/report.pdf  verified 2026-11-24T15:00:01Z",
        "  B     wanted there",
        "  B: disk full: make room",
    ]


def test_whereis_of_nothing(desk: Desk, onitufs: Run) -> None:
    done = onitufs("whereis", desk.mnt / "missing")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "onitufs: /missing: no such file in the mount\n"


def test_whereis_of_a_name_that_is_no_text(desk: Desk, onitufs: Run) -> None:
    name = b"/\xff\x1b[31m\n\xe2\x80\xae.pdf"
    fields = {"path": name.decode(errors="replace"), "path_base64": base64.b64encode(name).decode()}
    desk.says({"whereis": WHEREIS | fields})
    asked = desk.mnt / name[1:].decode(errors="surrogateescape")
    assert (
        onitufs("whereis", asked).stdout.splitlines()[0] == "/\\xff\\x1b[31m\\x0a\\u202e.pdf: file, 12.3 KiB, pending"
    )
    answer = json.loads(onitufs("whereis", asked, "--json").stdout)
    assert base64.b64decode(answer["path_base64"]) == name
    assert bytes.fromhex(answer["asked"]) == name


def test_explain_with_what_is_assumed(desk: Desk, onitufs: Run) -> None:
    desk.says({"explain": {
        "path": "/new.mkv", "exists": False, "kind": "file", "targets": ["A", "B"], "copies": 1,
        "reasons": [{"source": "rules[0]", "text": "everything below /", "added": ["A", "B"], "removed": []},
                    {"source": "rules[1]", "text": "larger than 1 GiB", "added": [], "removed": ["C"]}],
    }})  # fmt: skip
    done = onitufs("explain", desk.mnt / "new.mkv", "--mime", "video/x-matroska", "--size", "4 GiB")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "/new.mkv -> 1 of A, B",
        "  taken as: not there yet, file, video/x-matroska, 4.0 GiB",
        "  rules[0]  +A +B  everything below /",
        "  rules[1]  -C     larger than 1 GiB",
    ]
    assert json.loads(onitufs("explain", desk.mnt / "new.mkv", "--json", "--size", "10").stdout)["size"] == 10


def test_a_size_that_is_none(desk: Desk, onitufs: Run) -> None:
    done = onitufs("explain", desk.mnt / "x", "--size", "1,5 GB")
    assert done.returncode == 2
    assert "'1,5 GB'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_wait_until_done_or_the_time_ran_out(desk: Desk, onitufs: Run) -> None:
    done = onitufs("wait", desk.mnt, "--timeout", "5 min", "--json")
    assert (done.returncode, json.loads(done.stdout)["timeout_s"]) == (0, 300)
    assert onitufs("wait", desk.mnt, "--timeout", "2").stdout == "SAFE: all 214 files are where the rules want them\n"
    desk.says(verdict="pending", files={"all": 214, "pending": 3, "failing": 1})
    late = onitufs("wait", desk.mnt, "--timeout", "0")
    assert (late.returncode, late.stdout) == (9, "the time ran out: 3 pending, 1 failing\n")


def test_entries_are_listed_paused_and_resumed(desk: Desk, onitufs: Run) -> None:
    nas = {"name": "nas", "driver": "local_storage", "mode": "rw", "health": "up", "message": "", "queued": 2}
    desk.says(entries=[nas, nas | {"name": "usb\x1b", "health": "degraded", "message": "away"}])
    listed = onitufs("entry", "list", "--mount", desk.mnt).stdout.splitlines()
    assert listed[0].split() == ["ENTRY", "DRIVER", "MODE", "HEALTH", "QUEUED", "MESSAGE"]
    assert listed[2].split() == ["usb\\x1b", "local_storage", "rw", "degraded", "2", "away"]
    lines = onitufs("entry", "list", "-m", desk.mnt, "--json").stdout.splitlines()
    assert [json.loads(line)["name"] for line in lines] == ["nas", "usb\x1b"]
    assert onitufs("entry", "pause", "nas", "-m", desk.mnt).stdout == "nas: paused\n"
    assert onitufs("entry", "resume", "nas", "-m", desk.mnt).stdout == "nas: up\n"
    unknown = onitufs("entry", "pause", "sun", "-m", desk.mnt)
    assert (unknown.returncode, unknown.stderr) == (3, "onitufs: no entry 'sun'\n")


def test_scrub_shows_what_differs(desk: Desk, onitufs: Run) -> None:
    wrong = {"entry": "A", "path": "/x", "problem": "its content is not what was placed", "remedy": "placed again"}
    desk.says({"scrub": [{"checked": 100, "of": 200}, wrong, {"done": True, "checked": 200, "wrong": 1}]})
    done = onitufs("scrub", "-m", desk.mnt)
    assert done.stdout.splitlines() == [
        "A: /x: its content is not what was placed: placed again",
        "200 copies checked, 1 differs and is being put right",
    ]
    assert done.returncode == 5
    desk.says({"scrub": [{"done": True, "checked": 2, "wrong": 0}]})
    fine = onitufs("scrub", "A", "-m", desk.mnt)
    assert (fine.returncode, fine.stdout) == (0, "2 copies checked, all as they should be\n")
    assert json.loads(onitufs("scrub", "-m", desk.mnt, "--json").stdout) == {
        "v": 1,
        "done": True,
        "checked": 2,
        "wrong": 0,
    }
