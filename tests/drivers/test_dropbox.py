"""The driver dropbox against the emulator: what its service does to it, and what it asks of its service."""

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import certifi
import pytest
import trio

from onitufs.drivers import dropbox
from onitufs.drivers.conformance.subject import Bytes, Entry, Subject, connected, new_driver, upload
from onitufs.drivers.conformance.watching import watched
from onitufs.drivers.dropbox.refusals import NotUnderstood
from onitufs.drivers.handlers import PARKED, RemotePath
from onitufs.model.copies import RemoteState
from onitufs.model.digests import shown
from onitufs.model.errors import (
    AuthNeeded,
    DriverError,
    Gone,
    NameNotAllowed,
    NeedsPerson,
    QuotaFull,
    ServiceError,
    TooLarge,
)
from onitufs.model.files import Kind
from tests.dropbox_emulator.fixture import DropboxEmulator, dropbox_emulator, dropbox_process
from tests.dropbox_emulator.remote import Control

from .dropbox_service import entry_on

__all__ = ["dropbox_emulator", "dropbox_process"]

MIB = 1024 * 1024


@pytest.fixture
def control(dropbox_emulator: DropboxEmulator) -> Control:
    return dropbox_emulator.control


@pytest.fixture
def entry(dropbox_emulator: DropboxEmulator, tmp_path: Path) -> Entry:
    return entry_on(dropbox_emulator, tmp_path)


@pytest.fixture
async def s(entry: Entry, tmp_path: Path) -> AsyncIterator[Subject]:
    async with connected(entry, tmp_path / "work") as subject:
        yield subject


def calls(control: Control, since: int = 0) -> list[str]:
    return [each["route"] for each in control.journal(since=since)]


def mark(control: Control) -> int:
    return len(control.journal())


# -- what is asked of the service -------------------------------------------------------------------------------------


async def test_small_files_go_together_in_three_calls(s: Subject, control: Control) -> None:
    await s.call("make_directory", (b"d",), 0o755)
    before = mark(control)
    wanted = [(upload((b"d", b"%d" % n), b"%d" % n), Bytes(b"%d" % n)) for n in range(64)]
    answers = await s.call("upload_batch", wanted)
    assert all(isinstance(answer, RemoteState) for answer in answers)
    assert calls(control, before) == [
        "files/upload_session/start_batch", "files/upload_session/append_batch",
        "files/upload_session/finish_batch_v2",
    ]  # fmt: skip
    assert {shown(answer.digest) for answer in answers} == {
        f"dropbox:{each['content_hash']}" for each in control.list("/d")
    }


async def test_a_new_file_in_a_known_directory_is_one_call(s: Subject, control: Control) -> None:
    await s.call("make_directory", (b"D",), 0o755)
    before = mark(control)
    await s.put((b"D", b"Report.pdf"), b"x" * 1000)
    assert calls(control, before) == ["files/upload"]


async def test_every_write_names_what_it_replaces_and_nothing_is_renamed_by_the_service(
    s: Subject, control: Control
) -> None:
    state = await s.put((b"f",), b"1")
    state = await s.put((b"f",), b"2" * 2 * MIB, state.rev)
    await s.call("upload_batch", [(upload((b"f",), b"3", state.rev), Bytes(b"3"))])
    commits = []
    for each in control.journal():
        arg = each["arg"]
        if each["route"] == "files/upload":
            commits.append(arg)
        elif each["route"] == "files/upload_session/finish":
            commits.append(arg["commit"])
        elif each["route"] == "files/upload_session/finish_batch_v2":
            commits += [inner["commit"] for inner in arg["entries"]]
    assert len(commits) == 3
    for number, commit in enumerate(commits):
        assert commit["strict_conflict"] is True
        assert not commit.get("autorename")
        assert commit["mute"] is True
        assert commit["mode"][".tag"] == ("add" if number == 0 else "update")


async def test_writes_of_many_threads_do_not_meet(s: Subject, control: Control) -> None:
    control.settings(commit_hold_s=0.02)
    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(s.put, (b"%d" % number,), b"x")
            nursery.start_soon(s.call, "make_directory", (b"d%d" % number,), 0o755)
    assert len(s.outside.names(())) == 16


