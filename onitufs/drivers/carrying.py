"""Carrying one order out on an entry, and what is done when something else stands there than the order knows.

Promise 5 lives here: nothing foreign is overwritten. A foreign object in the way is kept beside, under the name that
sync users know, and only then ours is placed.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from onitufs.model.conflict_names import conflict_name
from onitufs.model.copies import Copy, Place, RemoteState
from onitufs.model.digests import BLAKE3, algorithm_of, digest_of
from onitufs.model.errors import Conflict, Gone, Missing, NameNotAllowed, NeedsPerson, Stale
from onitufs.model.files import Kind
from onitufs.model.ids import EntryName, FileId
from onitufs.model.orders import Delete, Done, Move, Put, SetAttributes
from onitufs.model.source import Source

from .calling import Handlers
from .digesting import digest_there
from .handlers import PARKED, PRIVATE, Found, RemotePath, Upload, shown

_ROUNDS = 5
"""How often one order may find that the place changed under its hands, before it is reported as a conflict."""
_MOST_ASIDE = 99
"""How many conflicted copies of one name and day there may be, before a person has to sort them out."""


class Carrier:
    """Orders of one entry, through the handlers of its driver.

    `path_of`, `directory`, `directory_mode`: as for Plug. `made`: directories that were made, but not told to anyone
    yet, because what they were made for failed; whoever tells takes them out. `algorithm`: of the driver's digests.
    `remade`: is told of a directory that somebody removed and that was made again. `looked_for`: whether somebody looks
    for a directory that is not where it was; then Missing is raised.
    Raises what the handlers raise. Gone or Conflict from a move, delete or set_attributes means one thing only: the
    object of the order's `copy` is no longer there, or no longer what was placed. Stale: the order no longer fits.
    """

    def __init__(
        self,
        handlers: Handlers,
        entry: EntryName,
        *,
        path_of: Callable[[Place], RemotePath],
        directory: Callable[[FileId], Place],
        directory_mode: Callable[[FileId], int],
        made: set[FileId],
        now_s: Callable[[], float],
        algorithm: str = BLAKE3,
        remade: Callable[[RemotePath], None] = lambda path: None,
        looked_for: Callable[[RemotePath], bool] = lambda path: False,
    ) -> None:
        self._handlers = handlers
        self._call = handlers.call
        self._entry = entry
        self._path_of = path_of
        self._directory = directory
        self._directory_mode = directory_mode
        self._now_s = now_s
        self._made = made
        self._algorithm = algorithm
        self._remade = remade
        self._looked_for = looked_for

    # -- where --------------------------------------------------------------------------------------------------------

    def path(self, place: Place, missing: tuple[FileId, ...] = ()) -> RemotePath:
        """Where a wanted place is now; below directories of `missing`, where it will be once they are made."""
        try:
            path = self._path_of(place)
        except Gone as exc:
            if place.parent not in missing:
                raise Stale(str(exc)) from exc
            path = (*self.path(self._directory(place.parent), missing), place.name)
        if path[0] == PRIVATE and path[:2] != PARKED:
            raise NameNotAllowed(
                f"{PRIVATE.decode()} is OnituFS's own name in the root of {self._entry}; rename the file"
            )
        return path

    def path_of_copy(self, copy: Copy) -> RemotePath:
        """Where a Copy is now. Raises Gone if a directory above it has no Copy: then nobody can find it any more."""
        return self._path_of(copy.place)

    def unmade(self, missing: tuple[FileId, ...]) -> list[tuple[FileId, RemotePath]]:
        """Those of `missing` that still have no Copy, outermost first, and where they are to be."""
        found = []
        for directory in missing:
            try:
                self._path_of(Place(directory, b""))
            except Gone:
                found.append((directory, self.path(self._directory(directory), missing)))
        return found

    # -- directories --------------------------------------------------------------------------------------------------

    async def make_directories(self, unmade: list[tuple[FileId, RemotePath]]) -> tuple[tuple[FileId, bool], ...]:
        """Make them; for each, whether we did, now or for work that failed."""
        for directory, path in unmade:
            _, made, _ = await self._make_directory(path, self._directory_mode(directory))
            if made:
                self._made.add(directory)
        return tuple((directory, directory in self._made) for directory, _ in unmade)

    async def _make_directory(self, path: RemotePath, mode: int) -> tuple[RemoteState, bool, bytes]:
        kept = b""
        remade = False
        for _ in range(_ROUNDS):
            try:
                state, made = await self._call("make_directory", path, mode)
            except Gone as exc:
                if remade or len(path) == 1:
                    raise Stale(f"the directory for {shown(path)} keeps going away on {self._entry}") from exc
                remade = True
                self._have_it_looked_for(path)
                await self._make_again(path)
            except Conflict:
                kept = await self._set_aside(path) or kept
            else:
                return state, made, kept
        raise Stale(f"{shown(path)} keeps changing on {self._entry}; it is tried again when it is at rest")

    # -- orders -------------------------------------------------------------------------------------------------------

    async def put_file(
        self, order: Put, path: RemotePath, source: Source, send: Callable[[Upload], Awaitable[RemoteState]]
    ) -> tuple[RemoteState, bytes]:
        """What stands at `path` now, and the name under which something foreign was kept (b"": nothing was).

        `send`: as the handler upload_file, without the source.
        """
        base = base_of(order)
        kept = b""
        remade = False
        for _ in range(_ROUNDS):
            try:
                return await send(upload_of(order, path, base)), kept
            except Gone:
                if remade:
                    raise
                remade = True
                self._have_it_looked_for(path)
                await self._make_again(path)
            except Conflict:
                found = await self._call("stat", path)
                if found is None:
                    base = None
                elif (base := await self._known(found, path, holder(order))) is None:
                    if (state := await self._equal(found, path, order, source)) is not None:
                        return state, kept
                    kept = await self._set_aside(path) or kept
        raise Stale(f"{shown(path)} keeps changing on {self._entry}; it is tried again when it is at rest")

    async def put_large_file(
        self, order: Put, path: RemotePath, source: Source, send: Callable[[Upload], Awaitable[RemoteState]]
    ) -> tuple[RemoteState, bytes]:
        """As put_file; if what is to be sent is there already, that is found out before and not after it was sent."""
        found = await self._call("stat", path)
        if found is not None and found.state.rev != base_of(order):
            state = await self._equal(found, path, order, source)
            if state is not None:
                return state, b""
        return await self.put_file(order, path, source, send)

    async def put_symlink(self, order: Put, path: RemotePath) -> tuple[RemoteState, bytes]:
        """As put_file."""
        if not self._handlers.has("make_symlink"):
            raise NameNotAllowed(f"{self._entry} cannot keep symbolic links")
        base = base_of(order)
        kept = b""
        remade = False
        for _ in range(_ROUNDS):
            try:
                return await self._call("make_symlink", path, order.target, order.mtime_ns, base), kept
            except Gone:
                if remade:
                    raise
                remade = True
                self._have_it_looked_for(path)
                await self._make_again(path)
            except Conflict:
                found = await self._call("stat", path)
                base = None
                if found is not None:
                    if found.kind is Kind.SYMLINK and found.target == order.target:
                        return found.state, kept
                    kept = await self._set_aside(path) or kept
        raise Stale(f"{shown(path)} keeps changing on {self._entry}; it is tried again when it is at rest")

    async def put_directory(self, order: Put, path: RemotePath) -> Done:
        state, made, kept = await self._make_directory(path, order.mode & 0o777)
        if made:
            self._made.add(order.file)
        return Done(order=order, state=state, made=((order.file, order.file in self._made),), kept=kept)

    async def move(self, order: Move, path: RemotePath, to: RemotePath) -> Done:
        copy = order.copy
        rev = copy.rev
        replaces = order.replaces.rev if order.replaces is not None else None
        kept = b""
        remade = False
        for _ in range(_ROUNDS):
            try:
                state = await self._call("move_file", path, rev, copy.kind, to, replaces)
                return Done(order=order, state=state, kept=kept)
            except Gone:
                if await self._call("stat", path) is None:
                    raise
                if remade:
                    raise Stale(f"the directory for {shown(to)} keeps going away on {self._entry}") from None
                remade = True
                await self._make_again(to)
            except Conflict:
                found = await self._call("stat", path)
                if found is None:
                    raise
                if found.state.rev != rev and not _any(rev, found):
                    if (rev := await self._known(found, path, copy) or "") == "":
                        raise
                    continue
                there = await self._call("stat", to)
                replaces = None
                if there is not None:
                    replaces = await self._known(there, to, order.replaces)
                    if replaces is None:
                        kept = await self._set_aside(to) or kept
        raise Stale(f"{shown(to)} keeps changing on {self._entry}; it is tried again when it is at rest")

    async def delete(self, order: Delete, path: RemotePath) -> Done:
        copy = order.copy
        if copy.kind is Kind.DIRECTORY:
            gone = (copy.made or copy.found) and await self._call("remove_directory", path, copy.rev)
            return Done(order=order, state=None, remains=not gone)
        rev = copy.rev
        for _ in range(_ROUNDS):
            try:
                await self._call("delete_file", path, rev)
                return Done(order=order, state=None)
            except Conflict:
                found = await self._call("stat", path)
                if found is None:
                    return Done(order=order, state=None)
                if (known := await self._known(found, path, copy)) is None:
                    raise
                rev = known
        raise Stale(f"{shown(path)} keeps changing on {self._entry}")

    async def set_attributes(self, order: SetAttributes, path: RemotePath) -> Done:
        copy = order.copy
        rev = copy.rev
        if not self._handlers.has("set_attributes"):
            state = RemoteState(rev=rev, remote_id=copy.remote_id, digest=copy.digest)
            return Done(order=order, state=state)
        for _ in range(_ROUNDS):
            try:
                state = await self._call("set_attributes", path, rev, copy.kind, order.mode & 0o777, order.mtime_ns)
                return Done(order=order, state=state)
            except Conflict:
                found = await self._call("stat", path)
                if found is None or (known := await self._known(found, path, copy)) is None:
                    raise
                rev = known
        raise Stale(f"{shown(path)} keeps changing on {self._entry}")

    # -- what stands in the way ---------------------------------------------------------------------------------------

    async def _known(self, found: Found, path: RemotePath, copy: Copy | None) -> str | None:
        """The rev of an object whose rev changed, but whose content is still what we placed there (someone gave it
        another owner, a backup touched it). None: it is foreign."""
        if copy is None or found.kind is not copy.kind:
            return None
        if found.state.rev == copy.rev or _any(copy.rev, found):
            return found.state.rev
        if found.kind is not Kind.FILE or found.size != copy.size or not copy.digest:
            return None
        there = await digest_there(self._handlers, self._call, path, found, algorithm_of(copy.digest), by_reading=True)
        return found.state.rev if there == copy.digest else None

    async def _equal(self, found: Found, path: RemotePath, order: Put, source: Source) -> RemoteState | None:
        """The state of a foreign file that holds exactly what we would place: it is taken as ours, with our attributes.
        None: it holds something else, or changed while we looked."""
        if found.kind is not Kind.FILE or found.size != order.size:
            return None
        rev = found.state.rev
        try:
            there = await digest_there(self._handlers, self._call, path, found, self._algorithm, by_reading=True)
            ours = await self._handlers.runner.run(digest_of, source.read, algorithm_of(there)) if there else b""
            if not there or there != ours:
                return None
            if self._handlers.has("set_attributes"):
                state = await self._call("set_attributes", path, rev, Kind.FILE, order.mode & 0o777, order.mtime_ns)
            else:
                again = await self._call("stat", path)
                if again is None or again.state.rev != rev:
                    return None
                state = again.state
        except (Conflict, Gone):
            return None
        return RemoteState(rev=state.rev, remote_id=state.remote_id, digest=ours)

    async def _set_aside(self, path: RemotePath) -> bytes:
        """Rename what stands at `path`, whatever it is; the new name, or b"" if it went away by itself."""
        day = datetime.fromtimestamp(self._now_s(), UTC).astimezone().date()
        for number in range(1, _MOST_ASIDE + 1):
            name = conflict_name(path[-1], self._entry, day, number)
            found = await self._call("stat", path)
            if found is None:
                return b""
            try:
                await self._call("move_file", path, found.state.rev, found.kind, (*path[:-1], name), None)
            except Gone:
                return b""
            except Conflict:
                continue
            return name
        raise NeedsPerson(f"{shown(path)} on {self._entry} has too many conflicted copies beside it; sort them out")

    def _have_it_looked_for(self, path: RemotePath) -> None:
        """The directory above is not where it was. Raises Missing if somebody sees whether it has another name now:
        what is to be placed belongs in it, and not in a new one of the old name."""
        if self._looked_for(path[:-1]):
            raise Missing(f"the directory for {shown(path)} is not where it was on {self._entry}; it is looked for")

    async def _make_again(self, path: RemotePath) -> None:
        """Make the directories above, which somebody removed: the edit lives."""
        for depth in range(1, len(path)):
            if path[:depth] not in ((PRIVATE,), PARKED):
                _, made, _ = await self._make_directory(path[:depth], 0o755)
                if made:
                    self._remade(path[:depth])


def holder(order: Put) -> Copy | None:
    """The Copy of what stands at the order's place."""
    if order.replaces is not None:
        return order.replaces
    return order.had if order.had is not None and order.had.place == order.place else None


def base_of(order: Put) -> str | None:
    """The rev of what the order expects to replace; None: nothing."""
    copy = holder(order)
    return copy.rev if copy is not None else None


def _any(rev: str, found: Found) -> bool:
    return rev == "" and found.kind is Kind.DIRECTORY


def upload_of(order: Put, path: RemotePath, base: str | None) -> Upload:
    """What a driver is told of a Put of a file."""
    return Upload(path=path, size=order.size, mtime_ns=order.mtime_ns, mode=order.mode & 0o777, base=base)
