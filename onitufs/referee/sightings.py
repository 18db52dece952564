"""What it means that an object on an entry is there, is gone, or is another than we knew. Pure.

The daemon looks at a place, asks here, and does what the answer says: see daemon/intake.py.
"""

import enum
from dataclasses import dataclass

from onitufs.model.copies import Copy, Found
from onitufs.model.digests import comparable
from onitufs.model.files import Kind
from onitufs.model.ids import GenerationId


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A file of the mount, as one that was seen on an entry meets it.

    `at_home`: it has, in the mount, the name at which its Copy on this entry stands. `quiet`: no program has it open
    for writing, so all that was written to it is in `generation`. `digest`: of that, b"" if not known.
    """

    alive: bool
    kind: Kind
    generation: GenerationId = GenerationId(0)
    size: int = 0
    target: bytes = b""
    digest: bytes = b""
    at_home: bool = True
    quiet: bool = True


class Meaning(enum.Enum):
    """What is to be done about an object that stands where a Copy is known."""

    NOTHING = enum.auto()
    SAME = enum.auto()
    """The bytes we know, with another rev, time or mode: note those."""
    DIGEST = enum.auto()
    """Only both digests can tell, of one algorithm: ask again with those."""
    CURRENT = enum.auto()
    """Others made it what the file is here, too: it is a Copy of the newest generation."""
    EDITED = enum.auto()
    """Others changed it and nobody here has: the file takes it over."""
    APART = enum.auto()
    """Others changed it, and so did somebody here: both live, it as a file of its own."""
    ANOTHER = enum.auto()
    """What we knew is gone, and something of another kind has its name."""
    WAIT = enum.auto()
    """A program here has the file open for writing: what it does will tell."""


class Meeting(enum.Enum):
    """What is to be done about an object of which no Copy is known."""

    NEW = enum.auto()
    """The mount has nothing of that name: show it."""
    JOIN = enum.auto()
    """It is what the mount has: note it as a Copy."""
    DIGEST = enum.auto()
    """As above."""
    APART = enum.auto()
    """The mount has something else of that name: show it beside, under a name of its own."""
    WAIT = enum.auto()
    """As above."""


class Loss(enum.Enum):
    """What is to be done about a Copy whose object is gone for sure."""

    DELETE = enum.auto()
    """Somebody deleted it there: so it is deleted here, and everywhere."""
    FORGET = enum.auto()
    """It was only one Copy less, or the file was changed here meanwhile and lives."""
    WAIT = enum.auto()
    """As above."""


def judge(copy: Copy, found: Found, file: Standing, digest: bytes | None = None) -> Meaning:
    """An object that stands where `copy` is known.

    `digest`: of its content, b"" if none can be had; None: nobody asked, and what came with `found` is what is known.
    The second time, `file.digest` is of its algorithm, or b"" if it cannot be had.
    """
    if found.kind is not copy.kind:
        return Meaning.ANOTHER
    if found.state.rev == copy.rev:
        return Meaning.NOTHING if found.state.remote_id in ("", copy.remote_id) else Meaning.SAME
    if found.kind is Kind.DIRECTORY:
        return Meaning.SAME  # another one of that name is the same place, too: what is in it is told by name
    if found.kind is Kind.SYMLINK:
        return _judge_link(copy, found, file)
    told = found.state.digest if digest is None else digest
    if copy.digest and found.size == copy.size:
        if told == copy.digest:
            return Meaning.SAME
        if digest is None and not comparable(told, copy.digest):
            return Meaning.DIGEST
    worth = file.digest or copy.generation != file.generation  # it may be the same change on both sides
    if file.alive and file.generation and file.quiet and found.size == file.size and worth:
        if told and told == file.digest:
            return Meaning.CURRENT
        if digest is None and not comparable(told, file.digest):
            return Meaning.DIGEST
    return _changed(copy, file)


def _judge_link(copy: Copy, found: Found, file: Standing) -> Meaning:
    if file.alive and found.target == file.target:
        return Meaning.CURRENT
    return _changed(copy, file)


def _changed(copy: Copy, file: Standing) -> Meaning:
    ours = copy.generation and file.alive and copy.generation == file.generation
    if not ours:
        return Meaning.APART
    return Meaning.EDITED if file.quiet else Meaning.WAIT


def meet(found: Found, there: Standing | None, digest: bytes | None = None) -> Meeting:
    """An object of which no Copy is known; `there`: what the mount has under its name. `digest`: as for judge."""
    if there is None:
        return Meeting.NEW
    if there.kind is not found.kind:
        return Meeting.APART
    if found.kind is Kind.DIRECTORY:
        return Meeting.JOIN
    if found.kind is Kind.SYMLINK:
        return Meeting.JOIN if there.target == found.target else Meeting.APART
    if not there.generation or not there.quiet:
        return Meeting.WAIT
    if there.size != found.size:
        return Meeting.APART
    if found.size == 0:
        return Meeting.JOIN
    told = found.state.digest if digest is None else digest
    if digest is None and not comparable(told, there.digest):
        return Meeting.DIGEST
    return Meeting.JOIN if told and told == there.digest else Meeting.APART


def lose(copy: Copy, file: Standing) -> Loss:
    """A Copy whose object is gone: a complete listing or a look at the place said so, twice."""
    if not file.alive or not file.at_home:
        return Loss.FORGET
    if copy.kind is Kind.DIRECTORY:
        return Loss.DELETE
    if not copy.generation or copy.generation != file.generation:
        return Loss.FORGET
    return Loss.DELETE if file.quiet else Loss.WAIT