async def test_parking_for_the_first_time_meets_no_other_write(s: Subject, control: Control) -> None:
    revs = [(await s.put((b"%d" % number,), b"x")).rev for number in range(3)]
    control.settings(commit_hold_s=0.05)
    async with trio.open_nursery() as nursery:
        for number, rev in enumerate(revs):
            name = b"%d" % number
            nursery.start_soon(s.call, "move_file", (name,), rev, Kind.FILE, (*PARKED, name), None)
            nursery.start_soon(s.put, (b"new%d" % number,), b"x")
    assert s.outside.names(PARKED) == {b"0", b"1", b"2"}


async def test_making_the_root_meets_no_write_of_another_entry(
    dropbox_emulator: DropboxEmulator, control: Control, s: Subject, tmp_path: Path
) -> None:
    control.settings(commit_hold_s=0.05)
    second = new_driver(entry_on(dropbox_emulator, tmp_path, "/second"), tmp_path / "second")
    async with trio.open_nursery() as nursery:
        for number in range(4):
            nursery.start_soon(s.put, (b"%d" % number,), b"x")
        nursery.start_soon(second.call, "connect")
    await second.call("close")
    assert control.stat("/second")["is"] == "folder"


async def test_expired_tokens_are_refreshed_once_by_many_threads(s: Subject, control: Control) -> None:
    await s.put((b"f",), b"x")
    control.expire_tokens()
    before = mark(control)
    control.fault("files/get_metadata", times=6, hold="all of them")
    async with trio.open_nursery() as nursery:
        for _ in range(6):
            nursery.start_soon(s.call, "stat", (b"f",))
        await trio.to_thread.run_sync(lambda: control.wait_at_gate("all of them", count=6))
        control.release("all of them")
    assert calls(control, before).count("oauth2/token") == 1


async def test_reading_a_part_asks_for_no_more(s: Subject, control: Control) -> None:
    s.outside.write((b"f",), bytes(range(256)) * 8000)
    rev = (await s.call("stat", (b"f",))).state.rev
    before = mark(control)
    assert await s.call("get_chunk", (b"f",), rev, 1000, 70_000) == (bytes(range(256)) * 8000)[1000:71_000]
    assert calls(control, before) == ["files/download"]
    control.fault("files/download", ignore_range=True)
    with pytest.raises(ServiceError):
        await s.call("get_chunk", (b"f",), rev, 1000, 70_000)


# -- trouble ----------------------------------------------------------------------------------------------------------


async def test_a_lost_answer_to_a_chunk_is_no_loss(s: Subject, control: Control) -> None:
    data = os.urandom(3 * MIB)
    wanted = upload((b"f",), data)
    token = await s.call("start_upload", wanted)
    offset = await s.call("upload_chunk", token, Bytes(data), 0, MIB)
    control.fault("files/upload_session/append_v2", drop="after")
    with pytest.raises(ServiceError):
        await s.call("upload_chunk", token, Bytes(data), offset, MIB)
    assert await s.call("restart_upload", token, wanted) == 2 * MIB
    assert await s.call("upload_chunk", token, Bytes(data), offset, MIB) == 2 * MIB  # asked again all the same
    await s.call("upload_chunk", token, Bytes(data), 2 * MIB, MIB)
    control.fault("files/upload_session/finish", drop="after")
    with pytest.raises(ServiceError):
        await s.call("end_upload", token, wanted, Bytes(data))
    state = await s.call("end_upload", token, wanted, Bytes(data))
    assert s.outside.read((b"f",)) == data
    assert (await s.call("stat", (b"f",))).state == state


async def test_a_session_that_dropbox_forgot_is_begun_anew(s: Subject, control: Control) -> None:
    data = os.urandom(2 * MIB)
    wanted = upload((b"f",), data)
    token = await s.call("start_upload", wanted)
    await s.call("upload_chunk", token, Bytes(data), 0, MIB)
    control.advance(seconds=8 * 86400)
    assert await s.call("restart_upload", token, wanted) is None
    with pytest.raises(Gone):
        await s.call("upload_chunk", token, Bytes(data), MIB, MIB)
    with pytest.raises(Gone):
        await s.call("end_upload", token, wanted, Bytes(data))


