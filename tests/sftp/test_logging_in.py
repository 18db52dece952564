"""Logging in: only to a server that shows the key that is known; with what the options or the configuration name."""

import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paramiko
import pytest

from onitufs.drivers import sftp
from onitufs.drivers.sftp.connecting import Connector
from onitufs.drivers.sftp.host_keys import HostKeyTrouble
from onitufs.drivers.sftp.login import HostKeyLogin
from onitufs.model.errors import AuthNeeded, DriverError, NeedsPerson, ServiceError
from onitufs.model.ids import EntryName

from .server import Sshd, new_key

ENTRY = EntryName("nas")
NewSshd = Callable[..., Sshd]


def options(raw: dict[str, Any], base: Path) -> Any:
    return sftp.DRIVER.read_options(raw, base, "entries.nas.options")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home: nothing of the user who runs the tests is read."""
    directory = tmp_path / "home"
    (directory / ".ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(directory))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return directory


def connect(raw: dict[str, Any], tmp_path: Path) -> None:
    connection = Connector(options(raw, tmp_path), tmp_path / "work", ENTRY).connect()
    assert connection.is_alive
    connection.close()


def refused(error: type[DriverError], raw: dict[str, Any], tmp_path: Path) -> str:
    """The message of the error, which is of that kind and one line with a remedy."""
    with pytest.raises(error) as caught:
        connect(raw, tmp_path)
    message = str(caught.value)
    assert "\n" not in message
    assert "; " in message or not issubclass(error, NeedsPerson)
    return message


# -- host keys --------------------------------------------------------------------------------------------------------


def test_an_unknown_host_key_needs_a_person(sshd: Sshd, home: Path, tmp_path: Path) -> None:
    raw = sshd.options(host_key=None)
    message = refused(HostKeyTrouble, raw, tmp_path)
    assert sshd.fingerprint in message
    assert message.endswith("run: onitufs auth login nas")
    assert not (tmp_path / "work" / "known_hosts").exists()


def test_known_hosts_of_the_user(sshd: Sshd, home: Path, tmp_path: Path) -> None:
    known = home / ".ssh" / "known_hosts"
    known.write_text("# a comment\nnonsense\n@cert-authority * ssh-ed25519 AAAA\n" + sshd.known_hosts_line())
    connect(sshd.options(host_key=None), tmp_path)
    known.write_text(sshd.known_hosts_line())
    subprocess.run(["ssh-keygen", "-H", "-f", known], check=True, capture_output=True)
    assert "127.0.0.1" not in known.read_text()
    connect(sshd.options(host_key=None), tmp_path)
    known.write_text("@revoked " + sshd.known_hosts_line() + sshd.known_hosts_line())
    assert "revoked" in refused(NeedsPerson, sshd.options(host_key=None), tmp_path)


def test_a_fingerprint_is_all_that_counts(sshd: Sshd, home: Path, tmp_path: Path) -> None:
    connect(sshd.options(), tmp_path)
    (home / ".ssh" / "known_hosts").write_text(sshd.known_hosts_line())
    message = refused(HostKeyTrouble, sshd.options(host_key="SHA256:" + "A" * 43), tmp_path)
    assert "option host_key" in message


def test_a_fingerprint_of_another_type_of_key(new_sshd: NewSshd, home: Path, tmp_path: Path) -> None:
    """The server would show its Ed25519 key first; the one that the setup names is asked for."""
    other = tmp_path / "other"
    new_key(other, kind="rsa")
    server = new_sshd(more=(f"HostKey {other}",))
    printed = subprocess.run(["ssh-keygen", "-l", "-f", other], capture_output=True, text=True, check=True).stdout
    connect(server.options(host_key=printed.split()[1]), tmp_path)
    (home / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{server.port} " + other.with_suffix(".pub").read_text())
    connect(server.options(host_key=None), tmp_path)


def test_a_changed_host_key_is_accepted_by_a_person_only(new_sshd: NewSshd, home: Path, tmp_path: Path) -> None:
    server = new_sshd()
    raw = server.options(host_key=None)
    before = server.fingerprint
    login = HostKeyLogin(options(raw, tmp_path), entry=ENTRY, work_dir=tmp_path / "work")
    question = login.start()
    assert question is not None
    assert before in question.text
    with pytest.raises(NeedsPerson):
        login.finish("no")
    refused(HostKeyTrouble, raw, tmp_path)
    assert before in login.finish("yes")
    connect(raw, tmp_path)
    assert (tmp_path / "work" / "known_hosts").stat().st_mode & 0o777 == 0o600

    server.kill()
    server.new_host_key()
    server.start()
    message = refused(HostKeyTrouble, raw, tmp_path)
    assert "HAS CHANGED" in message
    assert before in message
    assert server.fingerprint in message
    login = HostKeyLogin(options(raw, tmp_path), entry=ENTRY, work_dir=tmp_path / "work")
    question = login.start()
    assert question is not None
    assert before in question.text
    assert server.fingerprint in question.text
    login.finish("yes")
    connect(raw, tmp_path)
    assert HostKeyLogin(options(raw, tmp_path), entry=ENTRY, work_dir=tmp_path / "work").start() is None
    assert len((tmp_path / "work" / "known_hosts").read_text().splitlines()) == 1


def test_what_a_person_accepted_goes_before_the_known_hosts_of_the_user(
    new_sshd: NewSshd, home: Path, tmp_path: Path
) -> None:
    server = new_sshd()
    (home / ".ssh" / "known_hosts").write_text(server.known_hosts_line())
    raw = server.options(host_key=None)
    server.kill()
    server.new_host_key()
    server.start()
    refused(HostKeyTrouble, raw, tmp_path)
    login = HostKeyLogin(options(raw, tmp_path), entry=ENTRY, work_dir=tmp_path / "work")
    assert login.start() is not None
    login.finish("yes")
    connect(raw, tmp_path)


# -- who we are -------------------------------------------------------------------------------------------------------


def test_a_wrong_key_needs_a_person(sshd: Sshd, home: Path, tmp_path: Path) -> None:
    new_key(tmp_path / "wrong")
    message = refused(AuthNeeded, sshd.options(key=str(tmp_path / "wrong")), tmp_path)
    assert "onitufs entry resume nas" in message
    assert "no private key" in refused(AuthNeeded, sshd.options(key=str(tmp_path / "none")), tmp_path)
    raw = sshd.options(agent=False)
    del raw["key"]
    assert "option key" in refused(AuthNeeded, raw, tmp_path)


def test_no_other_key_is_offered(sshd: Sshd, home: Path, tmp_path: Path) -> None:
    """One that is named and wrong is not made up for by one that lies in the home."""
    new_key(tmp_path / "wrong")
    (home / ".ssh" / "id_ed25519").write_bytes(sshd.key.read_bytes())
    refused(AuthNeeded, sshd.options(key=str(tmp_path / "wrong")), tmp_path)
    raw = sshd.options()
    del raw["key"]
    connect(raw, tmp_path)


def test_a_key_with_a_passphrase(sshd: Sshd, home: Path, tmp_path: Path) -> None:
    key = tmp_path / "locked"
    key.write_bytes(sshd.key.read_bytes())
    key.chmod(0o600)
    subprocess.run(
        ["ssh-keygen", "-q", "-p", "-P", "", "-N", "open sesame", "-f", key], check=True, capture_output=True
    )
    assert "passphrase" in refused(AuthNeeded, sshd.options(key=str(key)), tmp_path)
    secret = tmp_path / "secret"
    raw = sshd.options(key=str(key), passphrase={"file": str(secret)})
    assert str(secret) in refused(AuthNeeded, raw, tmp_path)
    secret.write_text("open sesame\n")
    secret.chmod(0o600)
    connect(raw, tmp_path)


def test_a_key_of_the_agent(sshd: Sshd, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with agent(tmp_path) as sock:
        monkeypatch.setenv("SSH_AUTH_SOCK", sock)
        subprocess.run(["ssh-add", "-q", sshd.key], check=True, capture_output=True)
        raw = sshd.options()
        del raw["key"]
        connect(raw, tmp_path)
        refused(AuthNeeded, raw | {"agent": False}, tmp_path)


def test_a_key_of_the_agent_that_the_configuration_names(
    sshd: Sshd, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    config = home / ".ssh" / "config"
    raw = sshd.options(ssh_config=str(config))
    del raw["key"]
    with agent(tmp_path) as sock:
        subprocess.run(
            ["ssh-add", "-q", sshd.key], env={**os.environ, "SSH_AUTH_SOCK": sock}, check=True, capture_output=True
        )
        monkeypatch.setenv("MY_AGENT", sock)
        for named in (sock, f"~/{os.path.relpath(sock, home)}", f"%d/{os.path.relpath(sock, home)}", "$MY_AGENT"):
            config.write_text(f"Host *\n  IdentityAgent {named}\n")
            connect(raw, tmp_path)
        refused(AuthNeeded, raw | {"agent": False}, tmp_path)
        monkeypatch.setenv("SSH_AUTH_SOCK", sock)
        for other in ("none", str(tmp_path / "nobody"), "$NOWHERE"):
            config.write_text(f"Host *\n  IdentityAgent {other}\n")
            refused(AuthNeeded, raw, tmp_path)
        config.write_text("Host *\n  IdentityAgent SSH_AUTH_SOCK\n")
        connect(raw, tmp_path)


@contextmanager
def agent(tmp_path: Path) -> Iterator[str]:
    sock = str(tmp_path / "agent")
    process = subprocess.Popen(["ssh-agent", "-D", "-a", sock], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield sock
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


class _ByPassword(paramiko.ServerInterface):
    """Of the library that we use ourselves: sshd takes passwords of this machine's accounts only."""

    def get_allowed_auths(self, username: str) -> str:
        return "password"

    def check_auth_password(self, username: str, password: str) -> int:
        right = (username, password) == ("somebody", "open sesame")
        return paramiko.AUTH_SUCCESSFUL if right else paramiko.AUTH_FAILED


