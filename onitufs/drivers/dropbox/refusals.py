"""What Dropbox's own errors mean: unions of unions, read as the list of their tags."""

from typing import Any

from onitufs.model.errors import (
    Conflict,
    DriverError,
    Gone,
    NameNotAllowed,
    NeedsPerson,
    QuotaFull,
    ServiceError,
    TooLarge,
)

_BUSY = {"too_many_write_operations", "too_many_requests"}
_FULL = {
    "insufficient_space", "insufficient_quota", "team_folder_insufficient_space", "user_insufficient_space",
    "shared_folder_insufficient_space", "member_folder_insufficient_space", "team_folder_insufficient_quota",
    "member_folder_insufficient_quota",
}  # fmt: skip
_NOT_PERMITTED = {
    "no_write_permission", "access_restricted", "operation_suppressed", "team_folder", "locked", "no_permission",
    "cant_move_shared_folder", "cant_nest_shared_folder", "cant_move_into_vault", "cant_move_into_family",
    "cant_transfer_ownership", "too_many_shared_folder_targets",
}  # fmt: skip
_NOT_READABLE = {"restricted_content", "unsupported_file", "unsupported_content_type"}
BUSY_S = 1.0
"""After this, what Dropbox was too busy to write is tried again."""
TRAFFIC_S = 3600.0


class NotUnderstood(NeedsPerson):
    """What we ask makes no sense to Dropbox."""


# What follows is for who can do something about it. To anybody else it is passing trouble, as it is not there when all
# of it is done again.


class TooMuchAtOnce(ServiceError):
    """A request is larger than Dropbox, or whatever is before it, takes."""


class Reset(ServiceError):
    """The cursor is good for nothing any more."""


class Offset(ServiceError):
    """An upload session holds another number of bytes: `correct`."""

    def __init__(self, correct: int) -> None:
        super().__init__(f"Dropbox holds {correct} bytes of it")
        self.correct = correct


class SessionLost(ServiceError):
    """There is no such upload session any more, or it takes no more bytes."""


def tags(error: Any) -> list[str]:
    """The tags of a union, outermost first."""
    found: list[str] = []
    while isinstance(tag := getattr(error, "_tag", None), str):
        found.append(tag)
        error = getattr(error, "_value", None)
        error = getattr(error, "reason", error)  # UploadWriteFailed is a struct around the next union
    return found


def refusal(error: Any) -> DriverError:
    """Our error for one of Dropbox's."""
    found = tags(error)
    said = set(found)
    last = found[-1] if found else "without a reason"
    if said & _BUSY:
        return ServiceError("Dropbox is busy with other writes of this account", BUSY_S)
    if said & _FULL:
        return QuotaFull("the Dropbox is full; delete something there, or get more space")
    if last == "reset":
        return Reset("Dropbox does not know any more what changed since")
    if last in {"too_large", "payload_too_large"}:
        return TooLarge("the file is larger than Dropbox takes; place it elsewhere")
    if last == "incorrect_offset":
        return Offset(_value(error).correct_offset)
    if found[:1] == ["lookup_failed"] or last in {"closed", "not_closed"} or found == ["not_found"]:
        return SessionLost("Dropbox does not know this upload any more")
    if "file_ancestor" in said:
        return Gone("a file stands where a folder should be")
    if "conflict" in said or last in {"not_file", "duplicated_or_nested_paths", "cant_move_folder_into_itself"}:
        return Conflict(f"something else stands there ({last})")
    if last in {"not_found", "not_folder"}:
        return Gone("Dropbox says that it is not there")
    if last in {"disallowed_name", "malformed_path"}:
        return NameNotAllowed("Dropbox does not take this name; rename the file")
    if said & _NOT_PERMITTED:
        return NameNotAllowed(
            f"Dropbox does not let us write there ({last}); have somebody permit it, or place it elsewhere"
        )
    if said & _NOT_READABLE:
        return NeedsPerson(f"Dropbox does not give this file out ({last}); see it on dropbox.com")
    if last == "too_many_files":
        return NameNotAllowed("the folder has more items than Dropbox moves at once; move them in parts")
    if last == "upload_traffic_limit_reached":
        return ServiceError("the account has uploaded as much as it may for now", TRAFFIC_S)
    if last == "content_hash_mismatch":
        return ServiceError("what arrived at Dropbox is not what was sent")
    return ServiceError(f"Dropbox refused it: {'/'.join(found) or last}")


def _value(error: Any) -> Any:
    """What the innermost union carries."""
    while isinstance(getattr(error, "_tag", None), str):
        error = error._value
        error = getattr(error, "reason", error)
    return error
