"""Accepting the host key of a server: `onitufs auth login ENTRY`."""

from pathlib import Path

from onitufs.drivers.login import Question
from onitufs.model.errors import DriverError, NeedsPerson, ServiceError
from onitufs.model.ids import EntryName

from .connecting import Connector
from .host_keys import HostKeyTrouble, accept, fingerprint
from .options import SftpOptions


class HostKeyLogin:
    """As login.Login says. The key that was shown is the one that is accepted: no other one can come in between."""

    def __init__(self, options: SftpOptions, *, entry: EntryName, work_dir: Path) -> None:
        self._options = options
        self._entry = entry
        self._work_dir = work_dir
        self._asked: HostKeyTrouble | None = None

    def start(self) -> Question | None:
        """Connect and see. With the option host_key there is nothing to accept: what it says has to be right."""
        try:
            Connector(self._options, self._work_dir, self._entry).connect().close()
        except HostKeyTrouble as exc:
            if exc.is_option:
                raise
            self._asked = exc
            return _question(exc)
        return None

    def finish(self, answer: str) -> str:
        if answer.strip().lower() not in {"yes", "y"}:
            raise NeedsPerson(f"the host key is not accepted, as you said; run: onitufs auth login {self._entry}")
        if self._asked is None and self.start() is None:
            return "the host key is known already"
        assert self._asked is not None
        asked = self._asked
        try:
            accept(self._work_dir, asked.name, asked.key)
        except OSError as exc:
            raise ServiceError(f"{self._work_dir} cannot be written: {exc.strerror}") from exc
        done = f"the host key of {asked.name} is accepted: {asked.key.get_name()} {fingerprint(asked.key)}"
        try:
            Connector(self._options, self._work_dir, self._entry).connect().close()
        except DriverError as exc:  # the next server on the way, or the login itself: a matter of its own
            return f"{done}. Next: {exc}"
        return done


def _question(trouble: HostKeyTrouble) -> Question:
    lines = [f"The server {trouble.name} shows this host key:", ""]
    lines.append(f"    {trouble.key.get_name()} {fingerprint(trouble.key)}")
    if trouble.known:
        lines += ["", "It is ANOTHER one than was accepted before:", ""]
        lines += [f"    {before}" for before in trouble.known]
        lines += ["", "Either the server was set up anew, or somebody stands in between. Ask who runs it."]
    else:
        lines += ["", "Ask who runs the server whether that is it (there: ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub)."]
    return Question("\n".join(lines), "trust it? yes/no")
