"""Whoever applies what the feed tells, in its order and as documented, ends with what is there."""

import contextlib
import tempfile
from pathlib import Path
from typing import Any

from dropbox import files
from hypothesis import given, settings
from hypothesis import strategies as st

from .errors import Refused, WriteRefused
from .service import Service

PATHS = st.lists(st.sampled_from(["a", "B", "c"]), min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))
ACTIONS = st.one_of(
    st.tuples(st.just("write"), PATHS, st.binary(max_size=1)),
    st.tuples(st.just("mkdir"), PATHS),
    st.tuples(st.just("move"), PATHS, PATHS),
    st.tuples(st.just("copy"), PATHS, PATHS),
    st.tuples(st.just("delete"), PATHS),
    st.tuples(st.just("pull")),
)


class Follower:
    """Knows of the account what the feed told: by path_lower, what a thing is (None: a folder), and its id."""

    def __init__(self, service: Service, **arguments: Any) -> None:
        self._feed = service.first.feed
        page = self._feed.page(self._feed.begin(service.first.tree.root, files.ListFolderArg(path="", **arguments)))
        self.known: dict[str, tuple[str | None, str]] = {}
        self._apply(page.entries)
        self._cursor, self.more = page.cursor, page.has_more

    def pull(self) -> None:
        page = self._feed.page(self._feed.look_up(self._cursor))
        self._apply(page.entries)
        self._cursor, self.more = page.cursor, page.has_more

    def _apply(self, entries: list[files.Metadata]) -> None:
        for entry in entries:
            path = entry.path_lower
            if not isinstance(entry, files.FolderMetadata) or self.known.get(path, (None, ""))[0] is not None:
                self.known = {at: what for at, what in self.known.items() if not f"{at}/".startswith(f"{path}/")}
            if isinstance(entry, files.FileMetadata):
                self.known[path] = (entry.rev, entry.id)
            elif isinstance(entry, files.FolderMetadata):
                self.known[path] = (None, entry.id)


def act(service: Service, action: tuple[Any, ...]) -> None:
    writer = service.first.writer
    match action:
        case ("write", path, data):
            writer.put_file(path, service.contents.add(data), mode=files.WriteMode.overwrite)
        case ("mkdir", path):
            writer.make_folder(path)
        case ("move" | "copy" as word, source, target):
            writer.relocate(source, target, copy=word == "copy")
        case ("delete", path):
            writer.delete(path)


@settings(max_examples=150, deadline=None)
@given(
    before=st.lists(ACTIONS, max_size=8), then=st.lists(ACTIONS, max_size=20), recursive=st.booleans(),
    page_size=st.integers(1, 4), empty_pages=st.booleans(),
    move_order=st.sampled_from(["deleted_first", "added_first"]),
)  # fmt: skip
def test_followers_end_with_what_is_there(
    before: list[tuple[Any, ...]], then: list[tuple[Any, ...]], recursive: bool, page_size: int, empty_pages: bool,
    move_order: str,
) -> None:  # fmt: skip
    with tempfile.TemporaryDirectory() as directory:
        service = Service(Path(directory))
        service.settings.change({"page_size": page_size, "empty_pages": empty_pages, "move_order": move_order})
        follower: Follower | None = None
        for actions in (before, then):
            for action in actions:
                if action == ("pull",):
                    if follower is not None:
                        follower.pull()
                    continue
                with contextlib.suppress(Refused, WriteRefused):
                    act(service, action)
            follower = follower or Follower(service, recursive=recursive)
        assert follower is not None
        follower.pull()
        while follower.more:
            follower.pull()
        tree = service.first.tree
        nodes = list(tree.root.walk())[1:] if recursive else list(tree.root.children.values())
        there = {"/" + "/".join(node.folded): (node.rev if node.is_file else None, node.id) for node in nodes}
        assert follower.known == there
        assert set(tree.by_id) == {node.id for node in tree.root.walk() if node.parent is not None}
        assert tree.used == sum(node.content.size for node in tree.root.walk() if node.content)
