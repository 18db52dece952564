"""What client and daemon say to each other."""

import socket
from pathlib import Path

import pytest

from onitufs.control import protocol, runtime
from onitufs.control.client import Conversation, Refused
from onitufs.model.errors import Exit, NoDaemon


def test_a_question_gets_its_answer_and_the_next_one_too(daemon: runtime.Daemon) -> None:
    with Conversation(daemon) as conversation:
        assert conversation.ask("status")["files"]["all"] == 214
        assert conversation.ask("log")["log"].endswith("/log/onitufs.log")
        assert conversation.ask("status")["pid"] == daemon.pid


@pytest.mark.parametrize("path", [b"/", b"/a b.txt", "/été".encode(), b"/\xff\xfe\n\x1b[31m", b"/" + b"x" * 4095])
def test_every_path_arrives_as_it_is(daemon: runtime.Daemon, path: bytes) -> None:
    with Conversation(daemon) as conversation:
        answer = conversation.ask("whereis", **protocol.path_fields(path))
    assert bytes.fromhex(answer["asked"]) == path


def test_an_error_of_ours_keeps_its_message_and_exit_status(daemon: runtime.Daemon) -> None:
    with Conversation(daemon) as conversation:
        with pytest.raises(Refused, match="/x/missing: no such file") as refused:
            conversation.ask("whereis", path="/x/missing")
        assert refused.value.exit_status == Exit.NO_SUCH
        assert conversation.ask("status"), "the conversation goes on"


def test_a_bug_in_an_answer_is_one_line_and_harms_nobody(daemon: runtime.Daemon) -> None:
    with Conversation(daemon) as conversation:
        with pytest.raises(Refused, match=r"RuntimeError: half a thought \(see .*onitufs.log\)") as refused:
            conversation.ask("whereis", path="/bug")
        assert refused.value.exit_status == Exit.BUG
        assert "\n" not in str(refused.value)
        assert conversation.ask("status")


def test_a_client_that_leaves_calls_its_question_off(daemon: runtime.Daemon) -> None:
    with Conversation(daemon) as watching:
        watching.send("wait", path="/until-a-wait-was-called-off")
        with Conversation(daemon) as leaving:
            leaving.send("wait")
            assert leaving_was_heard(daemon)
        assert watching.receive(20) == {"done": True}


def leaving_was_heard(daemon: runtime.Daemon) -> bool:
    """A later question was answered, so the earlier one has been begun."""
    with Conversation(daemon) as other:
        return bool(other.ask("status"))


def test_a_stream_gives_one_answer_after_the_other_until_its_end(start_desk, tmp_path: Path) -> None:
    found = [{"checked": 100, "of": 200}, {"entry": "A", "path": "/x", "problem": "differs"}, {"done": True}]
    start_desk(answers={"scrub": found})
    with Conversation(runtime.find(str(tmp_path / "mnt"))[0]) as conversation:
        assert list(conversation.stream("scrub")) == found
        assert conversation.ask("status")


def test_watching_goes_on_until_the_client_has_seen_enough(daemon: runtime.Daemon) -> None:
    with Conversation(daemon) as conversation:
        glances = conversation.stream("watch", interval_s=0.1)
        assert [next(glances)["verdict"] for _ in range(3)] == ["safe"] * 3


def test_stop_is_answered_although_the_daemon_is_ending(start_desk, tmp_path: Path) -> None:
    process = start_desk()
    daemon, _ = runtime.find(str(tmp_path / "mnt"))
    with Conversation(daemon) as conversation:
        assert conversation.ask("stop", now=True) == {"done": True, "pending": 0, "busy": False}
    assert process.wait(20) == 0
    with pytest.raises(NoDaemon):
        runtime.find(str(tmp_path / "mnt"))
    left = [path.name for path in Path(daemon.directory).iterdir()]
    assert f"{daemon.pid}.json" not in left
    assert daemon.socket_name not in left


def test_a_daemon_that_dies_while_asked_is_named(start_desk, tmp_path: Path) -> None:
    process = start_desk()
    with Conversation(runtime.find(str(tmp_path / "mnt"))[0]) as conversation:
        conversation.send("wait")
        process.kill()
        with pytest.raises(NoDaemon, match=rf"{tmp_path}/mnt \(pid {process.pid}\) ended before it answered"):
            conversation.receive(20)


