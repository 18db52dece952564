"""What stands on an entry, taken into the mount: new files, edits, renames. One object at a time.

Each decision is made on the loop between two awaits, from what is true then; whatever was looked up before is looked up
again if anything has moved meanwhile.
"""

import logging
from collections.abc import Callable
from dataclasses import replace

import trio

from onitufs.drivers.handlers import PRIVATE, RemotePath
from onitufs.model.copies import Copy, Found, Place
from onitufs.model.digests import algorithm_of, comparable, digest_of
from onitufs.model.errors import DriverError, FileError, Stale
from onitufs.model.files import Inode, Kind
from onitufs.model.ids import FileId, GenerationId, InodeNumber
from onitufs.referee.sightings import Meaning, Meeting, Standing, judge, meet
from onitufs.volume.tree import Changes

from .outside import Outside
from .overtaken import free_conflict_name

_PERMISSIONS = 0o777
_OTHERS = 0o077  # of a directory: its owner, who is us, has all rights on an entry, whatever the mode says

log = logging.getLogger(__name__)


class Arriving:
    """Takes in what is there. `look_again`: the path is to be looked at again soon; `list_again`: the directory is to
    be listed; `missing`: a Copy is not where it was.
    """

    def __init__(
        self,
        outside: Outside,
        *,
        look_again: Callable[[RemotePath], None],
        list_again: Callable[[RemotePath], None],
        missing: Callable[[Copy], None],
    ) -> None:
        self._outside = outside
        self._entry = outside.entry
        self._volume = outside.volume
        self._placements = outside.placements
        self._look_again = look_again
        self._list_again = list_again
        self._missing = missing
        self._hashing = trio.CapacityLimiter(1)
        self.trusts = True  # that what differs was edited there; else it may be older than what is here, and both live

    async def look(self, path: RemotePath) -> None:
        """See what stands at a path, and do what that means. Raises DriverError, OSError (the catalog)."""
        outside = self._outside
        place = outside.place(path)
        if place is None:
            await self._look_above(path)
            return
        if outside.is_busy(place):
            self._look_again(path)
            return
        epoch = outside.epoch
        found: Found | None = await outside.plug.look(path)
        await self.take(path, place, found, epoch)

    async def _look_above(self, path: RemotePath) -> None:
        """A path in a directory that is not known: whoever makes that known, us or them, what is in it is news."""
        if path[:1] == (PRIVATE,):
            return  # it is not parked there any more
        if len(path) > 1 and await self._outside.plug.look(path) is not None:
            await self.look(path[:-1])
            self._look_again(path)

    async def take(self, path: RemotePath, place: Place, found: Found | None, epoch: int) -> None:
        """Do what it means that `found` stood at a path when the entry's epoch was `epoch`. Raises as look()."""
        if self._is_outdated(path, place, epoch):
            self._look_again(path)
            return
        copy = self._placements.at(self._entry, place)
        if found is None:
            if copy is not None:
                self._missing(copy)
        elif copy is not None:
            await self._known(path, place, copy, found, epoch)
        else:
            await self._unknown(path, place, found, epoch)

    def _is_outdated(self, path: RemotePath, place: Place, epoch: int) -> bool:
        outside = self._outside
        return outside.epoch != epoch or outside.place(path) != place or outside.is_busy(place)

    # -- where a Copy is known -----------------------------------------------------------------------------------------

    async def _known(self, path: RemotePath, place: Place, copy: Copy, found: Found, epoch: int) -> None:
        standing = self._outside.standing(copy.file, copy)
        meaning = judge(copy, found, standing)
        if meaning is Meaning.DIGEST:
            reread: Found | None = await self._outside.plug.digest(path, Kind.FILE, by_reading=True)
            ours = None
            if reread is not None and _may_be_equal(copy, standing, reread):
                ours = await self._digest_here(copy.file, reread.state.digest)
            changed = self._is_outdated(path, place, epoch) or self._placements.at(self._entry, place) != copy
            if reread is None or changed:
                self._look_again(path)
                return
            found = replace(found, size=reread.size, mtime_ns=reread.mtime_ns, state=reread.state)
            standing = self._outside.standing(copy.file, copy)
            known = ours[1] if ours is not None and ours[0] == standing.generation else b""
            meaning = judge(copy, found, replace(standing, digest=known), reread.state.digest)
        match meaning:
            case Meaning.NOTHING:
                pass
            case Meaning.SAME:
                self._same(path, copy, found)
            case Meaning.CURRENT:
                self._note(self._copy(copy.file, standing.generation, copy.place, found, was=copy))
            case Meaning.EDITED if found.kind is Kind.FILE and self.trusts:
                self._edited(copy, found)
            case Meaning.EDITED | Meaning.APART:
                self._apart(path, copy, found)
            case Meaning.ANOTHER:
                self._missing(copy)
                self._look_again(path)
            case Meaning.WAIT | Meaning.DIGEST:
                self._look_again(path)

    def _same(self, path: RemotePath, copy: Copy, found: Found) -> None:
        """Others touched it, and left the bytes as they were."""
        volume = self._volume
        digest = found.state.digest or copy.digest
        now = replace(
            copy,
            rev=found.state.rev,
            remote_id=found.state.remote_id or copy.remote_id,
            digest=digest,
            size=found.size if copy.kind is Kind.FILE else copy.size,
            mtime_ns=copy.mtime_ns if self._is_same_time(copy, found) else found.mtime_ns,
            mode=found.mode & _PERMISSIONS,
        )
        if copy.kind is Kind.DIRECTORY:
            elsewhere = self._placements.known_as(self._entry, now.remote_id)
            self._same_directory(copy, now)
            if copy.remote_id != now.remote_id and (copy.rev or elsewhere is not None):
                self._list_again(path)  # it is another one than we knew, or than we made: with other things in it
            return
        self._note(now)
        name = volume.name(copy.file)
        abilities = self._outside.placing.facts.entries.get(self._entry)
        if name is None or not name.alive or abilities is None or copy.kind is Kind.SYMLINK:
            return
        inode = volume.peek(name.inode)
        mode = mtime_ns = None
        if abilities.mode and copy.mode and now.mode != copy.mode and inode.mode & _PERMISSIONS == copy.mode:
            mode = now.mode
        if abilities.mtime and now.mtime_ns != copy.mtime_ns == inode.mtime_ns:
            mtime_ns = now.mtime_ns
        if mode is not None or mtime_ns is not None:
            if mode is not None:
                mode |= inode.mode & 0o7000
            volume.set_attributes(name.inode, mode=mode, mtime_ns=mtime_ns)
            self._outside.tell_kernel(name.parent, name.name)

    def _is_same_time(self, copy: Copy, found: Found) -> bool:
        """Where the service keeps whole seconds, what it says of our own time is no change of it."""
        if not self._outside.plug.can("mtime_s"):
            return copy.mtime_ns == found.mtime_ns
        return copy.mtime_ns // 10**9 == found.mtime_ns // 10**9

    def _same_directory(self, copy: Copy, now: Copy) -> None:
        """A directory of another mode. One that was there before us keeps its mode until others change that."""
        if not copy.rev:  # the first look at what we have made, or found
            noted = now if copy.made else replace(now, mode=0)
            if self._is_as_wanted(noted):
                self._volume.catalog.commit(self._written(noted))  # nobody is to be asked, and nothing is pending
            else:
                self._note(noted)
            return
        self._note(now)
        name = self._volume.name(copy.file)
        abilities = self._outside.placing.facts.entries.get(self._entry)
        if name is None or not name.alive or abilities is None or not abilities.mode:
            return
        mode = self._volume.peek(name.inode).mode
        changed_here = copy.mode and (mode ^ copy.mode) & _OTHERS
        if not changed_here and (mode ^ now.mode) & _OTHERS:
            self._volume.set_attributes(name.inode, mode=mode & 0o7777 & ~_OTHERS | now.mode & _OTHERS)
            self._outside.tell_kernel(name.parent, name.name)

    def _is_as_wanted(self, directory: Copy) -> bool:
        """Whether it has the mode that it has in the mount, as far as we set it (see reconcile), or keeps its own."""
        name = self._volume.name(directory.file)
        if name is None or not name.alive:
            return False
        return not directory.mode or not (self._volume.peek(name.inode).mode ^ directory.mode) & _OTHERS

    def _edited(self, copy: Copy, found: Found) -> None:
        file = copy.file

        def also(_: FileId, generation: GenerationId) -> Changes:
            return self._written(self._copy(file, generation, copy.place, found, was=copy))

        with self._volume.history.on_behalf_of(self._entry):
            self._volume.replace_content(
                file, size=found.size, mtime_ns=found.mtime_ns, mode=found.mode & _PERMISSIONS, also=also
            )
        self._arrived(file)

    def _apart(self, path: RemotePath, copy: Copy, found: Found) -> None:
        """The object is a file of its own from now on; what it was a Copy of lives, and has no Copy here."""
        directory = self._outside.mount_directory(copy.place)
        if directory is None:  # its directory was deleted: once that is another one, or none of ours, it is new in it
            self._forget(copy)
            self._look_again(path)
            return
        standing = self._outside.standing(copy.file, copy)
        replaced = standing.alive and standing.kind is Kind.SYMLINK and copy.generation == standing.generation
        if replaced and standing.at_home:  # a link that others made lead elsewhere
            self._volume.unlink(directory, copy.place.name)
        self._adopt(directory, copy.place, found, instead_of=copy)
        self._outside.placing.copy_changed(copy.file)

    # -- where none is known -------------------------------------------------------------------------------------------

    async def _unknown(self, path: RemotePath, place: Place, found: Found, epoch: int) -> None:
        outside = self._outside
        was = self._placements.known_as(self._entry, found.state.remote_id)
        if was is not None and was.kind is found.kind and await self._has_left(was):
            changed = self._is_outdated(path, place, epoch) or self._placements.get(was.file, self._entry) != was
            # An order that began with the Copy where it was ends as if that still were all there is of it.
            if changed or outside.is_busy(was.place):
                self._look_again(path)
                return
            if not self._moved(place, was):
                self._look_again(path)
                return
            await self._known(path, place, replace(was, place=place), found, epoch)
            if found.kind is Kind.DIRECTORY:  # what was told of it by its old name could not be looked at
                self._list_again(path)
            return
        directory = outside.mount_directory(place)
        if directory is None and not outside.is_ours:
            self._live_again(path[:-1], place.parent)
        if directory is None or self._is_outdated(path, place, epoch):
            self._look_again(path)
            return
        there = self._volume.dirent(directory, place.name)
        standing = None if there is None else outside.standing(there.file)
        if there is not None and self._placements.get(there.file, self._entry) is not None:
            self._look_again(path)  # its Copy stands elsewhere, for now
            return
        meeting = meet(found, standing)
        if meeting is Meeting.DIGEST and there is not None:
            reread: Found | None = await outside.plug.digest(path, Kind.FILE, by_reading=True)
            ours = await self._digest_here(there.file, reread.state.digest) if reread is not None else None
            if reread is None or ours is None or self._is_outdated(path, place, epoch):
                self._look_again(path)
                return
            found = replace(found, size=reread.size, mtime_ns=reread.mtime_ns, state=reread.state)
            standing = outside.standing(there.file)
            meeting = meet(found, replace(standing, digest=ours[1]), reread.state.digest)
            if standing.generation != ours[0] or self._volume.dirent(directory, place.name) != there:
                meeting = Meeting.WAIT
        match meeting:
            case Meeting.NEW | Meeting.APART:
                self._adopt(directory, place, found)
            case Meeting.JOIN:
                assert there is not None
                assert standing is not None
                joined = self._copy(there.file, standing.generation, place, found)
                self._note(joined if found.kind is not Kind.DIRECTORY else replace(joined, mode=0))
            case Meeting.WAIT | Meeting.DIGEST:
                self._look_again(path)
                return
        if found.kind is Kind.DIRECTORY:
            self._list_again(path)

    def _live_again(self, path: RemotePath, directory: FileId) -> None:
        """A directory that was deleted here, and cannot be there, has something new in it: a new one has that."""
        copy = self._placements.get(directory, self._entry)
        if copy is not None:
            self._forget(copy)
            self._look_again(path)

    async def _has_left(self, was: Copy) -> bool:
        """Whether an object is not any more where its Copy stands, so that what was seen elsewhere is it, renamed."""
        path = self._outside.path(was)
        if path is None:
            return True
        there: Found | None = await self._outside.plug.look(path)
        return there is None or there.state.remote_id != was.remote_id

    def _moved(self, place: Place, was: Copy) -> bool:
        """Others renamed it on the entry. If it was renamed here meanwhile, our name stays, and goes there later.

        False: not now, and nothing was done.
        """
        outside, volume = self._outside, self._volume
        directory = outside.mount_directory(place)
        standing = outside.standing(was.file, was)
        name = volume.name(was.file)
        if standing.alive and standing.at_home and name is not None and directory is not None:
            new_name = place.name
            if volume.dirent(directory, new_name) is not None:
                new_name = free_conflict_name(volume, directory, place.name, self._entry)
            try:
                volume.rename(name.parent, name.name, directory, new_name, replace=False)
            except FileError as error:  # e.g. a directory into one that is still below it here
                log.info("a rename on an entry waits", extra={"entry": self._entry, "why": str(error)})
                return False
            outside.tell_kernel(name.parent, name.name)
            outside.tell_kernel(directory, new_name)
        self._note(replace(was, place=place))
        return True

    async def _digest_here(self, file: FileId, like: bytes) -> tuple[GenerationId, bytes] | None:
        """A file's generation, and the digest of that, of the same algorithm as `like`; None if it cannot be had now.
        If `like` says nothing, neither does the digest."""
        outside, volume = self._outside, self._volume
        name = volume.name(file)
        if name is None or not name.alive:
            return None
        inode = volume.peek(name.inode)
        generation = inode.generation
        if not like:
            return generation, b""
        algorithm = algorithm_of(like)
        known = outside.known_digest(file, inode, algorithm)
        if known:
            return generation, known
        if inode.absent:
            return await self._digest_elsewhere(file, inode, algorithm)
        try:
            source = volume.source(file, generation)
        except (Stale, OSError):
            return None
        try:
            digest = await trio.to_thread.run_sync(digest_of, source.read, algorithm, limiter=self._hashing)
        except (Stale, OSError):
            return None
        finally:
            source.close()
        return generation, digest

    async def _digest_elsewhere(self, file: FileId, inode: Inode, algorithm: str) -> tuple[GenerationId, bytes] | None:
        generation = inode.generation
        for entry, copy in self._placements.of(file).items():
            plug = self._outside.placing.plugs.get(entry)
            if plug is None or copy.generation != generation:
                continue
            try:
                path = self._placements.path(entry, copy.place)
                found = await plug.digest(path, Kind.FILE, algorithm=algorithm, by_reading=True)
            except DriverError:
                continue
            if found is None or found.state.rev != copy.rev or not found.state.digest:
                continue
            if algorithm_of(found.state.digest) == algorithm:
                return generation, found.state.digest
        return None

    # -- writing it down -----------------------------------------------------------------------------------------------

    def _copy(
        self, file: FileId, generation: GenerationId, place: Place, found: Found, *, was: Copy | None = None
    ) -> Copy:
        is_file = found.kind is Kind.FILE
        return Copy(
            file=file,
            entry=self._entry,
            kind=found.kind,
            place=place,
            generation=GenerationId(0) if found.kind is Kind.DIRECTORY else generation,
            size=found.size if is_file else 0,
            mtime_ns=found.mtime_ns,
            mode=found.mode & _PERMISSIONS,
            rev=found.state.rev,
            remote_id=found.state.remote_id,
            digest=found.state.digest,
            made=was.made if was is not None else False,
            found=was.found if was is not None else True,
            verified_ns=self._volume.now_ns(),
        )

    def _written(self, copy: Copy, removed: Copy | None = None) -> Changes:
        changes: Changes = {}
        self._placements.write(changes, removed=() if removed is None else (removed,), put=(copy,))
        return changes

    def _note(self, copy: Copy) -> None:
        changes = self._written(copy)
        self._volume.mark(changes, copy.file, "found")
        self._volume.catalog.commit(changes)
        self._outside.placing.copy_changed(copy.file)

    def _forget(self, copy: Copy) -> None:
        changes: Changes = {}
        self._placements.write(changes, removed=(copy,))
        self._volume.mark(changes, copy.file, "found")
        self._volume.catalog.commit(changes)
        self._outside.placing.copy_changed(copy.file)

    def _adopt(self, directory: InodeNumber, place: Place, found: Found, *, instead_of: Copy | None = None) -> None:
        """Show a new file for an object, under its own name or, if that is taken, one that says why."""
        volume, entry = self._volume, self._entry
        there = volume.dirent(directory, place.name)
        name = place.name if there is None else free_conflict_name(volume, directory, place.name, self._entry)

        def also(file: FileId, generation: GenerationId) -> Changes:
            changes = self._written(self._copy(file, generation, place, found), removed=instead_of)
            if instead_of is not None:
                volume.mark(changes, instead_of.file, "found")
            if there is not None:
                self._outside.conflicts.note(changes, file, entry, there.file)
            return changes

        file = volume.adopt(
            directory,
            name,
            found.kind,
            size=found.size,
            mtime_ns=found.mtime_ns,
            mode=found.mode & _PERMISSIONS,
            target=found.target,
            also=also,
        )
        if there is not None:
            log.warning("both sides of a conflict are kept", extra={"entry": entry, "path": volume.shown(file)})
        self._arrived(file)

    def _arrived(self, file: FileId) -> None:
        name = self._volume.name(file)
        if name is not None:
            self._outside.tell_kernel(name.parent, name.name)
        self._outside.placing.copy_changed(file)


def _may_be_equal(copy: Copy, standing: Standing, reread: Found) -> bool:
    """Whether the object may hold what the file holds here, though that is not what its Copy says."""
    if not standing.alive or not standing.quiet or standing.size != reread.size:
        return False
    return copy.generation != standing.generation or not comparable(copy.digest, reread.state.digest)
