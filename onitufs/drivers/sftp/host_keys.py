"""Which host key a server has to show. It is always verified, and never taken from the server itself."""

import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from paramiko import HostKeys, PKey, SSHClient
from paramiko.client import MissingHostKeyPolicy
from paramiko.hostkeys import HostKeyEntry
from paramiko.ssh_exception import SSHException

from onitufs.model.errors import NeedsPerson, ServiceError


class HostKeyTrouble(NeedsPerson):
    """A server shows a key that nobody has accepted. `name`: as files of known hosts have it; `known`: fingerprints of
    what it showed before. `is_option`: it is the option host_key that says otherwise."""

    def __init__(
        self, message: str, name: str, key: PKey, known: tuple[str, ...] = (), *, is_option: bool = False
    ) -> None:
        super().__init__(message)
        self.is_option = is_option
        self.name = name
        self.key = key
        self.known = known


@dataclass(slots=True)
class Known:
    """What is known of one host: keys that it may show, and keys that it must not."""

    keys: list[PKey] = field(default_factory=list)
    revoked: list[PKey] = field(default_factory=list)

    def types(self) -> list[str]:
        """The types of key to ask the server for first."""
        types = []
        for key in self.keys:
            name = key.get_name()
            types += ["rsa-sha2-512", "rsa-sha2-256"] if name == "ssh-rsa" else [name]
        return types


def known_name(host: str, port: int) -> str:
    """A host's name in files of known hosts."""
    return host if port == 22 else f"[{host}]:{port}"


def fingerprint(key: PKey) -> str:
    return str(key.fingerprint)


def own_file(work_dir: Path) -> Path:
    """Where keys are that a person accepted for this entry."""
    return work_dir / "known_hosts"


def known(name: str, work_dir: Path, files: Iterable[Path]) -> Known:
    """What our own file says of a host, or, where that says nothing, the other files."""
    found = Known()
    for file in (own_file(work_dir), *files):
        if found.keys:
            break
        try:
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            continue
        except OSError as exc:
            raise ServiceError(f"{file} cannot be read: {exc.strerror}") from exc
        _read(lines, name, found)
    return found


def _read(lines: list[str], name: str, found: Known) -> None:
    """Add what lines say of a host. Certificates of authorities are not supported, so a host needs a key of its own."""
    plain: list[str] = []
    revoked: list[str] = []
    for number, line in enumerate(lines):
        mark, _, rest = line.strip().partition(" ")
        line = rest.strip() if mark == "@revoked" else line.strip()
        if not line or line.startswith("#") or mark == "@cert-authority":
            continue
        try:
            entry = HostKeyEntry.from_line(line, number)
        except (SSHException, ValueError):
            continue
        if entry is not None:
            (revoked if mark == "@revoked" else plain).append(line)
    found.keys += _matching(plain, name)
    found.revoked += _matching(revoked, name)


def _matching(lines: list[str], name: str) -> list[PKey]:
    if not lines:
        return []
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:  # what is hashed, only the library can compare
        file.write("\n".join(lines) + "\n")
        file.flush()
        entries = HostKeys(file.name).lookup(name)
    return [] if entries is None else list(entries.values())


def accept(work_dir: Path, name: str, key: PKey) -> None:
    """Write down that a person accepted this key for this host, in place of all others. Raises OSError."""
    work_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = own_file(work_dir)
    kept = []
    if file.exists():
        kept = [line for line in file.read_text(encoding="utf-8").splitlines() if line.split(" ")[0] != name]
    kept.append(f"{name} {key.get_name()} {key.get_base64()}")
    temp = file.with_name("known_hosts.new")
    fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(fd, "w", encoding="utf-8") as out:
        out.write("\n".join(kept) + "\n")
        out.flush()
        os.fsync(fd)
    temp.rename(file)


class Verifier(MissingHostKeyPolicy):
    """Judges every key that a server shows: the client itself is told of none.

    `fingerprints`: what a setup says the key is, in place of what is known.
    """

    def __init__(self, name: str, known: Known, fingerprint: str | None, entry: str) -> None:
        self._name = name
        self._known = known
        self._fingerprint = fingerprint
        self._entry = entry

    def missing_host_key(self, client: SSHClient, hostname: str, key: PKey) -> None:
        del client, hostname
        shown = f"{key.get_name()} {fingerprint(key)}"
        accept = f"run: onitufs auth login {self._entry}"
        if any(key == revoked for revoked in self._known.revoked):
            what = f"the host key of {self._name} ({shown}) is revoked"
            raise NeedsPerson(f"{what}; give the server a new one, and take the old one out of the known hosts")
        if self._fingerprint is not None:
            if _plain(self._fingerprint) != _plain(fingerprint(key)):
                what = f"the host key of {self._name} is {shown}, not {self._fingerprint}"
                raise HostKeyTrouble(
                    f"{what}; ask who runs the server, then correct the option host_key",
                    self._name,
                    key,
                    (self._fingerprint,),
                    is_option=True,
                )
            return
        if any(key == each for each in self._known.keys):
            return
        if not self._known.keys:
            what = f"the host key of {self._name} is not known: it shows {shown}"
            raise HostKeyTrouble(f"{what}; {accept}", self._name, key)
        before = tuple(fingerprint(each) for each in self._known.keys)
        what = f"the host key of {self._name} HAS CHANGED: it was {' or '.join(before)}, now it is {shown}"
        raise HostKeyTrouble(f"{what}; ask who runs the server why, then {accept}", self._name, key, before)


def _plain(text: str) -> str:
    return text.strip().removeprefix("SHA256:").rstrip("=")