async def test_a_lost_answer_to_a_move_is_no_loss(s: Subject, control: Control) -> None:
    state = await s.put((b"a",), b"one")
    control.fault("files/move_v2", drop="after")
    with pytest.raises(ServiceError):
        await s.call("move_file", (b"a",), state.rev, Kind.FILE, (b"b",), None)
    moved = await s.call("move_file", (b"a",), state.rev, Kind.FILE, (b"b",), None)
    assert moved.rev == (await s.call("stat", (b"b",))).state.rev
    s.outside.move((b"b",), (b"c",))
    s.outside.write((b"c",), b"edited since")
    with pytest.raises(Gone):  # what is there is not what was to be moved
        await s.call("move_file", (b"a",), state.rev, Kind.FILE, (b"c",), None)


async def test_bytes_that_were_turned_over_on_the_way_are_not_taken(
    s: Subject, control: Control, tmp_path: Path
) -> None:
    s.outside.write((b"f",), b"x" * 1000)
    rev = (await s.call("stat", (b"f",))).state.rev
    control.fault("files/download", corrupt=True)
    with open(tmp_path / "got", "wb") as file, pytest.raises(ServiceError, match="not what it has"):
        await s.call("get_file", (b"f",), rev, file.fileno(), lambda _: None)
    control.fault("files/download", cut_answer_after=500)
    with open(tmp_path / "got", "wb") as file, pytest.raises(ServiceError):
        await s.call("get_file", (b"f",), rev, file.fileno(), lambda _: None)


REFUSALS: list[tuple[dict[str, Any], type[DriverError], str, float | None]] = [
    ({"status": 429, "headers": {"Retry-After": "17"}, "body": "slow"}, ServiceError, "asks for a pause", 17.0),
    ({"status": 429, "body": "slow"}, ServiceError, "asks for a pause", 5.0),
    ({"status": 429, "headers": {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}}, ServiceError, "no sense", None),
    ({"status": 503, "body": "x"}, ServiceError, "has trouble", None),
    ({"status": 400, "body": "no such field\nat all"}, NotUnderstood, "no such field; report it", None),
    ({"drop": "before"}, ServiceError, "no connection", None),
    ({"status": 409, "body": "no json", "content_type": "application/json"}, ServiceError, "no sense", None),
    (
        {"status": 401, "content_type": "application/json", "body": '{"error": {".tag": "invalid_access_token"}}'},
        AuthNeeded, "does not accept the token any more; run: onitufs auth login conformance", None,
    ),
    (
        {
            "status": 401, "content_type": "application/json",
            "body": '{"error": {".tag": "missing_scope", "required_scope": "files.content.write"}}',
        },
        AuthNeeded, "may not files.content.write; allow it", None,
    ),
    (
        {"error": {".tag": "path", "reason": {".tag": "insufficient_space"}, "upload_session_id": "s"}},
        QuotaFull, "is full; delete", None,
    ),
    (
        {"error": {".tag": "path", "reason": {".tag": "too_many_write_operations"}, "upload_session_id": "s"}},
        ServiceError, "busy", 1.0,
    ),
    (
        {"error": {".tag": "path", "reason": {".tag": "no_write_permission"}, "upload_session_id": "s"}},
        NameNotAllowed, "does not let us write there", None,
    ),
    ({"error": {".tag": "content_hash_mismatch"}}, ServiceError, "not what was sent", None),
    (
        {
            "error": {".tag": "path", "reason": {".tag": "member_folder_insufficient_space"}, "upload_session_id": "s"},
            "unchecked": True,
        },
        QuotaFull, "is full; delete", None,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "kind", "said", "retry_after_s"), REFUSALS)
async def test_each_trouble_is_an_error_of_its_kind(
    s: Subject, control: Control, fault: dict[str, Any], kind: type[DriverError], said: str, retry_after_s: float | None
) -> None:
    control.fault("files/upload", **fault)
    with pytest.raises(kind, match=said) as caught:
        await s.put((b"f",), b"x")
    assert type(caught.value) is kind
    assert getattr(caught.value, "retry_after_s", None) == retry_after_s
    assert "\n" not in str(caught.value)
    await s.put((b"f",), b"x")


@pytest.mark.parametrize("who", ["team_folder", "member_folder"])
async def test_a_move_for_which_there_is_no_quota_waits_for_it(s: Subject, control: Control, who: str) -> None:
    state = await s.put((b"f",), b"x")
    control.fault("files/move_v2", unchecked=True, error={".tag": f"{who}_insufficient_quota"})
    with pytest.raises(QuotaFull):
        await s.call("move_file", (b"f",), state.rev, Kind.FILE, (b"g",), None)


