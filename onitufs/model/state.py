"""One file as the Referee sees it, want and have, and what the Referee decides about it.

The daemon builds a FileState from the catalog, asks, carries out the Decision and, after each outcome, asks again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from .copies import Copy, Place
from .files import Kind
from .ids import EntryName, FileId, GenerationId
from .orders import Order
from .verdicts import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What a driver says it can keep, beside bytes and names. Source: its manifest."""

    mode: bool = False
    mtime: bool = False
    symlinks: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Occupant:
    """The Copy that stands where a file, or a directory above it, is to stand. `alive`: whether its file still is.

    `needed`: the file lives, and its bytes are not here: they may be nowhere but in this Copy.
    """

    copy: Copy
    alive: bool
    needed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryView:
    """One entry, as one file meets it. "Here" is this entry.

    `ours`: configured now and not of mode "r"; nothing is ever ordered elsewhere.
    `copy`: this file's own Copy here.
    `missing`: directories above the wanted place that have no Copy here, outermost first.
    `occupant`: whose Copy stands at the wanted place; if something is missing, at the place of the outermost missing
    directory (which is its name, in the Copy of its parent): that may be this file's own, of "x" now wanted as "x/x".
    `child`: of a directory, one file whose Copy stands in this one's Copy, None if there is none.
    `in_the_way`: `copy` is not at the wanted place and not parked, and either another living file has, in the mount,
    the name at which it stands, or the directory in which it stands is dead.
    `below_itself`: of a directory, if the Copy of the wanted parent (or, if something is missing, of the parent of the
    outermost missing one) stands inside this directory's own Copy: the directories from that parent up to, without,
    this one; else empty.
    `needed`: an earlier Decision said so in `needs` and this directory has had no Copy here since.
    `running`: an order for this file, or one that makes this directory on its way (`missing`), is being carried out
    here, or may have been: nothing is ordered here and nothing is settled before its outcome is recorded.
    `refused`: the last order for this file that the entry refused for good (a Failed with neither `again` nor `stale`),
    kept in memory. It is not ordered again while it would be the same. `refusal` says why, for people.
    """

    entry: EntryName
    ours: bool = True
    abilities: Abilities = Abilities()
    copy: Copy | None = None
    missing: tuple[FileId, ...] = ()
    occupant: Occupant | None = None
    child: FileId | None = None
    in_the_way: bool = False
    below_itself: tuple[FileId, ...] = ()
    needed: bool = False
    running: bool = False
    refused: Order | None = None
    refusal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileState:
    """One file id: what is wanted and what is there.

    `generation`: of a file the last sealed one, 0 if there is none; of a symlink what its inode says, never 0; of a
    directory 0.
    `absent`: not all bytes of the generation are here.
    `durable`: the generation (of the rest: the name) would survive a power cut. `complete`: no failed write-back left
    holes. `size` and `mtime_ns` belong to the generation, unless times were set since without a write.
    `place`: where it stands in the mount, None if dead (or the root). `depth`: directories above it, 0 in the root.
    `changed_s`: when its name last changed, or it died; on the clock of `now_s`; long ago if not known.
    `verdict`: None if dead. `views`: one of every entry that the verdict names, or that has a Copy, whatever its mode,
    or on which an order is `running`, or on which it is `needed`.
    """

    file: FileId
    kind: Kind
    alive: bool
    generation: GenerationId = GenerationId(0)
    durable: bool = True
    complete: bool = True
    absent: bool = False
    size: int = 0
    mtime_ns: int = 0
    mode: int = 0
    target: bytes = b""
    place: Place | None = None
    depth: int = 0
    changed_s: float = float("-inf")
    verdict: Verdict | None = None
    views: Mapping[EntryName, EntryView] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do about one file now.

    `orders`: at most one an entry, all for this file. Any other entry, in `views` or not, has nothing to do for it now:
    an order for this file that is queued there is outdated and is withdrawn.
    `wait_s`: ask again after so many seconds at the latest; None: only events can change the answer.
    `settled`: want is have; the unsettled mark goes.
    `gone`: and the file is dead and has no Copy anywhere: its tombstone goes.
    `only_here`: it lives and no entry is to hold it.
    `required`: the entries that are to hold it, in the order of the rules, after `copies` and abilities.
    `waits_for`: these files stand in the way. Ask each of them once, when this file begins to wait for it, and this
    one again whenever a Copy of one of them has changed.
    `needs`: directories that must get a Copy on an entry before anything can go on: remember that (EntryView.needed)
    until it has one or is dead, and ask about the directory.
    `problems`: for people, one line each: what keeps it from being placed and does not pass by itself.
    `bring`: its bytes have to be here first, because an entry that alone holds them is to lose them.
    """

    orders: tuple[Order, ...] = ()
    wait_s: float | None = None
    settled: bool = False
    gone: bool = False
    only_here: bool = False
    required: tuple[EntryName, ...] = ()
    waits_for: tuple[FileId, ...] = ()
    needs: tuple[tuple[EntryName, FileId], ...] = ()
    problems: tuple[str, ...] = ()
    bring: bool = False
