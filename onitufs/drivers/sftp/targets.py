"""Where a server is and who we are there: what the options say, and the SSH configuration where they say nothing."""

import os
import pwd
from dataclasses import dataclass, field, replace
from pathlib import Path

from paramiko import SSHConfig
from paramiko.ssh_exception import ConfigParseError

from onitufs.model.errors import NeedsPerson

from .agents import agent_of
from .options import SftpOptions

_MOST_JUMPS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One server to log in to. `keys`: files of private keys to offer; `jump`: the server to reach it through."""

    host: str
    port: int
    user: str
    keys: tuple[str, ...] = ()
    only_these_keys: bool = False
    known_as: str | None = None
    known_hosts: tuple[Path, ...] = ()
    agent: str | None = None  # the socket of the agent to ask; None: as the environment says
    command: str | None = None  # a program to talk through, in place of a connection
    jump: "Target | None" = None


@dataclass(slots=True)
class _Reading:
    config: SSHConfig
    seen: list[str] = field(default_factory=list)


def target_of(options: SftpOptions) -> Target:
    """Raises NeedsPerson if the SSH configuration cannot be read, or goes in circles."""
    reading = _Reading(_config(options.ssh_config))
    target = _resolve(reading, options.host, options.port, options.user, options.jump)
    return _with_key(target, options.key)


def _with_key(target: Target, key: Path | None) -> Target:
    if key is None:
        return target
    return replace(target, keys=(str(key),), only_these_keys=True)


def _config(file: Path | str) -> SSHConfig:
    if isinstance(file, str) or not file.exists():
        return SSHConfig()
    try:
        return SSHConfig.from_path(str(file))
    except (OSError, ConfigParseError, UnicodeDecodeError) as exc:
        raise _unreadable(file, exc) from exc


def _unreadable(what: object, exc: Exception) -> NeedsPerson:
    return NeedsPerson(f"{what} cannot be read: {exc}; correct it, or set the option ssh_config")


def _resolve(reading: _Reading, name: str, port: int | None, user: str | None, jump: str | None) -> Target:
    if name in reading.seen or len(reading.seen) > _MOST_JUMPS:
        way = " - ".join([*reading.seen, name])
        raise NeedsPerson(f"the way to {name} goes in circles: {way}; correct ProxyJump or the option jump")
    reading.seen.append(name)
    try:
        found = reading.config.lookup(name)
    except (ConfigParseError, ImportError) as exc:
        raise _unreadable("the SSH configuration", exc) from exc
    host = found.get("hostname", name)
    return Target(
        host=host,
        port=port or _port(found.get("port", "22"), name),
        user=user or found.get("user") or pwd.getpwuid(os.geteuid()).pw_name,
        keys=tuple(os.path.expanduser(key) for key in found.get("identityfile", [])),
        only_these_keys=found.get("identitiesonly", "no") == "yes",
        known_as=found.get("hostkeyalias"),
        known_hosts=_known_hosts(found.get("userknownhostsfile")),
        agent=agent_of(found.get("identityagent")),
        command=None if jump is not None else _set(found.get("proxycommand")),
        jump=_jump(reading, jump if jump is not None else found.get("proxyjump")),
    )


def _set(value: str | None) -> str | None:
    return None if value in (None, "", "none") else value


def _port(value: str, name: str) -> int:
    try:
        return int(value)
    except ValueError as exc:
        raise NeedsPerson(f"the port of {name} is {value!r}, which is no number; correct it") from exc


def _known_hosts(value: str | None) -> tuple[Path, ...]:
    files = ["~/.ssh/known_hosts", "~/.ssh/known_hosts2"] if value is None else value.split()
    return tuple(Path(os.path.expanduser(file)) for file in files if file != "none")


def _jump(reading: _Reading, spec: str | None) -> Target | None:
    """The last of the servers in "USER@HOST:PORT,...", reached through those before it."""
    if (spec := _set(spec)) is None:
        return None
    *before, last = [part.strip() for part in spec.split(",")]
    user, at, where = last.removeprefix("ssh://").rpartition("@")
    host, port = where, None
    if where.startswith("["):
        host, _, rest = where[1:].partition("]")
        port = rest.removeprefix(":") or None
    elif where.count(":") == 1:
        host, _, port = where.partition(":")
    if not host:
        raise NeedsPerson(f"{spec!r} is no way to a server; write USER@HOST:PORT, with commas between several")
    through = ",".join(before) if before else None
    return _resolve(reading, host, None if port is None else _port(port, host), user if at else None, through)
