"""How the service behaves where the real one may behave in more than one way, and its limits for tests to lower."""

from dataclasses import dataclass, field, fields
from typing import Any

MIB = 1024 * 1024


@dataclass
class Settings:
    page_size: int = 500
    """Entries in one page of a listing, at most; a smaller `limit` of the caller holds."""
    empty_pages: bool = False
    """Whether before each page of a listing comes one without entries."""
    move_order: str = "deleted_first"
    """What the feed tells first of a move: "deleted_first" or "added_first"."""
    move_keeps_rev: bool = False
    """Whether a file that is moved keeps its rev."""
    case_rename: str = "unchanged"
    """What becomes of a move that changes case only: "unchanged" (success, old case) or "refused"."""
    same_bytes_strict_overwrite: str = "rewritten"
    """Mode overwrite with strict_conflict and equal bytes: "rewritten" (new rev) or "current"."""
    delete_wrong_rev: str = "conflict"
    """delete with a parent_rev that is not the file's: "conflict"; "ignored" deletes all the same."""
    longpoll_backoff_s: int = 0
    """What longpoll asks callers to wait before the next one."""
    longpoll_jitter_s: float = 0
    """What longpoll waits beyond the time asked for."""
    spurious_changes: int = 0
    """That many calls of longpoll tell of changes which are none."""
    jobs: str = "async"
    """How batches answer: "async" (a job to be polled) or "complete" (at once)."""
    job_polls: int = 1
    """How often a job is in progress before it is done."""
    job_work: str = "at_launch"
    """When a job does its work: "at_launch", or "when_polled" to the end."""
    jobs_that_fail: int = 0
    """That many batches of deletions or new folders fail as a whole, without having done anything."""
    entries_that_fail: list[str] = field(default_factory=list)
    """An entry of a batch with one of these in its path fails with too_many_write_operations, once for each."""
    commit_hold_s: float = 0.002
    """How long, by the clock of the service, a write holds the namespace. One that meets it held is refused with
    too_many_write_operations."""
    commits_together: bool = False
    """Whether writes wait for each other instead."""
    request_limit: int = 150 * MIB
    """Bytes of one request's body."""
    file_limit: int = 2**41 - 2**22
    tree_limit: int = 10_000
    """Items in a folder that is moved, copied or deleted by one call."""
    session_life_s: float = 7 * 86400
    access_token_life_s: int = 14400
    code_life_s: float = 600
    cursor_life_s: float = 30 * 86400
    requests_per_window: int = 0
    """Calls of one account in a window; more are answered 429, and count too. 0: no limit."""
    window_s: float = 1.0
    argument_limit: int = 60 * 1024
    """Bytes of an argument in a header; a longer one is answered 431. No number is documented."""
    offline: bool = False
    """Whether every connection is closed at once."""
    hang_up_in_handshake: bool = False
    """Whether new connections are closed while TLS is agreed on."""

    def change(self, changes: dict[str, Any]) -> None:
        known = {field.name for field in fields(self)}
        for name, value in changes.items():
            if name not in known:
                raise KeyError(f"no setting {name!r}; there are {', '.join(sorted(known))}")
            setattr(self, name, value)