async def test_a_line_that_breaks_in_the_handshake_is_no_certificate_in_doubt(
    entry: Entry, control: Control, tmp_path: Path
) -> None:
    control.settings(hang_up_in_handshake=True)
    driver = new_driver(entry, tmp_path / "work")
    with pytest.raises(ServiceError, match="no connection to Dropbox"):
        await driver.call("connect")
    await driver.call("close")


async def test_a_certificate_that_nobody_vouches_for_needs_a_person(
    dropbox_emulator: DropboxEmulator, entry: Entry, tmp_path: Path
) -> None:
    elsewhere = replace(dropbox_emulator, ca_file=Path(certifi.where()))
    driver = new_driver(entry_on(elsewhere, tmp_path), tmp_path / "work")
    with pytest.raises(NeedsPerson, match="certificate is not to be trusted"):
        await driver.call("connect")
    await driver.call("close")


@pytest.mark.parametrize("size", [5, 2 * MIB])
async def test_a_time_that_dropbox_cannot_take_is_left_out(s: Subject, control: Control, size: int) -> None:
    wanted = replace(upload((b"f",), bytes(size)), mtime_ns=-(1200 * 365 * 86400) * 10**9)  # in the 8th century
    await s.call("upload_file", wanted, Bytes(bytes(size)))
    assert control.stat("/f")["size"] == size


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({".tag": "lookup_failed", "lookup_failed": {".tag": "not_found"}}, ServiceError),
        ({".tag": "lookup_failed", "lookup_failed": {".tag": "incorrect_offset", "correct_offset": 5}}, ServiceError),
        ({".tag": "lookup_failed", "lookup_failed": {".tag": "too_large"}}, TooLarge),
    ],
)
async def test_an_upload_that_dropbox_does_not_know_any_more_is_trouble_that_passes(
    s: Subject, control: Control, error: dict[str, Any], kind: type[DriverError]
) -> None:
    control.fault("files/upload_session/finish", error=error)
    with pytest.raises(kind):
        await s.put((b"f",), bytes(2 * MIB))
    await s.put((b"f",), bytes(2 * MIB))


@pytest.mark.parametrize("status", [431, 413, 400])
async def test_fewer_files_go_together_if_a_call_is_too_large(s: Subject, control: Control, status: int) -> None:
    wanted = [(upload((b"%d" % number,), b"x"), Bytes(b"x")) for number in range(9)]
    control.fault("files/upload_session/append_batch", status=status, body="too large", times=2)
    answers = await s.call("upload_batch", wanted)
    assert all(isinstance(answer, RemoteState) for answer in answers)
    assert s.outside.names(()) == {each.path[0] for each, _ in wanted}
    before = mark(control)
    again = [(replace(each, base=answer.rev), source) for (each, source), answer in zip(wanted, answers, strict=True)]
    await s.call("upload_batch", again)  # as many at once as were taken
    assert calls(control, before).count("files/upload_session/append_batch") == 5


async def test_a_call_for_one_file_that_is_too_large_is_trouble(s: Subject, control: Control) -> None:
    control.settings(argument_limit=100)
    with pytest.raises(ServiceError, match="status 431"):
        await s.call("upload_batch", [(upload((b"%d" % number,), b"x"), Bytes(b"x")) for number in range(3)])


async def test_uploads_that_dropbox_forgot_before_their_commit_are_trouble_that_passes(
    s: Subject, control: Control
) -> None:
    wanted = [(upload((b"%d" % number,), b"x"), Bytes(b"x")) for number in range(3)]
    control.fault("files/upload_session/finish_batch_v2", hold="commit")
    answers: list[Any] = []

    async def send() -> None:
        answers.extend(await s.call("upload_batch", wanted))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await trio.to_thread.run_sync(control.wait_at_gate, "commit")
        control.advance(seconds=8 * 86400)
        control.release("commit")
    assert [isinstance(answer, ServiceError) for answer in answers] == [True] * 3


async def test_a_list_that_dropbox_cannot_go_on_with_is_trouble_that_passes(s: Subject, control: Control) -> None:
    control.settings(page_size=2)
    for number in range(5):
        control.write(f"/{number}", b"")
    control.fault("files/list_folder/continue", error={".tag": "reset"})
    with pytest.raises(ServiceError):
        await s.call("list_directory", ())
    assert len(await s.call("list_directory", ())) == 5


