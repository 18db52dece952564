"""The files and folders of one account, and the log of what happened to them."""

import datetime
import itertools
import random
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from dropbox import files

from . import names
from .content import Content
from .errors import LookupRefused, WriteRefused

FoldedPath = tuple[str, ...]


@dataclass(eq=False)
class Node:
    """A file (with `content`) or a folder."""

    id: str
    name: str
    parent: "Node | None"
    shown_in: str
    """What path_display begins with: the parents as they were written in the call that made this, not as they are."""
    content: Content | None = None
    rev: str = ""
    client_modified: datetime.datetime = datetime.datetime(1970, 1, 1)  # noqa: DTZ001
    server_modified: datetime.datetime = datetime.datetime(1970, 1, 1)  # noqa: DTZ001
    children: dict[str, "Node"] = field(default_factory=dict)
    downloadable: bool = True
    restricted: bool = False
    symlink: str | None = None
    share_id: str | None = None
    read_only: bool = False
    traverse_only: bool = False
    no_access: bool = False

    @property
    def is_file(self) -> bool:
        return self.content is not None

    @property
    def folded(self) -> FoldedPath:
        return () if self.parent is None else (*self.parent.folded, names.fold(self.name))

    def share(self) -> "Node | None":
        """The mounted share that this lies in, or is."""
        if self.share_id or self.parent is None:
            return self if self.share_id else None
        return self.parent.share()

    def walk(self) -> Iterator["Node"]:
        """This and all below, parents first."""
        yield self
        for child in list(self.children.values()):
            yield from child.walk()

    def metadata(self) -> files.Metadata:
        assert self.parent is not None
        common = {
            "name": self.name,
            "path_lower": "/" + "/".join(self.folded),
            "path_display": f"{self.shown_in}/{self.name}",
        }
        outer = self.parent.share()
        if outer is not None:
            common["parent_shared_folder_id"] = outer.share_id
        if self.content is None:
            sharing = None
            if self.share_id:
                sharing = files.FolderSharingInfo(
                    read_only=self.read_only, shared_folder_id=self.share_id, traverse_only=self.traverse_only,
                    no_access=self.no_access,
                )  # fmt: skip
            elif outer is not None:
                sharing = files.FolderSharingInfo(read_only=outer.read_only, parent_shared_folder_id=outer.share_id)
            told = files.FolderMetadata(**common, id=self.id)
            if sharing is not None:
                told.sharing_info = sharing
            if self.share_id:
                told.shared_folder_id = self.share_id
            return told
        file = files.FileMetadata(
            **common, id=self.id, client_modified=self.client_modified, server_modified=self.server_modified,
            rev=self.rev, size=self.content.size, is_downloadable=self.downloadable,
        )  # fmt: skip
        if self.downloadable:
            file.content_hash = self.content.hash
        else:
            file.export_info = files.ExportInfo(export_as="html")
        if self.symlink is not None:
            file.symlink_info = files.SymlinkInfo(target=self.symlink)
        if outer is not None:
            file.sharing_info = files.FileSharingInfo(read_only=outer.read_only, parent_shared_folder_id=outer.share_id)
        return file

    def deleted(self) -> files.DeletedMetadata:
        return files.DeletedMetadata(
            name=self.name, path_lower="/" + "/".join(self.folded), path_display=f"{self.shown_in}/{self.name}"
        )


@dataclass(frozen=True)
class Event:
    """Something was there, or went, at that time."""

    path: FoldedPath
    told: files.Metadata
    at: float


