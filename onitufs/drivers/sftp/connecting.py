"""Logging in to a server: over other servers if need be, and only if each shows the host key that is known."""

import logging
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from paramiko import ProxyCommand, SSHClient, Transport
from paramiko.channel import Channel
from paramiko.ssh_exception import (
    AuthenticationException,
    BadAuthenticationType,
    ChannelException,
    IncompatiblePeer,
    NoValidConnectionsError,
    PasswordRequiredException,
    SSHException,
)

from onitufs.drivers.values import Secret
from onitufs.model.errors import AuthNeeded, DriverError, NeedsPerson, ServiceError

from .agents import NO_AGENT, AgentAt
from .host_keys import HostKeyTrouble, Known, Verifier, known, known_name
from .options import SftpOptions
from .targets import Target, target_of

logging.getLogger("paramiko").setLevel(logging.CRITICAL)  # what goes wrong comes as an exception, and is told by us

TIMEOUT_S = 15.0
ALIVE_S = 15
"""How often something is sent when nothing else is, so that no router in between forgets us."""
_WINDOW = 16 << 20
_SILENCE_MS = 40_000
"""What was sent and not acknowledged for so long ends the connection: the network is gone."""
_TYPES_OF_KEY = 3
"""Ed25519, ECDSA, RSA: what a server may have of each, where only a fingerprint is known."""


class Connection:
    """One connection, with those that it goes over."""

    def __init__(self, clients: list[SSHClient], programs: "list[_Program]") -> None:
        self._clients = clients
        self._programs = programs
        transport = clients[-1].get_transport()
        assert transport is not None
        self.transport: Transport = transport

    @property
    def is_alive(self) -> bool:
        return self.transport.is_active()

    def close(self) -> None:
        _close(self._clients, self._programs)


def _close(clients: list[SSHClient], programs: "list[_Program]") -> None:
    for client in reversed(clients):
        with suppress(OSError, EOFError, SSHException):
            client.close()
    for program in programs:
        program.end()