async def test_a_revoked_token_needs_a_login(s: Subject, control: Control) -> None:
    control.revoke_tokens()
    with pytest.raises(AuthNeeded, match="; run: onitufs auth login conformance"):
        await s.call("stat", ())


async def test_without_a_login_it_says_so(entry: Entry, tmp_path: Path) -> None:
    (tmp_path / "token").unlink()
    driver = new_driver(entry, tmp_path / "work")
    for handler in ("connect", "probe"):
        with pytest.raises(AuthNeeded, match=r"is not logged in: .*; run: onitufs auth login conformance"):
            await driver.call(handler)
    await driver.call("close")


async def test_a_directory_with_too_much_in_it_to_be_moved_is_no_trouble_for_others(
    s: Subject, control: Control
) -> None:
    await s.call("make_directory", (b"d",), 0o755)
    await s.put((b"d", b"f"), b"x")
    control.settings(tree_limit=1)
    with pytest.raises(NameNotAllowed, match="more items than Dropbox moves at once"):
        await s.call("move_file", (b"d",), "", Kind.DIRECTORY, (b"e",), None)


async def test_a_folder_shared_with_others_is_neither_left_nor_moved(s: Subject, control: Control) -> None:
    control.mkdir("/shared")
    control.mark("/shared", share_id="84528192421")
    rev = (await s.call("stat", (b"shared",))).state.rev
    assert not await s.call("remove_directory", (b"shared",), rev)
    control.mkdir("/shared/inside")
    for path in ((b"elsewhere",), (*PARKED, b"1")):
        with pytest.raises(NameNotAllowed, match="shared with others"):
            await s.call("move_file", (b"shared",), rev, Kind.DIRECTORY, path, None)
    await s.call("move_file", (b"shared", b"inside"), "", Kind.DIRECTORY, (b"shared", b"moved"), None)
    assert await s.call("remove_directory", (b"shared", b"moved"), "")
    await s.call("make_directory", (b"other",), 0o755)
    with pytest.raises(NameNotAllowed, match="shared with others"):
        await s.call("move_file", (b"other",), "", Kind.DIRECTORY, (b"shared",), rev)
    assert control.stat("/shared")["is"] == "folder"


async def test_several_names_of_a_folder_are_looked_at_by_listing_it(s: Subject, control: Control) -> None:
    await s.call("make_directory", (b"d",), 0o755)
    wanted = [b"%d" % number for number in range(30)]
    for name in (*wanted, b"README", b"readme", b"ends "):
        await s.put((b"d", name), name)
    control.write("/d/\u2873ome", b"looks like one of ours")  # "some"
    control.write("/d/some", b"found first")
    control.write("/d/paper.gdoc", b"x")
    control.mark("/d/paper.gdoc", downloadable=False)
    control.write("/alone", b"x")
    wanted += [b"README", b"readme", b"Readme", b"ends ", b"paper.gdoc", b"some", b"gone"]
    paths = [*((b"d", name) for name in wanted), (), (b"alone",), (b"gone",), (b"no", b"f")]
    before = mark(control)
    answers = await s.call("stat_many", paths)
    assert calls(control, before).count("files/list_folder") == 1
    assert calls(control, before).count("files/get_metadata") < 8
    assert list(map(repr, answers)) == [repr(await _answer(s, path)) for path in paths]


async def test_a_folder_is_not_listed_further_than_it_is_worth(s: Subject, control: Control) -> None:
    control.write("/d/\u2873ome", b"looks like one of ours")  # "some"
    for number in range(300):
        control.write(f"/d/{number}", b"x")
    control.write("/d/some", b"found first")
    await s.put((b"d", b"299 "), b"y")
    control.settings(page_size=50)
    paths = [(b"d", name) for name in (b"0", b"299 ", b"some", b"gone")]
    alone = [await s.call("stat", path) for path in paths]
    before = mark(control)
    assert await s.call("stat_many", paths) == alone
    assert [each for each in calls(control, before) if each.startswith("files/list_folder")] == [
        "files/list_folder", *["files/list_folder/continue"] * 3,
    ]  # fmt: skip


async def test_names_in_a_folder_that_has_gone_are_absent(s: Subject, control: Control) -> None:
    for number in range(5):
        await s.call("make_directory", (b"d%d" % number,), 0o755)
        await s.put((b"d%d" % number, b"f"), b"x")
    control.delete("/d1")
    control.move("/d2", "/e")
    paths = [(b"d%d" % number, name) for number in range(3) for name in (b"f", b"g", b"h")]
    assert await s.call("stat_many", paths) == [await s.call("stat", path) for path in paths]


