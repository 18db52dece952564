"""What a person wants to have here whatever the quota says: files, and directories with all below them."""

from onitufs.catalog import keys
from onitufs.catalog.store import Catalog
from onitufs.model.errors import NoEntry
from onitufs.model.files import Inode
from onitufs.model.ids import ROOT_INODE, FileId

from .tree import Tree


class Pins:
    """The pins in a Catalog. They hang on file ids, so they survive renames."""

    def __init__(self, catalog: Catalog, tree: Tree) -> None:
        self._catalog = catalog
        self._tree = tree
        self.any = bool(catalog.scan(keys.PIN, limit=1))

    def pin(self, file: FileId) -> None:
        self._catalog.commit({keys.pin(file): b""})
        self.any = True

    def unpin(self, file: FileId) -> bool:
        """Whether it was pinned itself."""
        if self._catalog.get(keys.pin(file)) is None:
            return False
        self._catalog.commit({keys.pin(file): None})
        self.any = bool(self._catalog.scan(keys.PIN, limit=1))
        return True

    def all(self) -> list[FileId]:
        """What is pinned itself. What was deleted is forgotten here."""
        files = [FileId(keys.number(key)) for key, _ in self._catalog.scan(keys.PIN, limit=1_000_000)]
        living = [file for file in files if (name := self._tree.name(file)) is not None and name.alive]
        for gone in set(files) - set(living):
            self.unpin(gone)
        return living

    def holder(self, inode: Inode) -> FileId | None:
        """What is pinned and holds one of the file's names: one of these, or a directory above."""
        if not self.any:
            return None
        return next((found for file in inode.files if (found := self._above(file)) is not None), None)

    def _above(self, file: FileId | None) -> FileId | None:
        try:
            while file is not None:
                if self._catalog.get(keys.pin(file)) is not None:
                    return file
                name = self._tree.name(file)
                if name is None or name.inode == ROOT_INODE:
                    return None
                file = self._tree.peek(name.parent).files[0]
        except (NoEntry, IndexError):
            pass  # a directory above is gone, and so is the file
        return None
