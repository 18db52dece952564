"""A small world around the Referee: programs, entries, and a daemon that keeps to what the docstrings promise.

What survives a restart: the mount, the Copies, the unsettled marks, the entries. All else is memory and is lost.
Events, orders and outcomes come in an order that a seed decides; orders fail now and then.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from random import Random

from onitufs.model.copies import Copy, Place
from onitufs.model.files import Kind
from onitufs.model.ids import PARKING, ROOT_FILE, EntryName, FileId, GenerationId
from onitufs.model.orders import Delete, Move, Order, Put
from onitufs.model.state import Abilities, Decision, EntryView, FileState, Occupant
from onitufs.model.verdicts import Subject, Verdict
from onitufs.referee import ledger
from onitufs.referee.reconcile import SETTLE_S, orders_for
from onitufs.referee.rules import Rulebook

from .mount import Mount, Node
from .remote import PARKED, Prepared, Remote, RemotePath

MEDIA_TYPES = {b"pdf": "application/pdf", b"txt": "text/plain"}
MOST_STEPS = 20_000


class Stuck(AssertionError):
    """Nothing more will happen, and not all is settled; or something happens for ever."""


class Known:
    """The Copies, as ledger.Copies asks for them."""

    def __init__(self, mount: Mount) -> None:
        self.mount = mount
        self.by_file: dict[tuple[FileId, EntryName], Copy] = {}
        self.given: dict[tuple[EntryName, FileId], Place] = {}

    def get(self, file: FileId, entry: EntryName) -> Copy | None:
        return self.by_file.get((file, entry))

    def at(self, entry: EntryName, place: Place) -> Copy | None:
        found = [copy for copy in self.by_file.values() if copy.entry == entry and copy.place == place]
        assert len(found) <= 1, f"two Copies at one place: {found}"
        return found[0] if found else None

    def children(self, entry: EntryName, directory: FileId) -> list[Copy]:
        return [copy for copy in self.by_file.values() if copy.entry == entry and copy.place.parent == directory]

    def put_place(self, entry: EntryName, directory: FileId) -> Place | None:
        return self.given.get((entry, directory)) or (
            self.mount.nodes[directory].place if directory in self.mount.nodes else None
        )

    def of(self, file: FileId) -> dict[EntryName, Copy]:
        return {entry: copy for (each, entry), copy in self.by_file.items() if each == file}

    def path(self, entry: EntryName, place: Place, missing: Iterable[FileId] = ()) -> RemotePath:
        names = [place.name]
        while place.parent not in (ROOT_FILE, PARKING):
            above = self.get(place.parent, entry)
            if above is None:
                assert place.parent in missing
                put = self.put_place(entry, place.parent)
                assert put is not None
                place = put
            else:
                place = above.place
            names.append(place.name)
        return (*(PARKED if place.parent == PARKING else ()), *reversed(names))


class World:
    def __init__(
        self, entries: Iterable[str], rulebook: Rulebook, seed: int, trouble: float = 0.1, haste: float = 0.05
    ) -> None:
        self.mount = Mount()
        self.rulebook = rulebook
        self.remotes = {EntryName(name): Remote() for name in entries}
        self.abilities = Abilities(mode=False, mtime=False, symlinks=True)
        self.copies = Known(self.mount)
        self.unsettled: set[FileId] = set()
        self.tombs: set[FileId] = set()
        self.random = Random(seed)
        self.trouble = trouble  # how often an order fails
        self.haste = haste  # how often a timer is first although something else could happen
        self.now_s = 1000.0
        self.log: list[str] = []
        self.done: list[Order] = []
        self._forget()

    def _forget(self) -> None:
        self.to_ask: set[FileId] = set(self.unsettled)
        self.changed_s: dict[FileId, float] = {}
        self.queued: dict[tuple[EntryName, FileId], Order] = {}
        self.running: list[Prepared] = []
        self.later: set[tuple[float, FileId]] = set()
        self.waiting: dict[FileId, frozenset[FileId]] = {}
        self.needed: set[tuple[EntryName, FileId]] = set()
        self.copies.given.clear()

    # -- what programs do ----------------------------------------------------------------------------------------------

    def touch(self, *nodes: Node) -> None:
        for node in nodes:
            self.unsettled.add(node.file)
            self.to_ask.add(node.file)
            self.changed_s[node.file] = self.now_s
            if node.place is None:
                self.tombs.add(node.file)

    def renamed(self, node: Node, old_path: bytes) -> None:
        self.touch(node)
        if node.kind is Kind.DIRECTORY:
            new = self.mount.path(node.file)
            if self.rulebook.rename_matters(old_path, new) or old_path.count(b"/") != new.count(b"/"):
                for each in self.mount.below(node.file):
                    self.unsettled.add(each.file)
                    self.to_ask.add(each.file)

    def use(self, rulebook: Rulebook) -> None:
        self.rulebook = rulebook
        for node in self.mount.living():
            self.unsettled.add(node.file)
            self.to_ask.add(node.file)

    def restart(self) -> None:
        """Running orders were carried out and recorded, or not at all; what waited is forgotten."""
        for prepared in self.running:
            if self.random.random() < 0.5:
                self._land(prepared)
        self._forget()

    # -- what the daemon does ------------------------------------------------------------------------------------------

    def work(self, steps: int) -> None:
        for _ in range(steps):
            if not self.step():
                return

    def finish(self) -> None:
        """Go on until nothing is left to do, without any more trouble. Raises Stuck."""
        self.trouble = 0.0
        for _ in range(MOST_STEPS):
            if not self.step():
                break
        else:
            raise Stuck("it never ends")
        if self.unsettled or self.tombs:
            left = sorted(self.unsettled | self.tombs)
            raise Stuck(f"left over: {[(file, self.mount.nodes[file], self.decide(file)) for file in left]}")

    def step(self) -> bool:
        choices = []
        if self.to_ask:
            choices += [self._ask] * 3
        if self.queued:
            choices += [self._start] * 2
        if self.running:
            choices += [self._end] * 2
        undurable = [node for node in self.mount.nodes.values() if not node.durable]
        if undurable:
            choices.append(lambda: self._make_durable(undurable))
        if self.later and (not choices or self.random.random() < self.haste):
            choices = [self._time]
        if not choices:
            return False
        self.random.choice(choices)()
        return True

    def _pick(self, items: Iterable[object]) -> object:
        return self.random.choice(sorted(items, key=repr))

    def _make_durable(self, nodes: list[Node]) -> None:
        node = self.random.choice(nodes)
        node.durable = True
        self.to_ask.add(node.file)

    def _time(self) -> None:
        due = min(self.later)
        self.now_s = max(self.now_s, due[0])
        for entry in [each for each in self.later if each[0] <= self.now_s]:
            self.later.discard(entry)
            self.to_ask.add(entry[1])

    def decide(self, file: FileId) -> Decision:
        return orders_for(self.state(file), self.now_s)

    def _ask(self) -> None:
        file = self._pick(self.to_ask)
        assert isinstance(file, int)
        self.to_ask.discard(file)
        if file not in self.mount.nodes:
            self.unsettled.discard(file)
            return
        state = self.state(file)
        decision = orders_for(state, self.now_s)
        self.check(state, decision)
        orders = {order.entry: order for order in decision.orders}
        for entry in self.remotes:
            if entry in orders:
                self.queued[entry, file] = orders[entry]
            else:
                self.queued.pop((entry, file), None)
        before, now = self.waiting.get(file, frozenset()), frozenset(decision.waits_for)
        self.waiting[file] = now
        self.to_ask |= now - before
        for key in decision.needs:
            if key not in self.needed:
                self.needed.add(key)
                self.to_ask.add(key[1])
        if decision.wait_s is not None:
            self.later.add((self.now_s + decision.wait_s, file))
        if decision.settled:
            self.unsettled.discard(file)
        else:
            self.unsettled.add(file)
        if decision.gone:
            self.tombs.discard(file)
            del self.mount.nodes[file]

    def check(self, state: FileState, decision: Decision) -> None:
        """What must hold of every decision, whatever comes later."""
        entries = [order.entry for order in decision.orders]
        assert len(entries) == len(set(entries)), "two orders for one entry"
        assert all(order.file == state.file for order in decision.orders)
        for order in decision.orders:
            if isinstance(order, Move | Delete):
                rested_s = self.now_s - self.changed_s.get(state.file, float("-inf"))
                assert rested_s >= SETTLE_S, "moved or deleted before the name had rested"
            if isinstance(order, Delete) and state.alive and state.kind is Kind.FILE and order.copy.generation:
                verdict = self.verdict(self.mount.nodes[state.file])
                held = [entry for entry in verdict.targets if self.holds(state, entry)]
                enough = min(len(verdict.targets), verdict.copies or len(verdict.targets))
                assert len(held) >= enough, "the last good copy would go"

    def holds(self, state: FileState, entry: EntryName) -> bool:
        copy = self.copies.get(state.file, entry)
        return copy is not None and copy.generation == state.generation

    def _start(self) -> None:
        entry, file = self._pick(self.queued)  # type: ignore[misc]
        if any(prepared.order.entry == entry and prepared.order.file == file for prepared in self.running):
            return
        order = self.queued[entry, file]
        if not ledger.fits(order, self.copies):
            del self.queued[entry, file]
            self.to_ask.add(file)
            return
        missing = order.missing if isinstance(order, Put | Move) else ()
        missing = tuple(each for each in missing if self.copies.get(each, entry) is None)
        given = {each: place for each in missing if (place := self.copies.put_place(entry, each)) is not None}
        before = order.had if isinstance(order, Put) else order.copy
        prepared = Prepared(
            order=order,
            place=self.copies.path(entry, order.place, missing) if isinstance(order, Put | Move) else (),
            source=() if before is None else self.copies.path(entry, before.place),
            missing=[(each, self.copies.path(entry, place, missing)) for each, place in given.items()],
        )
        if any(_clash(prepared, other) for other in self.running if other.order.entry == entry):
            return
        del self.queued[entry, file]
        for each, place in given.items():
            self.copies.given[entry, each] = place
        self.running.append(prepared)

    def _end(self) -> None:
        prepared = self.random.choice(self.running)
        self.running.remove(prepared)
        kept = {(other.order.entry, each) for other in self.running for each, _ in other.missing}
        ended = [key for key in self.copies.given if key not in kept]
        if self.random.random() < self.trouble:
            self.queued.setdefault((prepared.order.entry, prepared.order.file), prepared.order)  # the Plug tries again
            self.to_ask |= {prepared.order.file, *(file for file, _ in prepared.missing)}
        else:
            self._land(prepared)
        for key in ended:
            del self.copies.given[key]

    def _land(self, prepared: Prepared) -> None:
        order = prepared.order
        content = b""
        if isinstance(order, Put):
            content = b"-> " + order.target if order.kind is Kind.SYMLINK else b"%d" % order.generation
        self.log.append(f"{order} by {prepared.source} {prepared.place} {prepared.missing}")
        outcome = self.remotes[order.entry].carry_out(prepared, content)
        changes = ledger.apply(outcome, self.copies)
        self.done.append(order)
        for copy in changes.removed:
            del self.copies.by_file[copy.file, copy.entry]
        for copy in changes.put:
            self.copies.by_file[copy.file, copy.entry] = copy
            self.needed.discard((copy.entry, copy.file))
        self.unsettled |= set(changes.ask)
        self.to_ask |= set(changes.ask)
        changed = {copy.file for copy in (*changes.removed, *changes.put)}
        self.to_ask |= {file for file, files in self.waiting.items() if files & changed}

    # -- what the Referee is told --------------------------------------------------------------------------------------

    def verdict(self, node: Node) -> Verdict:
        path = self.mount.path(node.file)
        media_type = MEDIA_TYPES.get(path.rpartition(b".")[2]) if node.kind is Kind.FILE else None
        return self.rulebook.decide(Subject(path=path, kind=node.kind, size=len(node.content), media_type=media_type))

    def state(self, file: FileId) -> FileState:
        node = self.mount.nodes[file]
        copies = self.copies.of(file)
        verdict = self.verdict(node) if node.place is not None else None
        running = {prepared.order.entry for prepared in self.running if prepared.concerns(file)}
        entries = dict.fromkeys([*(verdict.targets if verdict else ()), *copies, *sorted(running)])
        views = {entry: self._view(node, entry, copies.get(entry)) for entry in entries}
        for entry in running:
            views[entry] = replace(views[entry], running=True)
        needed = [entry for entry, each in self.needed if each == file]
        for entry in needed:
            views[entry] = replace(views.get(entry) or self._view(node, entry, copies.get(entry)), needed=True)
        return FileState(
            file=file,
            kind=node.kind,
            alive=node.place is not None,
            generation=GenerationId(node.generation),
            durable=node.durable,
            size=len(node.content),
            target=node.target,
            place=node.place,
            depth=len(list(self.mount.above(file))),
            changed_s=self.changed_s.get(file, float("-inf")),
            verdict=verdict,
            views=views,
        )

    def _view(self, node: Node, entry: EntryName, copy: Copy | None) -> EntryView:
        child = next((each.file for each in self.copies.children(entry, node.file)), None)
        view = EntryView(entry=entry, abilities=self.abilities, copy=copy, child=child)
        if node.place is None or (copy is not None and copy.place == node.place):
            return view
        at, missing = node.place, []
        while at.parent != ROOT_FILE and self.copies.get(at.parent, entry) is None:
            missing.append(at.parent)
            above = self.mount.nodes[at.parent].place
            assert above is not None
            at = above
        view = replace(view, missing=tuple(reversed(missing)))
        there = self.copies.at(entry, at)
        if there is not None:
            view = replace(view, occupant=Occupant(copy=there, alive=self.mount.is_alive(there.file)))
        if copy is None:
            return view
        if node.kind is Kind.DIRECTORY:
            view = replace(view, below_itself=self._below(entry, at.parent, node.file))
        return replace(view, in_the_way=self._in_the_way(node, copy))

    def _in_the_way(self, node: Node, copy: Copy) -> bool:
        if copy.place.parent == PARKING:
            return False
        if not self.mount.is_alive(copy.place.parent):
            return True
        there = self.mount.at(copy.place)
        return there is not None and there is not node

    def _below(self, entry: EntryName, parent: FileId, file: FileId) -> tuple[FileId, ...]:
        found: list[FileId] = []
        while parent not in (ROOT_FILE, PARKING):
            if parent == file:
                return tuple(found)
            found.append(parent)
            copy = self.copies.get(parent, entry)
            assert copy is not None
            parent = copy.place.parent
        return ()


def _clash(a: Prepared, b: Prepared) -> bool:
    """Whether one works on a path at or above one that the other works on. Making a directory may be shared."""
    for file, path in a.makes():  # one directory at two places, or two at one
        if any((file == other) != (path == elsewhere) for other, elsewhere in b.makes()):
            return True
    made_a, made_b = {path for _, path in a.missing}, {path for _, path in b.missing}
    pairs = [(x, y) for x in a.touches() | made_a for y in b.touches() | made_b]
    for x, y in pairs:
        if x in made_a and y in made_b:
            continue
        if x == y or (x == y[: len(x)] and x not in made_a) or (y == x[: len(y)] and y not in made_b):
            return True
    return False