async def test_a_folder_that_has_another_spelling_now_is_listed_by_that(s: Subject, control: Control) -> None:
    control.mkdir("/DOCS")
    await s.call("make_directory", (b"docs",), 0o755)
    control.delete("/DOCS")
    control.move("/\u2864ocs", "/docs")
    control.write("/docs/f", b"x")
    paths = [(b"docs", name) for name in (b"f", b"g", b"h")]
    found, *rest = await s.call("stat_many", paths)
    assert found is not None
    assert rest == [None, None]


async def test_no_name_is_absent_because_the_whole_place_is(
    dropbox_emulator: DropboxEmulator, control: Control, tmp_path: Path
) -> None:
    async with connected(entry_on(dropbox_emulator, tmp_path, "/place"), tmp_path / "work") as s:
        await s.put((b"f",), b"x")
        paths = [(b"f",), (b"g",), (b"h",)]
        assert [each is None for each in await s.call("stat_many", paths)] == [False, True, True]
        control.delete("/place")
        for some in (paths, paths[:1]):
            with pytest.raises(NeedsPerson, match="there is no folder /place"):
                await s.call("stat_many", some)


async def test_trouble_while_many_names_are_looked_at_says_of_none_that_it_is_absent(
    s: Subject, control: Control
) -> None:
    paths = [(b"%d" % number,) for number in range(9)]
    for route in ("files/list_folder", "files/get_metadata", "users/get_current_account"):
        control.fault(route, status=429, headers={"Retry-After": "7"})
        with pytest.raises(ServiceError) as caught:
            await s.call("stat_many", [*paths, (b"no", b"f"), ()])
        assert caught.value.retry_after_s == 7


async def _answer(s: Subject, path: RemotePath) -> Any:
    try:
        return await s.call("stat", path)
    except NameNotAllowed as exc:
        return exc


# -- names ------------------------------------------------------------------------------------------------------------


async def test_a_rename_of_case_only_ends_well_spelled(s: Subject, control: Control) -> None:
    state = await s.put((b"readme",), b"x")
    moved = await s.call("move_file", (b"readme",), state.rev, Kind.FILE, (b"README",), None)
    assert [each["path"] for each in control.list()] == ["/README"]
    assert (await s.call("stat", (b"README",))).state.rev == moved.rev
    assert await s.call("stat", (b"readme",)) is None
    await s.call("make_directory", (b"Docs",), 0o755)
    await s.put((b"Docs", b"f"), b"y")
    directory = await s.call("stat", (b"Docs",))
    await s.call("move_file", (b"Docs",), directory.state.rev, Kind.DIRECTORY, (b"docs",), None)
    assert {each["path"] for each in control.list()} == {"/README", "/docs", "/docs/f"}


async def test_names_that_differ_in_case_only_stand_apart_also_as_directories(s: Subject, control: Control) -> None:
    for name in (b"DOCS", b"docs", b"Docs"):
        _, made = await s.call("make_directory", (name,), 0o755)
        assert made
        await s.put((name, b"f"), name)
    assert {each["path"] for each in control.list() if each["is"] == "folder"} == {"/DOCS", "/\u2864ocs", "/\u2844ocs"}
    listed = dict(await s.call("list_directory", ()))
    assert set(listed) == {b"docs", b"Docs", b"DOCS"}
    for name in (b"docs", b"Docs", b"DOCS"):
        rev = (await s.call("stat", (name, b"f"))).state.rev
        assert await s.call("get_chunk", (name, b"f"), rev, 0, 9) == name
    plain = await s.call("stat", (b"DOCS", b"f"))
    await s.call("delete_file", (b"DOCS", b"f"), plain.state.rev)
    assert await s.call("remove_directory", (b"DOCS",), "")
    assert (await s.call("stat", (b"docs", b"f"))) is not None
    assert (await s.call("stat", (b"Docs", b"f"))) is not None