BAD_QUESTIONS = [
    (b"\n", "not a line of JSON"),
    (b"\xff\xfe\0\n", "not a line of JSON"),
    (b"[" * 60000 + b"\n", "not a line of JSON"),
    (b"[1]\n", "not a JSON object"),
    (b'{"do":"status"}\n', "speaks version None"),
    (b'{"v":2,"do":"status"}\n', "speaks version 2"),
    (b'{"v":1}\n', "no question None; there are .*status"),
    (b'{"v":1,"do":["status"]}\n', "no question"),
    (b'{"v":1,"do":"__init__"}\n', "no question"),
    (b'{"v":1,"do":"whereis"}\n', "path is missing"),
    (b'{"v":1,"do":"whereis","path":"relative"}\n', "path has to begin with /"),
    (b'{"v":1,"do":"whereis","path":"/a\\u0000b"}\n', "path has to begin with / and has no zero byte"),
    (b'{"v":1,"do":"whereis","path":"/\\ud800"}\n', "path has characters that no file name has"),
    (b'{"v":1,"do":"whereis","path":7}\n', "path is not a string"),
    (b'{"v":1,"do":"whereis","path_base64":"%%%"}\n', "path_base64 is not base64"),
    (b'{"v":1,"do":"wait","timeout_s":-1}\n', "timeout_s has to be a number of seconds"),
    (b'{"v":1,"do":"wait","timeout_s":NaN}\n', "timeout_s has to be a number of seconds"),
    (b'{"v":1,"do":"wait","timeout_s":true}\n', "timeout_s has to be a number of seconds"),
    (b'{"v":1,"do":"stop","now":1}\n', "now has to be true or false"),
    (b'{"v":1,"do":"pause"}\n', "entry is missing"),
    (b'{"v":1,"do":"explain","path":"/x","size":1.5}\n', "size has to be a number of bytes"),
]


@pytest.mark.parametrize(("line", "why"), BAD_QUESTIONS)
def test_garbage_is_answered_with_what_is_wrong(daemon: runtime.Daemon, line: bytes, why: str) -> None:
    with Conversation(daemon) as conversation:
        conversation._socket.sendall(line)
        with pytest.raises(Refused, match=why) as refused:
            conversation.receive(20)
        assert refused.value.exit_status == Exit.USAGE
        assert conversation.ask("status"), "the conversation goes on"


def test_a_line_without_end_is_cut_off_and_others_go_on(daemon: runtime.Daemon) -> None:
    with Conversation(daemon) as endless:
        endless._socket.sendall(b"x" * 65537)
        with pytest.raises(Refused, match="more than 65536 bytes"):
            endless.receive(20)
        with pytest.raises(NoDaemon):
            endless.receive(20)
        assert leaving_was_heard(daemon)


def test_sending_ahead_of_the_answers_is_bounded(daemon: runtime.Daemon) -> None:
    with Conversation(daemon) as hasty:
        hasty.send("wait")
        with pytest.raises((BrokenPipeError, ConnectionResetError, Refused)):  # noqa: PT012
            for _ in range(1000):
                hasty._socket.sendall(b"x" * 65536)
            hasty.receive(20)
    assert leaving_was_heard(daemon)


def test_so_many_clients_and_no_more(daemon: runtime.Daemon) -> None:
    talking = [Conversation(daemon) for _ in range(64)]
    try:
        for conversation in talking:
            assert conversation.ask("status")
        with Conversation(daemon) as late, pytest.raises(Refused, match="more than 64 clients"):
            late.ask("status")
    finally:
        for conversation in talking:
            conversation._socket.close()
    with Conversation(daemon) as again:
        assert again.ask("status")


def test_a_client_that_hangs_up_in_the_middle_of_everything(daemon: runtime.Daemon) -> None:
    whole = protocol.encode({"do": "watch", "interval_s": 0.1})
    for sent in range(0, len(whole) + 1, 7):
        with Conversation(daemon) as conversation:
            conversation._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            conversation._socket.sendall(whole[:sent])
    assert leaving_was_heard(daemon)
