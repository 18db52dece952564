"""How a file comes to its place on a server: written aside, synced there, then put in its place in one step."""

from collections.abc import Sequence
from contextlib import suppress

from blake3 import blake3

from onitufs.drivers.handlers import RemotePath, Upload
from onitufs.model.copies import RemoteState
from onitufs.model.errors import Conflict, DriverError, ServiceError
from onitufs.model.source import Source

from . import packets
from .answering import after_failed_write, meaning
from .packets import Attributes, Code, settable, text
from .pool import Lane
from .remote import Look, Remote, look
from .states import is_directory, rev_of, state_of
from .streams import send
from .trash import Trash
from .wire import SYNC_S, Refused, Wire

NEW = packets.WRITE | packets.CREATE | packets.EXCLUSIVE


class Placer:
    """Places files below one root. For any thread; blocking calls; raises DriverError."""

    def __init__(self, remote: Remote, trash: Trash) -> None:
        self._remote = remote
        self._trash = trash

    # -- one file -----------------------------------------------------------------------------------------------------

    def upload(self, upload: Upload, source: Source) -> RemoteState:
        remote, path = self._remote, upload.path
        temp = remote.temp()
        placed = False
        try:
            with remote.wire(Lane.BYTES, path) as wire:
                remote.path(path)
                handle = self.open_new(wire, temp, path)
                hasher = blake3()
                try:
                    send(wire, handle, source, 0, upload.size, hasher.update)
                except Refused as exc:
                    raise after_failed_write(wire, exc, remote.root, remote.where, path) from exc
                state = self.finish(wire, handle, temp, upload, hasher.digest())
                placed = True
                return state
        finally:
            if not placed:
                self.discard([temp])

    def open_new(self, wire: Wire, temp: bytes, path: RemotePath) -> bytes:
        """The handle of a new temporary file."""
        try:
            return wire.handle(wire.open(temp, NEW))
        except Refused as exc:
            look(self._remote, wire)  # says so if the root is not what it was
            raise after_failed_write(wire, exc, self._remote.root, self._remote.where, path) from exc

    def finish(self, wire: Wire, handle: bytes, temp: bytes, upload: Upload, digest: bytes) -> RemoteState:
        """Close a temporary file that has all bytes, and give it its name."""
        remote, path = self._remote, upload.path
        ending = Ending(remote, wire, handle, upload)
        looked = Look(remote, wire, path)
        ending.take()
        looked.take()
        self.place(wire, temp, path, upload.base, looked)
        return self.placed(wire, path, ending.closed, digest)

    def placed(self, wire: Wire, path: RemotePath, closed: Attributes, digest: bytes) -> RemoteState:
        """The state of what was just placed: as it is seen by its name."""
        return self.state(path, wire.found(wire.lstat(self._remote.path(path))), closed, digest)

    def state(self, path: RemotePath, found: Attributes | None, closed: Attributes, digest: bytes) -> RemoteState:
        if found is None or (found.size, found.mtime_s) != (closed.size, closed.mtime_s):
            raise Conflict(f"{self._remote.shown(path)} was changed at once")
        return state_of(found, digest)

    def discard(self, temps: list[bytes]) -> None:
        """Remove temporary files, if that is possible now; else they are swept up later."""
        with suppress(DriverError, Refused), self._remote.wire(Lane.NAMES) as wire:
            for asked in [wire.remove(temp) for temp in temps]:
                with suppress(Refused):
                    wire.done(asked)

    # -- taking a name ------------------------------------------------------------------------------------------------

    def place(self, wire: Wire, temp: bytes, path: RemotePath, base: str | None, looked: Look) -> None:
        """Give a finished object its name in one step; what stood there goes to the trash. Raises Conflict, Gone."""
        there = self.may_take(path, base, looked)
        if there is None:
            self._remote.rename_new(wire, temp, self._remote.path(path), path)
        else:
            self.replace(wire, temp, path, there)

    def may_take(self, path: RemotePath, base: str | None, looked: Look) -> Attributes | None:
        """What is to be replaced at a path; None: nothing. Raises Gone, and Conflict if it is not that of `base`."""
        looked.need_directory(path)
        there = looked.there(path)
        if there is not None and (base is None or rev_of(there) != base or is_directory(there)):
            raise Conflict(f"{self._remote.shown(path)} is not what was placed there")
        return there

    def replace(self, wire: Wire, source: bytes, path: RemotePath, there: Attributes) -> None:
        """Put an object in the place of the one that is `there`, which goes to the trash.

        The old one gets a second name there; if it turns out to be another one by then, nothing is done. Then the new
        one takes the name, in one step. A server that lacks what this needs has no object of that name for a moment.
        """
        target = self._remote.path(path)
        try:
            slot = None
            if wire.offer(b"posix-rename@openssh.com"):
                slot = self._trash.second_name(wire, path)
            if slot is None:
                self._replace_in_two(wire, source, path, there)
                return
            asked = wire.lstat(slot), wire.lstat(target)
            kept, now = wire.found(asked[0]), wire.found(asked[1])
            if kept is None or now is None or not rev_of(kept) == rev_of(now) == rev_of(there):
                with suppress(Refused):
                    wire.done(wire.remove(slot))
                raise Conflict(f"{self._remote.shown(path)} was changed meanwhile")
            try:
                wire.done(wire.replace(source, target))
            except Refused as exc:
                with suppress(Refused):
                    wire.done(wire.remove(slot))
                raise self._remote.why_not(wire, exc, source, target.rpartition(b"/")[0], path) from exc
        except Refused as exc:
            raise self._trash_trouble(exc, path) from exc

    def _trash_trouble(self, exc: Refused, path: RemotePath) -> DriverError:
        """A way to the trash that was there is not any more, or the object itself is not."""
        self._trash.forget()
        if exc.code == Code.NO_SUCH_FILE:
            return ServiceError(f"{self._remote.shown(path)}: it, or the way to the trash, went away")
        return meaning(exc, self._remote.where, path)

    def _replace_in_two(self, wire: Wire, source: bytes, path: RemotePath, there: Attributes) -> None:
        target = self._remote.path(path)
        slot = self._trash.take(wire, target, path)
        kept = wire.found(wire.lstat(slot))
        try:
            if kept is None or rev_of(kept) != rev_of(there):
                raise Conflict(f"{self._remote.shown(path)} was changed meanwhile")
            self._remote.rename_new(wire, source, target, path)
        except DriverError:
            with suppress(Refused):  # back; unless somebody else has the name by now
                wire.done(wire.rename(slot, target))
            raise

    def take_out(self, wire: Wire, path: RemotePath, there: Attributes) -> None:
        """Move what is `there` to the trash. Raises Conflict if it turns out to be another one by then."""
        target = self._remote.path(path)
        try:
            slot = self._trash.take(wire, target, path)
        except Refused as exc:
            if wire.found(wire.lstat(target)) is None:
                return
            raise self._trash_trouble(exc, path) from exc
        kept = wire.found(wire.lstat(slot))
        if kept is None or rev_of(kept) != rev_of(there):
            self._remote.rename_new(wire, slot, target, path)
            raise Conflict(f"{self._remote.shown(path)} was changed meanwhile")

    # -- links --------------------------------------------------------------------------------------------------------

    def symlink(self, path: RemotePath, target: bytes, mtime_ns: int, base: str | None) -> RemoteState:
        remote = self._remote
        temp = remote.temp()
        placed = False
        try:
            with remote.wire(Lane.NAMES, path) as wire:
                remote.path(path)
                wire.done(wire.ask(packets.Type.SYMLINK, text(target), text(temp)))  # in OpenSSH's order of the two
                if wire.offer(b"lsetstat@openssh.com"):
                    with suppress(Refused):
                        attributes = settable(mtime_ns=mtime_ns)
                        wire.done(wire.extended(b"lsetstat@openssh.com", text(temp), attributes))
                asked = wire.lstat(temp)
                looked = look(remote, wire, path)
                made = wire.attributes(asked)
                if wire.name(wire.ask(packets.Type.READLINK, text(temp))) != target:
                    raise ServiceError("the server makes other links than it is told to")
                self.place(wire, temp, path, base, looked)
                placed = True
                return self.placed(wire, path, made, b"")
        finally:
            if not placed:
                self.discard([temp])