async def test_of_two_objects_of_one_name_the_plain_one_is_seen(s: Subject, control: Control) -> None:
    control.write("/\u2843ase", b"spelled by somebody else")
    control.write("/Case", b"plain")
    ((name, found),) = await s.call("list_directory", ())
    assert (name, found) == (b"Case", await s.call("stat", (b"Case",)))
    assert await s.call("get_chunk", (b"Case",), found.state.rev, 0, 9) == b"plain"
    control.write("/\u2863\u2841", b"nobody's spelling but their own")
    assert "\u2863\u2841".encode() in dict(await s.call("list_directory", ()))


async def test_a_name_too_long_for_programs_can_be_read_moved_and_deleted(s: Subject, control: Control) -> None:
    control.write("/" + "日" * 120 + ".txt", b"long")
    ((name, found),) = await s.call("list_directory", ())
    assert len(name) <= 255
    assert await s.call("stat", (name,)) == found
    assert await s.call("get_chunk", (name,), found.state.rev, 0, 9) == b"long"
    moved = await s.call("move_file", (name,), found.state.rev, Kind.FILE, (b"short",), None)
    await s.call("delete_file", (b"short",), moved.rev)


async def test_what_has_no_bytes_is_left_out(s: Subject, control: Control) -> None:
    for name in ("cloud.gdoc", "link", "plain"):
        control.write(f"/{name}", b"x")
    control.mark("/cloud.gdoc", downloadable=False)
    control.mark("/link", symlink="/etc/passwd")
    assert [name for name, _ in await s.call("list_directory", ())] == [b"plain"]


# -- the place --------------------------------------------------------------------------------------------------------


async def test_a_folder_as_root_is_made_once_and_known_again(
    dropbox_emulator: DropboxEmulator, control: Control, tmp_path: Path
) -> None:
    entry = entry_on(dropbox_emulator, tmp_path, "/Apps/Onitu")
    async with connected(entry, tmp_path / "work") as s:
        await s.put((b"f",), b"x")
        assert {each["path"] for each in control.list()} == {"/Apps", "/Apps/Onitu", "/Apps/Onitu/f"}
        identity = s.identity
        control.move("/Apps/Onitu", "/elsewhere")
        with pytest.raises(NeedsPerson, match="there is no folder /Apps/Onitu"):  # nothing is said to be gone
            await s.call("stat", (b"f",))
        control.mkdir("/Apps/Onitu")
        with pytest.raises(NeedsPerson, match="; run: onitufs auth login"):
            await s.call("stat", (b"f",))
    driver = new_driver(entry, tmp_path / "work", identity)
    with pytest.raises(NeedsPerson, match="the folder /Apps/Onitu is another one"):
        await driver.call("connect")
    await driver.call("close")


async def test_a_root_is_found_however_its_letters_are_put_together(
    dropbox_emulator: DropboxEmulator, control: Control, tmp_path: Path
) -> None:
    async with connected(entry_on(dropbox_emulator, tmp_path, "/U\u0308ber"), tmp_path / "work") as s:
        await s.put((b"f",), b"x")
        assert await s.call("stat", (b"f",)) is not None
        await s.call("stat", ())
    assert {each["path"] for each in control.list()} == {"/\u00dcber", "/\u00dcber/f"}


async def test_room_is_what_the_account_and_the_team_leave(s: Subject, control: Control) -> None:
    control.change_account(allocated=10 * MIB)
    await s.put((b"f",), bytes(MIB))
    assert await s.call("free_space") == (9 * MIB, 10 * MIB)
    with pytest.raises(QuotaFull):
        await s.put((b"g",), bytes(9 * MIB + 1))


# -- changes ----------------------------------------------------------------------------------------------------------


async def test_own_writes_are_not_told_and_others_are(s: Subject, control: Control) -> None:
    async with watched(s) as told:
        await s.put((b"ours",), b"x")
        await told.after(lambda: s.outside.write((b"theirs",), b"x"), (b"theirs",))
        assert not any((b"ours",) in each.paths for each in told.all)
        await told.after(lambda: s.outside.write((b"ours",), b"y"), (b"ours",))


async def test_an_upload_of_ours_that_others_move_is_told_wherever_it_comes_to(s: Subject, control: Control) -> None:
    control.settings(move_keeps_rev=True)
    async with watched(s) as told:
        await s.put((b"ours",), b"x")
        await told.after(lambda: s.outside.move((b"ours",), (b"moved",)), (b"ours",), (b"moved",))
        await told.after(lambda: s.outside.move((b"moved",), (b"ours",)), (b"ours",), (b"moved",))