def test_a_password(home: Path, tmp_path: Path) -> None:
    key = paramiko.RSAKey.generate(2048)
    secret = tmp_path / "secret"
    secret.write_text("wrong")
    secret.chmod(0o600)
    transports: list[paramiko.Transport] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            for _ in range(2):
                transport = paramiko.Transport(listening.accept()[0])
                transport.add_server_key(key)
                transport.start_server(event=threading.Event(), server=_ByPassword())
                transports.append(transport)

        serving = threading.Thread(target=serve)
        serving.start()
        raw = {
            "host": "127.0.0.1", "port": listening.getsockname()[1], "user": "somebody", "root": "x",
            "ssh_config": "none", "host_key": key.fingerprint, "password": {"file": str(secret)},
        }  # fmt: skip
        refused(AuthNeeded, raw, tmp_path)
        secret.write_text("open sesame")
        connect(raw, tmp_path)
        serving.join()
        for transport in transports:
            transport.close()


def test_a_server_that_is_not_there_is_tried_again(sshd: Sshd, home: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    assert "refused" in refused(ServiceError, sshd.options() | {"port": port}, tmp_path)


# -- on the way -------------------------------------------------------------------------------------------------------


def test_the_ssh_configuration_is_heeded(sshd: Sshd, home: Path, tmp_path: Path) -> None:
    known = tmp_path / "known"
    kind, key = sshd.host_key.with_suffix(".pub").read_text().split()[:2]
    known.write_text(f"alias {kind} {key}\n")
    (home / ".ssh" / "config").write_text(
        f"Host nas\n HostName 127.0.0.1\n Port {sshd.port}\n User {sshd.user}\n IdentityFile {sshd.key}\n"
        f" IdentitiesOnly yes\n HostKeyAlias alias\n UserKnownHostsFile {known}\n"
    )
    connect({"host": "nas", "root": "x"}, tmp_path)
    refused(DriverError, {"host": "nas", "root": "x", "ssh_config": "none"}, tmp_path)
    (home / ".ssh" / "config").write_text("Host nas\n HostName 127.0.0.1\n Port many\n")
    assert "'many'" in refused(NeedsPerson, {"host": "nas", "root": "x"}, tmp_path)


def test_a_server_behind_another(sshd: Sshd, new_sshd: NewSshd, home: Path, tmp_path: Path) -> None:
    """Each shows its own key, and the one in between is asked about first."""
    jump = new_sshd()
    config = tmp_path / "config"
    config.write_text(f"Host jump\n HostName 127.0.0.1\n Port {jump.port}\n IdentityFile {jump.key}\n")
    raw = sshd.options() | {"ssh_config": str(config), "jump": f"{jump.user}@jump"}
    message = refused(HostKeyTrouble, raw, tmp_path)
    assert jump.fingerprint in message
    (home / ".ssh" / "known_hosts").write_text(jump.known_hosts_line())
    connect(raw, tmp_path)
    config.write_text(config.read_text() + "Host 127.0.0.1\n ProxyJump jump\n")
    with pytest.raises(NeedsPerson, match="goes in circles"):  # the one in between is 127.0.0.1, too, by its own name
        connect({**raw, "jump": "jump,jump"}, tmp_path)
    log = jump.log().count("direct-tcpip")
    connect({key: value for key, value in raw.items() if key != "jump"}, tmp_path)
    assert jump.log().count("direct-tcpip") >= log


def test_a_server_in_between_that_lets_nobody_through(
    sshd: Sshd, chrooted_sshd: Sshd, home: Path, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text(
        f"Host jump\n HostName 127.0.0.1\n Port {chrooted_sshd.port}\n User {chrooted_sshd.user}\n"
        f" IdentityFile {chrooted_sshd.key}\n"
    )
    (home / ".ssh" / "known_hosts").write_text(chrooted_sshd.known_hosts_line())
    raw = sshd.options() | {"ssh_config": str(config), "jump": "jump"}
    assert "TCP forwarding" in refused(NeedsPerson, raw, tmp_path)


def test_a_program_in_between(sshd: Sshd, home: Path, tmp_path: Path) -> None:
    config = tmp_path / "config"
    talk = f"exec 3<>/dev/tcp/127.0.0.1/{sshd.port}; cat <&3 & exec cat >&3"
    config.write_text(f"Host nas\n ProxyCommand /bin/bash -c '{talk}'\n")
    connect(sshd.options() | {"host": "nas", "ssh_config": str(config)}, tmp_path)
