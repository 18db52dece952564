"""Joins the volume, the Referee and the Plugs: asks about files, hands out orders, records what entries confirmed.

The catalog's unsettled index is the truth of what is to do; what this module remembers only saves asking again. A lost
wake-up costs time, never a file.
"""

import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import trio

from onitufs.catalog import keys
from onitufs.drivers.handlers import shown
from onitufs.drivers.plug import Plug
from onitufs.drivers.progress import Pace, rest, unhurried
from onitufs.model.copies import Copy, Place
from onitufs.model.errors import Conflict, Gone, Missing, Stale
from onitufs.model.files import Inode, Kind
from onitufs.model.ids import PARKING, ROOT_FILE, ROOT_INODE, EntryName, FileId, InodeNumber, Seq
from onitufs.model.orders import Delete, Done, Failed, Move, Order, Outcome, Put
from onitufs.model.state import Decision
from onitufs.referee import ledger
from onitufs.referee.reconcile import orders_for
from onitufs.volume.tree import Changes

from .alarms import Alarms
from .bringing import Bringing
from .events import Events
from .facts import Facts
from .fetching import Fetcher
from .holders import Holders
from .intents import Intents
from .memory import missing_of

SLICE = 10  # files asked about before other tasks get a turn: about 1.5 ms
# Changes in the mount are gathered until none came for GATHER_S, LONGEST_GATHER_S at most: programs save by several
# calls, and a batch costs less than its sum.
GATHER_S = 0.2
LONGEST_GATHER_S = 1.0
LARGE_BYTES = 16 << 20  # what is so large goes as soon as it is on disk: that takes time enough to gather, too
MOST_REMEMBERED = 50_000  # of any list that the unsettled index can replace
DEFER_S = 2.0  # how long a file placed on one entry waits for the outcome on another before it is asked about
AGE_WALK_S = 3600.0  # how often every file is asked about if a rule looks at ages; what is due earlier has a timer
LOOKED_AT_S = 1.0  # what a Copy that is not as recorded gets to be corrected, before its file is asked about again
RETRY_S = 30.0  # how often what could not be handed out is looked for, at the latest

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Problem:
    """Why a file is not where it should be, for people, entry by entry. `since_ns`: wall clock."""

    reason: str
    since_ns: int