class Tree:
    """Nodes by path, by id and by rev. Does what it is told: what may be done is decided in `writing`."""

    def __init__(self) -> None:
        self._ids = random.Random()
        self._revs = itertools.count(0x15F9_BCF3_B8A0_D1)
        self.root = Node(id="", name="", parent=None, shown_in="")
        self.by_id: dict[str, Node] = {}
        self.revisions: dict[str, tuple[files.FileMetadata, Content]] = {}
        self.log: list[Event] = []
        self.buried: dict[FoldedPath, files.DeletedMetadata] = {}
        self.used = 0

    def new_id(self) -> str:
        return "id:" + "".join(self._ids.choices(string.ascii_letters + string.digits + "-_", k=22))

    def new_rev(self) -> str:
        return f"{next(self._revs):x}0000000{self._ids.getrandbits(32):08x}"

    # -- looking ----------------------------------------------------------------------------------------------------

    def at(self, parts: Sequence[str]) -> Node | None:
        """What is under these names, in any case."""
        node = self.root
        for name in parts:
            found = node.children.get(names.fold(name))
            if found is None:
                return None
            node = found
        return node

    def find(self, path: str) -> Node:
        """What a caller's `path` or `id:` means."""
        if path.startswith("id:"):
            if "/" in path:
                raise LookupRefused(files.LookupError.malformed_path(path))
            node = self.by_id.get(path)
        else:
            try:
                parts = names.split(path)
            except names.Malformed:
                raise LookupRefused(files.LookupError.malformed_path(path)) from None
            # what is not in the form that the service keeps is not found by it
            node = self.at(parts) if all(names.normal(name) == name for name in parts) else None
        if node is None:
            raise LookupRefused(files.LookupError.not_found)
        return node

    # -- changing ---------------------------------------------------------------------------------------------------

    def tell(self, node: Node, at: float) -> None:
        """Write into the log that the node is there, as it is now."""
        told = node.metadata()
        path = node.folded
        self.buried.pop(path, None)
        if isinstance(told, files.FileMetadata):
            assert node.content is not None
            self.revisions[node.rev] = (told, node.content)
        self.log.append(Event(path, told, at))

    def add_folder(self, parent: Node, name: str, shown_in: str, at: float) -> Node:
        node = Node(id=self.new_id(), name=names.normal(name), parent=parent, shown_in=shown_in)
        parent.children[names.fold(name)] = node
        self.by_id[node.id] = node
        self.tell(node, at)
        return node

    def add_file(
        self, parent: Node, name: str, shown_in: str, content: Content, client_modified: datetime.datetime,
        server_modified: datetime.datetime, at: float,
    ) -> Node:  # fmt: skip
        node = Node(
            id=self.new_id(), name=names.normal(name), parent=parent, shown_in=shown_in, content=content,
            rev=self.new_rev(), client_modified=client_modified, server_modified=server_modified,
        )  # fmt: skip
        parent.children[names.fold(name)] = node
        self.by_id[node.id] = node
        self.used += content.size
        self.tell(node, at)
        return node

    def replace_content(
        self, node: Node, content: Content, client_modified: datetime.datetime, server_modified: datetime.datetime,
        at: float,
    ) -> None:  # fmt: skip
        assert node.content is not None
        self.used += content.size - node.content.size
        node.content, node.rev = content, self.new_rev()
        node.client_modified, node.server_modified = client_modified, server_modified
        self.tell(node, at)

    def remove(self, node: Node, at: float) -> None:
        """Node and all below are gone; the log tells of the node only."""
        self._bury(node, at)
        for each in node.walk():
            del self.by_id[each.id]
            if each.content is not None:
                self.used -= each.content.size

    def _bury(self, node: Node, at: float) -> None:
        assert node.parent is not None
        gone = node.deleted()
        self.log.append(Event(node.folded, gone, at))
        for each in node.walk():
            self.buried[each.folded] = each.deleted()
        del node.parent.children[names.fold(node.name)]

    def move(
        self, node: Node, parent: Node, name: str, shown_in: str, at: float, *, added_first: bool, keeps_rev: bool
    ) -> None:
        """Ids are kept, and revs only if so."""
        before = len(self.log)
        self._bury(node, at)
        node.name, node.parent = names.normal(name), parent
        parent.children[names.fold(name)] = node
        self._show(node, shown_in)
        for each in node.walk():
            if each.is_file and not keeps_rev:
                each.rev = self.new_rev()
            self.tell(each, at)
        if added_first:
            self.log.append(self.log.pop(before))

    def copy(self, node: Node, parent: Node, name: str, shown_in: str, at: float) -> Node:
        """Ids and revs are new, times are kept."""

        def copied(each: Node, into: Node) -> Node:
            twin = replace(each, id=self.new_id(), parent=into, children={}, share_id=None, read_only=False)
            twin.rev = self.new_rev() if each.is_file else ""
            self.by_id[twin.id] = twin
            self.used += each.content.size if each.content else 0
            twin.children = {key: copied(child, twin) for key, child in each.children.items()}
            return twin

        twin = copied(node, parent)
        twin.name = names.normal(name)
        parent.children[names.fold(name)] = twin
        self._show(twin, shown_in)
        for each in twin.walk():
            self.tell(each, at)
        return twin

    def _show(self, node: Node, shown_in: str) -> None:
        node.shown_in = shown_in
        for child in node.children.values():
            self._show(child, f"{shown_in}/{node.name}")


def conflict(kind: Node) -> WriteRefused:
    """There is something else already."""
    if kind.is_file:
        return WriteRefused(files.WriteError.conflict(files.WriteConflictError.file))
    return WriteRefused(files.WriteError.conflict(files.WriteConflictError.folder))
