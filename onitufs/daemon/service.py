"""What the running daemon can be asked: the interface that control/ serves and the command line speaks to.

Every answer is a JSON-ready dict: integers for bytes, RFC 3339 UTC for times, and for each path two keys, `path` (text,
undecodable bytes as U+FFFD) and, only if it is not UTF-8, `path_base64`. The server adds `"v": 1`.
"""

from collections.abc import AsyncIterator
from typing import Any, Literal, Protocol

Answer = dict[str, Any]
Keep = Literal["this", "other", "both"]


class Service(Protocol):
    """Paths are absolute in the mount: b"/" is the mount point itself."""

    def status(self) -> Answer:
        """The whole state at a glance. Keys:

        name, setup, mount, state, pid, version, since;
        verdict: "safe" | "pending" | "failing" | "needs-person";
        files: {all, directories, placed, pending, failing, only_here, bytes_pending};
        store: {bytes (null: not known, which it is only under a quota), quota, pins (how many),
        history: {versions, bytes}};
        conflicts: how many are open;
        entries: as `entries()`;
        failures: up to 100 of {path, entry, reason, remedy, since}.
        """
        ...

    def entries(self) -> list[Answer]:
        """Each: name, driver, mode, health ("up"|"degraded"|"auth-needed"|"full"|"suspended"|"paused"), since,
        draining, message, remedy, queued, running: [{path, what, bytes, of, bytes_per_s}]."""
        ...

    def whereis(self, path: bytes) -> Answer:
        """Keys: path, kind, size, modified, here (whether its bytes are in the local store),
        state ("placed"|"pending"|"failing"|
        "only-here"), wanted: [entry], copies: [{entry, path, state ("current"|"old"), size, verified, digest}],
        problems: [{entry, reason, remedy}]. Raises NoSuchPath."""
        ...

    def explain(self, path: bytes, media_type: str | None, size: int | None) -> Answer:
        """Why the rules want what they want; also for a path that is not there yet. Keys: path, exists, kind, size,
        media_type, targets: [entry], copies, reasons: [{source, text, added, removed}]."""
        ...

    async def wait(self, path: bytes | None, timeout_s: float | None) -> Answer:
        """Return when everything (or everything at and below `path`) is where the rules want it.

        Keys: as `status()` files, plus `done`: whether it is, False when the time ran out. Raises NoSuchPath.
        """
        ...

    def pause(self, entry: str) -> Answer:
        """Stop giving work to the entry. Lasts over restarts. Raises NoSuchPath for an unknown entry."""
        ...

    def resume(self, entry: str, *, accept: bool = False, restore: bool = False) -> Answer:
        """Give work to the entry again, at once: ends a pause, a backoff or a suspension whose cause is gone."""
        ...

    def scrub(self, entry: str | None) -> AsyncIterator[Answer]:
        """Reread the Copies on the entries and compare.

        Yields {checked, of} now and then, {entry, path, problem, remedy} for each difference (which becomes unsettled
        and is put right), and last {done: true, checked, wrong}.
        """
        ...

    def conflicts(self) -> Answer:
        """Which files are kept beside each other because nobody has chosen yet. Key: conflicts, a list of

        {kept, original: {path, size, modified, here, entries} or, of `original`, null; entry, since}.
        """
        ...

    def resolve(self, path: bytes, keep: Keep) -> Answer:
        """End the conflict that the file at `path` is one side of, by keeping it, the other side, or both.

        Who is kept alone gets the original's name. Keys: path (of what was kept, or asked about), deleted: [{path}]
        and, if the one that was kept got another name, renamed_from: {path}.
        Raises NoSuchPath, NotPossible.
        """
        ...

    def events(self, recent: int, follow: bool) -> AsyncIterator[Answer]:
        """What happened last, `recent` events of it, and with `follow` what happens from now on.

        Keys: time, event, and as the event has them: path, entry, bytes, health, message, remedy, kept; of "lost" only
        lost: how many were dropped here because the client was too slow.
        """
        ...

    def history(self, path: bytes) -> AsyncIterator[Answer]:
        """What can be brought back of a path, also one that is not there any more, and of what is below it.

        Yields, oldest first, {path, rev, size, modified, ended, why ("deleted"|"replaced"|"truncated"), by (an entry's
        name, "" for the mount), until}. Raises NoSuchPath if there is neither the path nor anything of it.
        """
        ...

    def restore(self, path: bytes, rev: str | None, to: bytes | None) -> AsyncIterator[Answer]:
        """Bring back a version of a path, by default the newest, under its old name or that of `to`.

        A directory: the newest version of each file deleted below whose name is free. Yields {path, rev, size, of}.
        Raises NoSuchPath.
        """
        ...

    def plan(self, path: str | None, apply: bool, force: bool) -> AsyncIterator[Answer]:
        """What the setup at `path` (None: the mounted one, as it is on disk now) would make of the files there are.

        Yields {looked_at, of} now and then, and last {done: true, applied, setup, files, entries, only_here, missing,
        rules}. entries: [{name, state ("kept"|"new"|"gone"), renamed_from, copied, moved, trashed, found, left, last,
        cannot}], see referee/planning.py; each of these, only_here and missing: {files, bytes, examples: [{path}]}.
        rules: [{source, covers: how many files and directories}]. With `apply` it is put in force, and what was found
        where the rules do not want it is taken away. Raises SetupError, NotPossible (`force` is for last copies).
        """
        ...

    def drain(self, entry: str, local: bool) -> AsyncIterator[Answer]:
        """Empty an entry. Goes on if the client leaves, and over restarts.

        Yields {left, of, health, message, remedy} now and then, and last {done, entry, left}. Raises NoSuchPath;
        NotPossible if files would have too few copies and may not be kept here (`local`) instead.
        """
        ...

    def stop_draining(self, entry: str) -> Answer:
        """Place files on the entry again. Raises NoSuchPath."""
        ...

    def pin(self, path: bytes) -> Answer:
        """Keep the bytes of a file, or of all below a directory, here from now on; bring what is absent.

        Keys: path, pinned (true), to_fetch (files), bytes_to_fetch. Raises NoSuchPath.
        """
        ...

    def unpin(self, path: bytes) -> Answer:
        """End a pin. Keys: path, was_pinned, pinned (still, by a directory above: pinned_by). Raises NoSuchPath."""
        ...

    def free(self, path: bytes) -> AsyncIterator[Answer]:
        """Let go of the bytes here of a file, or of all below a directory, where the entries are seen to hold them.

        Yields {path, freed (bytes), reason (why not, or "")} for each file that has bytes here, and last {done: true,
        files, freed, kept}. Raises NoSuchPath.
        """
        ...

    async def stop(self, timeout_s: float | None, now: bool) -> Answer:
        """Unmount and end, first waiting until everything is placed (unless `now`), `timeout_s` at the most.

        Keys: done (all placed), pending, busy (bool: the mount point is in use, nothing was done). The daemon ends
        only after the answer was sent.
        """
        ...

    def log_path(self) -> str:
        """Where the structured log is."""
        ...