async def test_an_upload_of_ours_that_others_move_unseen_is_told_when_it_comes_back(
    s: Subject, control: Control
) -> None:
    control.settings(move_keeps_rev=True)
    async with watched(s) as told:
        await s.put((b"ours",), b"x")
        before = len(told.all)
        control.fault("files/list_folder/get_latest_cursor", hold="everything")
        control.reset_cursors()
        await trio.to_thread.run_sync(control.wait_at_gate, "everything")
        s.outside.move((b"ours",), (b"moved",))
        control.release("everything")
        await told.until(lambda: any(() in each.below for each in told.all[before:]), "everything")
        await told.after(lambda: s.outside.move((b"moved",), (b"ours",)), (b"ours",), (b"moved",))


@pytest.mark.parametrize("order", ["deleted_first", "added_first"])
async def test_a_cursor_that_dropbox_forgot_has_everything_listed(s: Subject, control: Control, order: str) -> None:
    control.settings(move_order=order, empty_pages=True, page_size=3, spurious_changes=2)
    async with watched(s) as told:
        await told.after(lambda: s.outside.write((b"f",), b"x"), (b"f",))
        before = len(told.all)
        control.reset_cursors()
        await told.until(lambda: any(() in each.below for each in told.all[before:]), "everything")
        await told.after(lambda: s.outside.write((b"g",), b"x"), (b"g",))


async def test_a_cursor_that_makes_no_sense_to_dropbox_has_everything_listed(s: Subject, control: Control) -> None:
    async with watched(s, "AAEofanotherapp") as told:
        assert told.all[0].below == ((),)
        await told.after(lambda: s.outside.write((b"f",), b"x"), (b"f",))


async def test_names_in_changes_are_as_they_are_written(s: Subject, control: Control) -> None:
    control.mkdir("/Photos")
    control.mkdir("/Photos/Summer")
    async with watched(s) as told:
        cursor = told.all[-1].cursor
    control.write("/photos/SUMMER/Beach.jpg", b"x")
    async with watched(s, cursor) as told:
        path = (b"Photos", b"Summer", b"Beach.jpg")
        await told.until(lambda: any(path in each.paths for each in told.all), "the file by its own name")


async def test_many_changes_in_one_directory_are_one_list(s: Subject, control: Control) -> None:
    async with watched(s) as told:
        cursor = told.all[-1].cursor
    control.mkdir("/many")
    for number in range(40):
        control.write(f"/many/{number}", b"x")
    async with watched(s, cursor) as told:
        assert told.all[0].below == ((b"many",),)
        assert told.all[0].paths == ((b"many",),)


async def test_many_changes_beside_more_directories_are_told_one_by_one(s: Subject, control: Control) -> None:
    """To list a directory is to list all that is below it."""
    for number in range(50):
        control.mkdir(f"/many/d{number}")
    async with watched(s) as told:
        cursor = told.all[-1].cursor
    await s.call("list_directory", (b"many",))
    for number in range(40):
        control.write(f"/many/{number}", b"x")
    async with watched(s, cursor) as told:
        assert told.all[0].below == ()
        assert len(told.all[0].paths) == 40


async def test_a_folder_that_got_another_name_is_listed(s: Subject, control: Control) -> None:
    """What went from it under the old name is told by that name only, which may mean something else by now."""
    control.mkdir("/old")
    control.write("/old/f", b"x")
    async with watched(s) as told:
        cursor = told.all[-1].cursor
    control.delete("/old/f")
    control.move("/old", "/new")
    control.mkdir("/old")
    async with watched(s, cursor) as told:
        assert (b"new",) in told.all[0].below


async def test_watching_can_be_ended_while_nothing_changes(s: Subject, control: Control) -> None:
    before = mark(control)
    with trio.fail_after(20):
        async with watched(s):
            await trio.to_thread.run_sync(
                lambda: control.wait_for_call("files/list_folder/longpoll", since=before, over=False)
            )
    longpoll = control.journal(route="files/list_folder/longpoll", since=before)[0]
    assert longpoll["host"] == "notify"


# -- the package ------------------------------------------------------------------------------------------------------


def test_options(tmp_path: Path) -> None:
    options = dropbox.DRIVER.read_options({"app_key": "k", "token": {"file": "token"}}, tmp_path, "")
    assert (options.app_key, options.token.name, options.root) == ("k", str(tmp_path / "token"), "")
