"""What may be done to a tree, and how: modes, conflicts, names, room."""

import datetime
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass

from dropbox import files

from . import names
from .clock import Clock
from .content import Content
from .errors import LookupRefused, Refused, WriteRefused
from .settings import Settings
from .tree import Node, Tree, conflict


@dataclass(frozen=True)
class Spot:
    """Where something is to be: the parts of its path, and what is there now."""

    parts: tuple[str, ...]
    there: Node | None


class Writer:
    """Changes a tree under the rules of the service. `allocated` is the room of the account, in bytes."""

    def __init__(self, tree: Tree, clock: Clock, settings: Settings, allocated: int) -> None:
        self._tree = tree
        self._clock = clock
        self._settings = settings
        self.allocated = allocated

    # -- spots ------------------------------------------------------------------------------------------------------

    def spot(self, path: str) -> Spot:
        """What `path` means to a write. Raises WriteRefused where nothing may be put."""
        if path.startswith("id:"):
            node = self._tree.by_id.get(path)
            if node is None:
                raise WriteRefused(files.WriteError.malformed_path(path))
            return Spot(node.folded, node)
        try:
            parts = names.split(path)
        except names.Malformed:
            raise WriteRefused(files.WriteError.malformed_path(path)) from None
        if not parts:
            raise WriteRefused(files.WriteError.malformed_path(path))
        node = self._tree.root
        for depth, name in enumerate(parts):
            if node.is_file:
                raise WriteRefused(files.WriteError.conflict(files.WriteConflictError.file_ancestor))
            found = node.children.get(names.fold(name))
            if found is None:
                self._check_share(node)
                for new in parts[depth:]:
                    self._check_name(new, path)
                return Spot(tuple(parts), None)
            node = found
        return Spot(tuple(parts), node)

    def _check_name(self, name: str, path: str) -> None:
        try:
            names.check(name)
        except names.Malformed:
            raise WriteRefused(files.WriteError.malformed_path(path.encode("utf-8", "replace").decode())) from None
        except names.Disallowed:
            raise WriteRefused(files.WriteError.disallowed_name) from None

    def _check_share(self, node: Node) -> None:
        share = node.share()
        if share is not None and share.read_only:
            raise WriteRefused(files.WriteError.no_write_permission)

    def _free(self, spot: Spot, word: str) -> Spot:
        """A spot nearby where nothing is: `name (2).ext` and so on, or `name (conflicted copy).ext`."""
        stem, extension = posixpath.splitext(spot.parts[-1])
        number = 2
        while True:
            if word:
                name = f"{stem} ({word}){extension}" if number == 2 else f"{stem} ({word} {number - 1}){extension}"
            else:
                name = f"{stem} ({number}){extension}"
            parts = (*spot.parts[:-1], name)
            if self._tree.at(parts) is None:
                return Spot(parts, None)
            number += 1

    def _parent(self, parts: Sequence[str]) -> tuple[Node, str]:
        """The folder that is to hold the last of `parts`, made if need be, and what a caller calls it."""
        node, shown = self._tree.root, ""
        for name in parts[:-1]:
            found = node.children.get(names.fold(name))
            node = found or self._tree.add_folder(node, name, shown, self._clock.now())
            shown = f"{shown}/{names.normal(name)}"
        return node, shown

    # -- writes -----------------------------------------------------------------------------------------------------

    def put_file(
        self, path: str, content: Content, *, mode: files.WriteMode, autorename: bool = False,
        strict: bool = False, client_modified: datetime.datetime | None = None,
    ) -> Node:  # fmt: skip
        """Raises WriteRefused."""
        spot = self.spot(path)
        there = spot.there
        now = self._clock.stamp()
        when = client_modified or now
        if there is None:
            if mode.is_update() and strict:
                raise WriteRefused(files.WriteError.conflict(files.WriteConflictError.file))
            return self._new_file(spot, content, when, now)
        self._check_share(there)
        if there.content is None:
            if autorename:
                return self._new_file(self._free(spot, ""), content, when, now)
            raise conflict(there)
        if mode.is_update() and mode.get_update() != there.rev:
            if there.content.hash == content.hash and not strict:
                return there
            if autorename:
                return self._new_file(self._free(spot, "conflicted copy"), content, when, now)
            raise conflict(there)
        if there.content.hash == content.hash:
            if mode.is_add() and strict:
                raise conflict(there)
            rewritten = mode.is_overwrite() and strict and self._settings.same_bytes_strict_overwrite == "rewritten"
            if not rewritten:
                return there
        if mode.is_add():
            if autorename:
                return self._new_file(self._free(spot, ""), content, when, now)
            raise conflict(there)
        self._room_for(content.size - there.content.size)
        self._tree.replace_content(there, content, when, now, self._clock.now())
        return there

    def _new_file(
        self, spot: Spot, content: Content, when: datetime.datetime, now: datetime.datetime
    ) -> Node:  # fmt: skip
        self._room_for(content.size)
        parent, shown = self._parent(spot.parts)
        return self._tree.add_file(parent, spot.parts[-1], shown, content, when, now, self._clock.now())

    def _room_for(self, more: int) -> None:
        if more > 0 and self._tree.used + more > self.allocated:
            raise WriteRefused(files.WriteError.insufficient_space)

    def make_folder(self, path: str, *, autorename: bool = False) -> Node:
        """Raises WriteRefused."""
        spot = self.spot(path)
        if spot.there is not None:
            if not autorename:
                raise conflict(spot.there)
            spot = self._free(spot, "")
        parent, shown = self._parent(spot.parts)
        return self._tree.add_folder(parent, spot.parts[-1], shown, self._clock.now())

    # -- relocation and removal -------------------------------------------------------------------------------------

    def relocate(self, from_path: str, to_path: str, *, copy: bool, autorename: bool = False) -> Node:
        """Raises Refused with a RelocationError."""
        error = files.RelocationError
        try:
            node = self._tree.find(from_path)
        except LookupRefused as refused:
            raise Refused(error.from_lookup(refused.error)) from None
        if node.parent is None:
            raise Refused(error.from_lookup(files.LookupError.malformed_path(from_path)))
        try:
            spot = self.spot(to_path)
        except WriteRefused as refused:
            raise Refused(error.to(refused.error)) from None
        target = tuple(names.fold(name) for name in spot.parts)
        if not copy:
            try:
                self._check_share(node.parent)
            except WriteRefused as refused:
                raise Refused(error.from_write(refused.error)) from None
        if spot.there is node and not copy:
            if self._settings.case_rename == "refused" or spot.parts[-1] == node.name:
                raise Refused(error.duplicated_or_nested_paths)
            return node
        if not node.is_file and target[: len(node.folded)] == node.folded and target != node.folded:
            raise Refused(error.cant_move_folder_into_itself)
        if sum(1 for _ in node.walk()) > self._settings.tree_limit:
            raise Refused(error.too_many_files)
        if spot.there is not None:
            if not autorename:
                raise Refused(error.to(conflict(spot.there).error))
            spot = self._free(spot, "")
        if not copy:
            parent, shown = self._parent(spot.parts)
            self._tree.move(
                node, parent, spot.parts[-1], shown, self._clock.now(),
                added_first=self._settings.move_order == "added_first", keeps_rev=self._settings.move_keeps_rev,
            )  # fmt: skip
            return node
        if self._tree.used + sum(each.content.size for each in node.walk() if each.content) > self.allocated:
            raise Refused(error.insufficient_quota)
        parent, shown = self._parent(spot.parts)
        return self._tree.copy(node, parent, spot.parts[-1], shown, self._clock.now())

    def delete(self, path: str, parent_rev: str | None = None) -> files.Metadata:
        """Returns what was told of it. Raises Refused with a DeleteError."""
        error = files.DeleteError
        try:
            node = self._tree.find(path)
        except LookupRefused as refused:
            raise Refused(error.path_lookup(refused.error)) from None
        if node.parent is None:
            raise Refused(error.path_lookup(files.LookupError.malformed_path(path)))
        if parent_rev is not None and not node.is_file:
            raise Refused(error.path_write(files.WriteError.conflict(files.WriteConflictError.folder)))
        if parent_rev is not None and node.rev != parent_rev and self._settings.delete_wrong_rev == "conflict":
            raise Refused(error.path_write(files.WriteError.conflict(files.WriteConflictError.file)))
        try:
            self._check_share(node.parent)
        except WriteRefused as refused:
            raise Refused(error.path_write(refused.error)) from None
        if sum(1 for _ in node.walk()) > self._settings.tree_limit:
            raise Refused(error.too_many_files)
        told = node.metadata()
        self._tree.remove(node, self._clock.now())
        return told
