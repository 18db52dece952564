"""Ending conflicts as a person chooses: by changes of the tree, such as a program could make them."""

from collections.abc import Callable, Sequence

from onitufs.model.conflict_names import read_conflict_name
from onitufs.model.errors import FileError, NoSuchPath, NotPossible
from onitufs.model.files import Inode, Kind, Name
from onitufs.model.ids import FileId, InodeNumber
from onitufs.volume.tree import Changes

from .conflicts import Conflicts, OpenConflict
from .placing import Placing
from .service import Answer, Keep
from .telling import moment, path_fields


class Choosing:
    """`changed_outside` tells the kernel that a name (in a directory's inode) stands for something else now."""

    def __init__(self, placing: Placing, changed_outside: Callable[[InodeNumber, bytes], None]) -> None:
        self._placing = placing
        self._volume = placing.volume
        self._conflicts = Conflicts(placing.volume)
        self._changed_outside = changed_outside

    # -- looking -----------------------------------------------------------------------------------------------------

    def list(self) -> Answer:
        """As service.Service.conflicts says."""
        return {
            "conflicts": [
                {
                    "kept": self._side(conflict.file),
                    "original": None if conflict.original is None else self._side(conflict.original),
                    "entry": conflict.entry,
                    "since": moment(conflict.since_ns),
                }
                for conflict in self._conflicts.all()
            ]
        }

    def count(self) -> int:
        """How many conflicts are open."""
        return len(self._conflicts.all())

    def _side(self, file: FileId) -> Answer:
        _, inode = self._alive(file)
        copies = self._placing.placements.of(file).values()
        current = [copy.entry for copy in copies if inode.kind is not Kind.FILE or copy.generation == inode.generation]
        return self._path(file) | {
            "size": inode.size,
            "modified": moment(inode.mtime_ns),
            "here": not inode.absent,
            "entries": current,
        }

    def _alive(self, file: FileId) -> tuple[Name, Inode]:
        name = self._volume.name(file)
        assert name is not None, "only living files are sides of an open conflict"
        return name, self._volume.peek(name.inode)

    def _path(self, file: FileId) -> Answer:
        return path_fields(self._volume.path(file) or b"?")

    # -- choosing ----------------------------------------------------------------------------------------------------

    def resolve(self, path: bytes, keep: Keep) -> Answer:
        """As service.Service.resolve says."""
        file = self._volume.resolve(path)[0]
        asked = self._conflicts.get(file)
        conflicts = [asked] if asked else [one for one in self._conflicts.all() if one.original == file]
        if not conflicts:
            raise NoSuchPath(
                f"{_shown(path)}: no open conflict about it; `onitufs conflicts list` shows those there are"
            )
        if keep == "both":
            self._clear(conflicts)
            return self._path(file) | {"deleted": []}
        self._need_quiet(conflicts)
        if asked is None:  # the original was named
            if keep == "this":
                return self._drop_kept(conflicts, file)
            if len(conflicts) > 1:
                raise NotPossible(
                    f"{_shown(path)}: {len(conflicts)} files are kept beside it: name the one to keep, with --keep this"
                )
            return self._replace_original(conflicts[0])
        if keep == "this":
            return self._replace_original(asked)
        if asked.original is None:
            raise NotPossible(f"{_shown(path)}: the other file is gone: --keep this, or remove this one, too")
        return self._drop_kept(conflicts, asked.original)

    def _need_quiet(self, conflicts: Sequence[OpenConflict]) -> None:
        """What a program is writing is not known yet: nothing can be chosen by it."""
        for file in {side for one in conflicts for side in (one.file, one.original) if side is not None}:
            name, _ = self._alive(file)
            if self._volume.has_writer(name.inode):
                path = _shown(self._volume.path(file) or b"?")
                raise NotPossible(f"{path}: a program has it open for writing: close it there, then choose")

    def _clear(self, conflicts: Sequence[OpenConflict]) -> None:
        changes: Changes = {}
        for conflict in conflicts:
            self._conflicts.clear(changes, conflict.file)
        self._volume.catalog.commit(changes)

    def _drop_kept(self, conflicts: Sequence[OpenConflict], winner: FileId) -> Answer:
        deleted = [self._path(conflict.file) for conflict in conflicts]
        for conflict in conflicts:
            self._remove(conflict.file)
        self._clear(conflicts)
        return self._path(winner) | {"deleted": deleted}

    def _replace_original(self, conflict: OpenConflict) -> Answer:
        """The kept file gets the name that both wanted, in one step where both are files."""
        kept, inode = self._alive(conflict.file)
        parent, wanted = kept.parent, (read_conflict_name(kept.name) or (kept.name,))[0]
        before, deleted = self._path(conflict.file), []
        if conflict.original is not None:
            original, other = self._alive(conflict.original)
            parent, wanted = original.parent, original.name
            deleted.append(self._path(conflict.original))
            if Kind.DIRECTORY in (inode.kind, other.kind):
                self._remove(conflict.original)
        elif self._volume.dirent(parent, wanted) is not None:
            raise NotPossible(f"{_shown(wanted)}: the name is taken by a directory: rename one of them")
        try:
            self._volume.rename(kept.parent, kept.name, parent, wanted)
        except FileError as error:
            raise NotPossible(f"{_shown(kept.name)}: {error}: rename it yourself") from error
        self._changed_outside(kept.parent, kept.name)
        self._changed_outside(parent, wanted)
        self._clear([conflict])
        return self._path(conflict.file) | {"renamed_from": before, "deleted": deleted}

    def _remove(self, file: FileId) -> None:
        name, inode = self._alive(file)
        try:
            if inode.kind is Kind.DIRECTORY:
                self._volume.remove_directory(name.parent, name.name)
            else:
                self._volume.unlink(name.parent, name.name)
        except FileError as error:
            raise NotPossible(f"{_shown(name.name)}: {error}: remove it yourself, then choose") from error
        self._changed_outside(name.parent, name.name)


def _shown(path: bytes) -> str:
    return path.decode(errors="backslashreplace")
