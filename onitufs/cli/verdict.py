"""What a status means: the line on top of it and the exit status."""

from collections.abc import Mapping
from typing import Any

from onitufs.model.errors import Exit

from . import show

Status = Mapping[str, Any]


def line(status: Status) -> str:
    """E.g. "SAFE: all 214 files are where the rules want them", "3 pending", "1 failing, 3 pending"."""
    files: Mapping[str, int] = status["files"]
    total, pending, failing = files.get("all", 0), files.get("pending", 0), files.get("failing", 0)
    counted = ", ".join(
        part for part in (f"{failing} failing" if failing else "", _pending(files) if pending else "") if part
    )
    match status["verdict"]:
        case "safe" if not total:
            return "SAFE: there are no files yet"
        case "safe":
            whose = "the 1 file is where the rules want it" if total == 1 else (
                f"all {total} files are where the rules want them"
            )  # fmt: skip
            return f"SAFE: {whose}"
        case "needs-person":
            names = ", ".join(show.text(entry, "name") for entry in _waiting_for_somebody(status))
            return "NEEDS YOU: " + ", ".join(part for part in (names and f"entry {names}", counted) if part)
        case _:
            return counted or str(status["verdict"])


def _pending(files: Mapping[str, int]) -> str:
    left = files.get("bytes_pending", 0)
    return f"{files['pending']} pending" + (f" ({show.size(left)})" if left else "")


def _waiting_for_somebody(status: Status) -> list[Mapping[str, Any]]:
    return [entry for entry in status.get("entries", []) if entry.get("health") in ("auth-needed", "suspended")]


def exit_status(status: Status) -> Exit:
    """The one that `status` ends with; of several troubles the one that needs most help."""
    health = {entry.get("health") for entry in status.get("entries", [])}
    match status["verdict"]:
        case "safe":
            return Exit.FINE
        case "pending":
            return Exit.PENDING
        case "needs-person":
            return Exit.NEEDS_PERSON
        case _:
            if health & {"auth-needed", "suspended"}:
                return Exit.NEEDS_PERSON
            if "full" in health:
                return Exit.FULL
            return Exit.UNREACHABLE if "degraded" in health else Exit.NEEDS_PERSON