class _Program(ProxyCommand):
    """A program to talk through, which is never left behind, nor a stranger killed that got its number later."""

    def close(self) -> None:
        self.process.kill()

    def end(self) -> None:
        """After the connection over it is closed."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


class Connector:
    """Connects to the server of one entry. Blocking calls; for one thread at a time.

    `work_dir`: where host keys are kept that a person accepted. `entry`: its name, for remedies.
    """

    def __init__(self, options: SftpOptions, work_dir: Path, entry: str) -> None:
        self._options = options
        self._work_dir = work_dir
        self._entry = entry

    def connect(self) -> Connection:
        """Raises HostKeyTrouble, AuthNeeded, NeedsPerson, ServiceError."""
        clients: list[SSHClient] = []
        programs: list[_Program] = []
        try:
            self._reach(target_of(self._options), clients, programs, is_last=True)
        except BaseException:
            _close(clients, programs)
            raise
        return Connection(clients, programs)

    def _reach(self, target: Target, clients: list[SSHClient], programs: list[_Program], *, is_last: bool) -> None:
        sock: Any = None
        if target.jump is not None:
            self._reach(target.jump, clients, programs, is_last=False)
            sock = _through(clients[-1], target)
        elif target.command is not None:
            sock = _program(target)
            programs.append(sock)
        fingerprint = self._options.host_key if is_last else None
        name = known_name(target.known_as or target.host, target.port if target.known_as is None else 22)
        found = Known() if fingerprint else known(name, self._work_dir, target.known_hosts)
        seen: list[str] = []
        first: HostKeyTrouble | None = None
        for left in range(_TYPES_OF_KEY, 0, -1):
            client = self._client(target)
            client.set_missing_host_key_policy(Verifier(name, found, fingerprint, self._entry))
            try:
                self._log_in(client, target, sock, _new_transport(found.types(), seen), is_last=is_last)
            except HostKeyTrouble as exc:
                client.close()
                first = first or exc
                if fingerprint is None or sock is not None or left == 1:
                    raise first from None
                seen.append(exc.key.get_name())  # it may have one of another type, with that fingerprint
            except BaseException as exc:
                client.close()
                if first is not None and isinstance(exc.__cause__, IncompatiblePeer):  # no, it has not
                    raise first from None
                raise
            else:
                clients.append(client)
                return

    def _client(self, target: Target) -> SSHClient:
        client = SSHClient()
        if target.agent and self._asks_agent(target):
            client._agent = AgentAt(target.agent)  # type: ignore[attr-defined]  # it offers no other way
        return client

    def _asks_agent(self, target: Target) -> bool:
        return self._options.agent and not target.only_these_keys and target.agent != NO_AGENT

    def _log_in(
        self, client: SSHClient, target: Target, sock: Any, new_transport: Callable[..., Transport], *, is_last: bool
    ) -> None:
        where = f"{target.user}@{known_name(target.host, target.port)}"
        try:
            client.connect(
                target.host,
                target.port,
                target.user,
                sock=sock,
                timeout=TIMEOUT_S,
                banner_timeout=TIMEOUT_S,
                auth_timeout=2 * TIMEOUT_S,
                channel_timeout=TIMEOUT_S,
                transport_factory=new_transport,
                **self._credentials(target, is_last=is_last),
            )
        except DriverError:
            raise
        except PasswordRequiredException as exc:
            raise AuthNeeded(
                f"the private key for {where} has a passphrase; set the option passphrase, or use an SSH agent"
            ) from exc
        except BadAuthenticationType as exc:
            offered = ", ".join(exc.allowed_types) or "nothing"
            raise AuthNeeded(f"{where} takes {offered} only; set the option key or password to what it takes") from exc
        except AuthenticationException as exc:
            remedy = f"correct user, key or password, then: onitufs entry resume {self._entry}"
            raise AuthNeeded(f"{where} refuses the login ({exc}); {remedy}") from exc
        except NoValidConnectionsError as exc:
            first = next(iter(exc.errors.values()))
            why = (first.strerror if isinstance(first, OSError) else None) or str(first)
            raise ServiceError(f"{where} cannot be reached: {why}") from exc
        except (OSError, EOFError, SSHException) as exc:
            why = str(exc) or type(exc).__name__
            if "No authentication methods" in why:
                raise AuthNeeded(f"there is no key to log in to {where} with; set the option key or password") from exc
            raise ServiceError(f"{where} cannot be reached: {why}") from exc
        transport = client.get_transport()
        if transport is not None:
            transport.set_keepalive(ALIVE_S)

    def _credentials(self, target: Target, *, is_last: bool) -> dict[str, Any]:
        """What connect() is to be given: no more than one way to log in where the setup names one."""
        options = self._options
        if not is_last:
            return {
                "key_filename": [key for key in target.keys if os.path.exists(key)],
                "allow_agent": self._asks_agent(target),
                "look_for_keys": not target.keys,
            }
        given: dict[str, Any] = {"allow_agent": False, "look_for_keys": False}
        if options.key is not None:
            if not options.key.exists():
                raise AuthNeeded(f"there is no private key {options.key}; correct the option key")
            given["key_filename"] = [str(options.key)]
            given["passphrase"] = _revealed(options.passphrase)
        if options.password is not None:
            given["password"] = _revealed(options.password)
        if options.key is None and options.password is None:
            given["key_filename"] = [key for key in target.keys if os.path.exists(key)]
            given["passphrase"] = _revealed(options.passphrase)
            given["allow_agent"] = self._asks_agent(target)
            given["look_for_keys"] = not target.keys
        return given


def _revealed(secret: Secret | None) -> str | None:
    if secret is None:
        return None
    try:
        return secret.reveal()
    except ValueError as exc:
        raise AuthNeeded(f"{exc}; put it there") from exc


def _program(target: Target) -> _Program:
    assert target.command is not None
    try:
        return _Program(target.command)
    except (OSError, ValueError) as exc:
        raise NeedsPerson(f"the ProxyCommand for {target.host} cannot be run ({exc}); correct it") from exc


def _through(client: SSHClient, target: Target) -> Channel:
    """A channel to the next server. Raises NeedsPerson if the server in between does not allow it."""
    transport = client.get_transport()
    assert transport is not None
    try:
        return transport.open_channel("direct-tcpip", (target.host, target.port), ("127.0.0.1", 0), timeout=TIMEOUT_S)
    except ChannelException as exc:
        where = known_name(target.host, target.port)
        if exc.code == 1:
            what = f"the server in between does not let us through to {where}"
            raise NeedsPerson(f"{what}; allow TCP forwarding there, or reach it otherwise") from exc
        raise ServiceError(f"the server in between cannot reach {where}: {exc.text}") from exc
    except (OSError, EOFError, SSHException) as exc:
        raise ServiceError(f"the server in between went away: {exc}") from exc


def _new_transport(first: list[str], seen: list[str]) -> Callable[..., Transport]:
    """Makes a Transport that is quick, notices a dead network, and asks for host keys of the known types first."""

    def make(sock: Any, **more: Any) -> Transport:
        if isinstance(sock, socket.socket):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            with suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENCE_MS)
        transport = Transport(sock, default_window_size=_WINDOW, **more)
        security = transport.get_security_options()
        security.ciphers = sorted(security.ciphers, key=lambda name: not name.startswith("aes128-gcm"))
        types = list(security.key_types)
        wanted = [name for name in first if name in types]
        unwanted = {"rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"} if "ssh-rsa" in seen else set()
        left = [name for name in types if name not in wanted and name not in seen and name not in unwanted]
        if wanted or left:
            security.key_types = [*wanted, *left]
        return transport

    return make