class KnownCopies:
    """The Copies, as referee/ledger.py asks for them."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._given = facts.memory.given
        self.get = facts.placements.get
        self.at = facts.placements.at
        self.children = facts.placements.children

    def put_place(self, entry: EntryName, directory: FileId) -> Place | None:
        return self._given.get((entry, directory)) or self._facts.wanted_place(directory)

    def give(self, entry: EntryName, directory: FileId) -> Place:
        """Where an order is to make a directory; if it has begun, that place holds. Raises Stale if it is dead."""
        place = self.put_place(entry, directory)
        if place is None:
            raise Stale("a directory above was removed")
        if (entry, directory) in self._facts.memory.making:
            self._given[entry, directory] = place
        return place


class Placing:
    """Runs in the daemon's nursery. Every method but run() is plain and may be called from any task of the loop.

    `suspect` is told of a Copy that turned out not to be as recorded; whether somebody looks at it, and corrects it.
    """

    def __init__(self, facts: Facts, plugs: Mapping[EntryName, Plug]) -> None:
        self.facts = facts
        self.volume = facts.volume
        self.placements = facts.placements
        self.plugs = plugs
        self.problems: dict[FileId, Problem] = {}
        self.memory = facts.memory
        self.copies = KnownCopies(facts)
        self.events = Events(facts.volume, facts.placements)
        self.intents = Intents(facts.volume, facts.placements, facts.memory, self.copies.put_place)
        self.pace: Pace = unhurried
        self.suspect: Callable[[Copy], bool] = lambda copy: False
        self.velocities: Mapping[EntryName, float] = {}  # what the setup says of how fast entries are to read from
        holders = Holders(facts.placements, lambda: self.plugs, self._suspected, lambda: self.velocities)
        self.fetcher = Fetcher(facts.volume, holders)
        self.bringing = Bringing(facts.volume, self.fetcher, self.copy_changed)
        self.bringing.on_room = self.has_room
        self.held = False  # nobody is asked about and nothing ordered, for a moment
        self._fresh: dict[FileId, str] = {}  # changed in the mount, still being gathered; why
        self._first_fresh_s = self._last_fresh_s = 0.0
        self._to_ask: dict[FileId, str] = {}  # why it changed in the mount, which is to be told as an event; or ""
        self._wake = trio.Event()
        self._progress = trio.Event()
        self._began_s = trio.current_time() - 60
        self._age_walk_s = trio.current_time() + AGE_WALK_S
        self._changed_s: dict[FileId, float] = {}
        self._later = Alarms()
        self._deferred: deque[tuple[float, FileId]] = deque()  # placed on one entry, expected on others
        self._until_durable: deque[tuple[Seq, FileId]] = deque()
        self._waiters: dict[FileId, set[FileId]] = {}
        self._waiting: dict[FileId, frozenset[FileId]] = {}
        self._sweep_after: bytes | None = b""  # where reading the unsettled index goes on; None: all was read
        self._sweep_again = False

    # -- events ------------------------------------------------------------------------------------------------------

    def changed(self, file: FileId, why: str) -> None:
        """A file's content, name or attributes changed in the mount; `why` as its unsettled record says."""
        now_s = trio.current_time()
        self._changed_s[file] = self._last_fresh_s = now_s
        if self.memory.refused:
            self._try_refused_again(file)
        if not self._fresh:
            self._first_fresh_s = now_s
            self._wake.set()
        if why != "attributes" or file not in self._fresh:  # which the kernel may set long after a write or a rename
            self._fresh[file] = why
        if why == "content" and self.volume.content.undurable_bytes >= LARGE_BYTES and self._is_large(file):
            self.ask(file)

    def _is_large(self, file: FileId) -> bool:
        name = self.volume.name(file)
        return name is not None and name.alive and self.volume.peek(name.inode).size >= LARGE_BYTES

    def subtree_changed(self, directory: InodeNumber) -> None:
        """Everything below a directory is to be asked again; its marker is in the catalog."""
        del directory
        self._wake.set()

    def rename_matters(self, old: bytes, new: bytes) -> bool:
        """Whether what is below a directory may belong elsewhere after this rename."""
        return self.facts.rulebook.rename_matters(old, new)

    def ask(self, file: FileId) -> None:
        """Have the Referee look at this file soon."""
        if len(self._to_ask) < MOST_REMEMBERED:
            self._to_ask.setdefault(file, "")
        else:
            self._sweep_again = True
        self._wake.set()

    def copy_changed(self, file: FileId) -> None:
        """A Copy of the file is another than it was, or none, by no order of ours; or its bytes came here."""
        self.ask(file)
        self._ask_waiters(file)

    def _ask_waiters(self, file: FileId) -> None:
        for waiter in self._waiters.get(file, ()):
            self.ask(waiter)

    def dropped(self, entry: EntryName) -> None:
        """An entry's Plug ends; what it was given is not under way any more."""
        self.memory.drop(entry)

    def ask_all(self) -> None:
        """Have the Referee look at every unsettled file, e.g. because an entry came back."""
        self.memory.refused.clear()
        self._sweep_again = True
        self._wake.set()

    def ask_tree(self) -> None:
        """Have the Referee look at every file there is, because the rules changed."""
        self.memory.refused.clear()
        self.volume.catalog.commit({keys.subtree(ROOT_INODE): b""})
        self._wake.set()

    def durable(self, seq: Seq) -> None:
        """History up to `seq` is on disk."""
        while self._until_durable and self._until_durable[0][0] <= seq:
            self.ask(self._until_durable.popleft()[1])

    def has_room(self) -> None:
        """A Plug can take more orders than it could."""
        self._sweep_again = True
        self._wake.set()

    def may_start(self, order: Order) -> bool:
        """A Plug is about to begin with an order: whether it still fits the Copies as they are."""
        if not ledger.fits(order, self.copies):
            return False
        self.intents.note(order)
        self.memory.started(order)
        return True

    def rest_s(self, worked_s: float) -> float:
        """How long a lane of a Plug rests after so much work: as `pace` says now."""
        return self.pace(worked_s)

    def report(self, outcome: Outcome) -> None:
        """A Plug is done with an order."""
        order = outcome.order
        if isinstance(outcome, Done):
            self._record(outcome)
        else:
            self.memory.ended(order)
            changes: Changes = {}
            self.intents.drop(changes, order)
            self._write(changes)
            if outcome.stale and not isinstance(order, Put) and isinstance(outcome.error, Gone | Conflict):
                self._correct_soon(order.copy)
            else:
                if not (outcome.again or outcome.stale):
                    self._refuse(outcome)
                if isinstance(outcome.error, Missing):
                    self._ask_later(order.file, LOOKED_AT_S)
                else:
                    self.ask(order.file)
            for directory in missing_of(order):
                self.ask(directory)
        self._moved_on()

    def _suspected(self, copy: Copy) -> bool:
        return self.suspect(copy)

    def _correct_soon(self, copy: Copy) -> None:
        """What an order was to move or remove is gone, or somebody else's by now."""
        if self.suspect(copy):
            self._ask_later(copy.file, LOOKED_AT_S)
        else:
            self._forget(copy)
            self.ask(copy.file)

    def lost(self, copy: Copy) -> None:
        """A Copy turned out not to be there any more."""
        self._correct(copy.file, removed=(copy,))

    def differs(self, copy: Copy) -> None:
        """A Copy turned out to hold other bytes; it is given with generation 0."""
        self._correct(copy.file, put=(copy,))

    def _forget(self, copy: Copy) -> None:
        """Where nobody looks at what others do, what is not as we know it is no Copy of ours any more.

        Where it was a directory, what we had below it is gone with it.
        """
        if self.placements.get(copy.file, copy.entry) != copy:
            return
        path = self.volume.shown(copy.file)
        log.warning("somebody removed or changed what we had placed", extra={"entry": copy.entry, "path": path})
        gone = [copy]
        for above in gone:  # grows while it is gone through
            if above.kind is Kind.DIRECTORY:
                gone += self.placements.children(copy.entry, above.file)
        for lost in gone:
            self.lost(lost)

    def _correct(self, file: FileId, removed: tuple[Copy, ...] = (), put: tuple[Copy, ...] = ()) -> None:
        changes: Changes = {}
        self.placements.write(changes, removed=removed, put=put)
        self.volume.mark(changes, file, "scrub")
        self.volume.catalog.commit(changes)
        self.copy_changed(file)

    # -- outcomes ------------------------------------------------------------------------------------------------------

    def _record(self, done: Done) -> None:
        order = done.order
        found = ledger.apply(done, self.copies, self.volume.now_ns())
        self.memory.ended(order)
        changes: Changes = {}
        self.intents.drop(changes, order)
        self.placements.write(changes, removed=found.removed, put=found.put)
        for file in found.ask:
            self.volume.mark(changes, file, "placed")
        self.volume.catalog.commit(changes)
        self.events.done(done)
        if done.kept:
            kept = done.kept.decode(errors="backslashreplace")
            path = self.volume.shown(order.file)
            log.warning("kept what was found in the way", extra={"entry": order.entry, "path": path, "as": kept})
        if done.remains and isinstance(order, Delete):
            if order.copy.place.parent == PARKING:  # it was deleted here before it went home, and belongs nowhere
                at, path = shown(self.placements.path(order.entry, order.copy.place)), self.volume.shown(order.file)
                left = {"entry": order.entry, "path": path, "at": at}
                log.warning(
                    "left what others had put in a directory: move it out of there to have it shown", extra=left
                )
            else:
                self.suspect(order.copy)  # with what others have in it
        met = {directory for directory, made in done.made if not made}
        for copy in found.put:
            self.memory.needed.pop((copy.entry, copy.file), None)
            if copy.kind is Kind.DIRECTORY and (isinstance(order, Move) or copy.file in met):
                self.suspect(copy)  # what is in it may have been told by another name of it only, or not at all
        for file in found.ask:
            if file == order.file and self._has_more_coming(file):
                self._defer(file)
            else:
                self.ask(file)
        for copy in (*found.removed, *found.put):
            self._ask_waiters(copy.file)

    def _has_more_coming(self, file: FileId) -> bool:
        """Whether another entry is at work on the file, so that its outcome is worth waiting for before asking."""
        return any((entry, file) in self.memory.ordered for entry in self.plugs)

    def _defer(self, file: FileId) -> None:
        if len(self._deferred) < MOST_REMEMBERED:
            self._deferred.append((trio.current_time() + DEFER_S, file))
        else:
            self._sweep_again = True

    def _refuse(self, failed: Failed) -> None:
        order = failed.order
        self.memory.refused[(order.entry, order.file)] = (order, str(failed.error))
        log.warning(
            "refused for good",
            extra={"entry": order.entry, "path": self.volume.shown(order.file), "why": str(failed.error)},
        )
        self.ask(order.file)

    def _try_refused_again(self, file: FileId) -> None:
        for entry in self.plugs:
            self.memory.refused.pop((entry, file), None)

    # -- the loop ------------------------------------------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Ask and hand out for ever. Raises OSError if the catalog cannot be written."""
        task_status.started()
        while True:
            self._wake = trio.Event()
            self._take_fresh()
            began_s = trio.current_time()
            if not self.held and (self._ask_some() or self._sweep_some() or self._walk_some()):
                await rest(self.pace, trio.current_time() - began_s)
                continue
            with trio.move_on_after(self._next_s()):
                await self._wake.wait()
            self._due()

    def _next_s(self) -> float:
        at_s = trio.current_time() + RETRY_S
        if self._fresh:
            at_s = min(at_s, self._ripe_s())
        at_s = min(at_s, self._later.next_s)
        if self._deferred:
            at_s = min(at_s, self._deferred[0][0])
        return max(0.0, at_s - trio.current_time())

    def _ripe_s(self) -> float:
        """When what was gathered is to be asked about."""
        return min(self._last_fresh_s + GATHER_S, self._first_fresh_s + LONGEST_GATHER_S)

    def _take_fresh(self) -> None:
        if self._fresh and trio.current_time() >= self._ripe_s():
            fresh, self._fresh = self._fresh, {}
            for file, why in fresh.items():
                self.ask(file)
                if file in self._to_ask:
                    self._to_ask[file] = why

    def _due(self) -> None:
        now_s = trio.current_time()
        if now_s >= self._age_walk_s:
            self._age_walk_s = now_s + AGE_WALK_S
            if self.facts.rulebook.looks_at.age:
                self.ask_tree()
        for file in self._later.due(now_s):
            self.ask(file)
        while self._deferred and self._deferred[0][0] <= now_s:
            file = self._deferred.popleft()[1]
            if self.volume.catalog.get(keys.unsettled(file)) is not None:
                self.ask(file)

    def _ask_some(self) -> bool:
        """Ask about a slice of what is waiting; one record for all that became settled."""
        if not self._to_ask:
            return False
        changes: Changes = {}
        for _ in range(min(SLICE, len(self._to_ask))):
            file = next(iter(self._to_ask))
            if why := self._to_ask.pop(file):
                self.events.changed(file, why)
            self._ask_one(changes, file)
        self._write(changes)
        return True

    def _write(self, changes: Changes) -> None:
        if changes:
            self.volume.catalog.commit(changes)
            self._moved_on()

    def _sweep_some(self) -> bool:
        """Ask about a slice of the unsettled index, as far as the Plugs have room for more."""
        if self._sweep_after is None:
            if not self._sweep_again:
                return False
            self._sweep_after, self._sweep_again = b"", False
        if self.plugs and not any(plug.room for plug in self.plugs.values()):
            self._sweep_after, self._sweep_again = None, False  # has_room() begins it anew
            return False
        rows = self.volume.catalog.scan(keys.UNSETTLED, self._sweep_after, SLICE)
        changes: Changes = {}
        for key, _ in rows:
            self._ask_one(changes, FileId(keys.number(key)))
        self._write(changes)
        self._sweep_after = rows[-1][0] if len(rows) == SLICE else None
        return True

    def _walk_some(self) -> bool:
        """Ask about a slice of what is below one marked directory. The marker's value is the last name done."""
        rows = self.volume.catalog.scan(keys.SUBTREE, limit=1)
        if not rows:
            return False
        key, after = rows[0]
        directory = InodeNumber(keys.number(key))
        names = self.volume.list_directory(directory, after, SLICE)
        changes: Changes = {}
        for _, found in names:
            if found.kind is Kind.DIRECTORY:
                changes[keys.subtree(found.inode)] = b""
            if found.kind is not Kind.SPECIAL:
                self._ask_one(changes, found.file)
        changes[key] = names[-1][0] if len(names) == SLICE else None
        self._write(changes)
        return True

    # -- one file ------------------------------------------------------------------------------------------------------

    def _ask_one(self, changes: Changes, file: FileId) -> None:
        """Ask about one file. A bug that one file brings to light keeps that file from its place, and no other."""
        try:
            self._ask(changes, file)
        except OSError:
            raise
        except Exception as bug:
            log.exception("a bug", extra={"path": self.volume.shown(file)})
            self.problems[file] = Problem(f"a bug: {type(bug).__name__}: {bug}; see the log", self.volume.now_ns())

    def _ask(self, changes: Changes, file: FileId) -> None:
        name = self.volume.name(file)
        if name is None or file == ROOT_FILE:
            self._settle(changes, file, gone=True, only_here=False)
            return
        changed_s = self._changed_s.get(file, self._began_s)
        if name.alive:
            inode = self.volume.peek(name.inode)
            if not self.facts.is_durable(file, inode):
                self._wait_until_durable(changes, file, self.facts.made_by(file, inode))
                return
            if self.facts.lacks_type(name.name, inode):
                self._wait_for_type(changes, file, name.name, inode)
                return
            state = self.facts.living(file, name, inode, changed_s)
        else:
            state = self.facts.dead(file, name.kind, changed_s)
        decision = orders_for(state, trio.current_time())
        if name.alive and inode.absent:
            decision = self.bringing.held_back(file, inode, decision)
            self._try_again_later(file)
        self._note(file, decision)
        self._hand_out(file, decision)
        self._wait_for(file, decision)
        older_s = self.facts.next_look_s(file)
        if older_s is not None and older_s <= AGE_WALK_S:
            self._ask_later(file, older_s)
        if decision.wait_s is not None:
            self._ask_later(file, decision.wait_s)
        if decision.settled:
            self._settle(changes, file, gone=decision.gone, only_here=decision.only_here)
        elif self.volume.catalog.get(keys.unsettled(file)) is None:
            self.volume.mark(changes, file, "rules")

    def _wait_until_durable(self, changes: Changes, file: FileId, seq: Seq) -> None:
        if self.volume.catalog.get(keys.unsettled(file)) is None:
            self.volume.mark(changes, file, "rules")
        if len(self._until_durable) < MOST_REMEMBERED:
            self._until_durable.append((seq, file))
        else:
            self._sweep_again = True
        self.volume.catalog.request_barrier()

    def _wait_for_type(self, changes: Changes, file: FileId, name: bytes, inode: Inode) -> None:
        if self.volume.catalog.get(keys.unsettled(file)) is None:
            self.volume.mark(changes, file, "rules")
        problem = self.bringing.need_type(file, name, inode)
        self._note_problems(file, (f"its type cannot be told yet: {problem}",) if problem else ())
        self._try_again_later(file)

    def _try_again_later(self, file: FileId) -> None:
        again_s = self.bringing.next_try_s(file)
        if again_s is not None:
            self._ask_later(file, again_s)

    def _hand_out(self, file: FileId, decision: Decision) -> None:
        orders = {order.entry: order for order in decision.orders}
        ordered = self.memory.ordered
        for entry, plug in self.plugs.items():
            key, order = (entry, file), orders.get(entry)
            if order is None:
                if key in ordered and key not in self.memory.running:
                    del ordered[key]
                    plug.withdraw(file)
            elif ordered.get(key) != order and (key in ordered or plug.room):  # without room, the sweep finds it again
                ordered[key] = order
                plug.submit(order)

    def _wait_for(self, file: FileId, decision: Decision) -> None:
        before, now = self._waiting.get(file, frozenset()), frozenset(decision.waits_for)
        for other in before - now:
            self._waiters[other].discard(file)
            if not self._waiters[other]:
                del self._waiters[other]
        for other in now - before:
            self._waiters.setdefault(other, set()).add(file)
            self.ask(other)
        if now:
            self._waiting[file] = now
        else:
            self._waiting.pop(file, None)
        for key in decision.needs:
            if key not in self.memory.needed:
                self.memory.needed[key] = None
                self.ask(key[1])

    def _ask_later(self, file: FileId, wait_s: float) -> None:
        if len(self._later) < MOST_REMEMBERED:
            self._later.set(file, trio.current_time() + wait_s)
        else:
            self._sweep_again = True

    def _note(self, file: FileId, decision: Decision) -> None:
        """Keep what a person should know; an entry's passing trouble is the Plug's to tell."""
        self._note_problems(file, decision.problems)

    def _note_problems(self, file: FileId, problems: tuple[str, ...]) -> None:
        if not problems:
            self.problems.pop(file, None)
            return
        reason = "; ".join(problems)
        known = self.problems.get(file)
        if known is None or known.reason != reason:
            self.problems[file] = Problem(reason, self.volume.now_ns())

    def _settle(self, changes: Changes, file: FileId, *, gone: bool, only_here: bool) -> None:
        self.volume.settle(changes, file)
        if gone:
            changes[keys.name(file)] = None
        self.volume.note_only_here(changes, file, only_here=only_here and not gone)
        self._changed_s.pop(file, None)

    # -- for those who wait --------------------------------------------------------------------------------------------

    def _moved_on(self) -> None:
        self._progress.set()
        self._progress = trio.Event()

    async def progress(self) -> None:
        """Return when something was placed or settled since the call."""
        await self._progress.wait()

    @property
    def idle(self) -> bool:
        """Whether each entry holds what the rules say, as far as is known."""
        return self.volume.unsettled == 0 and not self.volume.catalog.scan(keys.SUBTREE, limit=1)