class Ending:
    """The last steps of writing a temporary file, asked at once: mode and time, sync, a look, close."""

    def __init__(self, remote: Remote, wire: Wire, handle: bytes, upload: Upload) -> None:
        self._remote = remote
        self._wire = wire
        self._upload = upload
        self._set = wire.fsetstat(handle, settable(upload.mode, upload.mtime_ns))
        self._synced = wire.fsync(handle)
        self._seen = wire.fstat(handle)
        self._ended = wire.close_handle(handle)
        self.closed = Attributes()

    def refusals(self) -> list[Refused]:
        """Take all answers. What the server refused; that it keeps no modes or times is none."""
        wire = self._wire
        refusals_of(wire, [self._set])
        wire.patience(SYNC_S)
        refused = [] if self._synced is None else refusals_of(wire, [self._synced])
        wire.patience()
        try:
            self.closed = wire.attributes(self._seen)
        except Refused as exc:
            refused.append(exc)
        return refused + refusals_of(wire, [self._ended])

    def take(self) -> None:
        """Raises what the first refusal means, Stale."""
        remote, path = self._remote, self._upload.path
        for refused in self.refusals():
            raise after_failed_write(self._wire, refused, remote.root, remote.where, path) from refused
        if self.closed.size != self._upload.size:
            raise self.wrong_size()

    def wrong_size(self) -> DriverError:
        what = f"{self._remote.shown(self._upload.path)}: {self.closed.size} bytes arrived"
        return ServiceError(f"{what} where {self._upload.size} were sent")


def refusals_of(wire: Wire, asked: Sequence[int]) -> list[Refused]:
    """Take these answers; those that are refusals."""
    found = []
    for number in asked:
        try:
            wire.done(number)
        except Refused as exc:
            found.append(exc)
    return found
