"""Somebody else works in the same place all the time, between any two calls of ours: nothing of theirs is lost."""

from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from onitufs.drivers.memory.service import Node
from onitufs.model.files import Kind
from onitufs.model.orders import Failed, Put

NAMES = [b"a", b"b", b"c.txt"]


class Somebody:
    """Writes, renames and deletes its own files; changes ours. `theirs`: contents that it did not destroy itself."""

    def __init__(self, service, random):
        self.service = service
        self.random = random
        self.theirs: set[bytes] = set()
        self.count = 0
        self.busy = True

    async def __call__(self, what, path):
        if self.busy and self.random.random() < 0.3:
            self.act()

    def act(self):
        nodes = self.service.nodes
        directory = self.random.choice([(), (b"d",)])
        if directory not in nodes:
            return
        path = (*directory, self.random.choice(NAMES))
        old = nodes.get(path)
        match self.random.randrange(4):
            case 0 | 1:
                self.forget(old)
                self.count += 1
                content = b"theirs %04d" % self.count
                self.theirs.add(content)
                nodes[path] = Node(Kind.FILE, self.service.new_rev(), content)
            case 2 if old is not None:
                self.forget(old)
                del nodes[path]
            case 3 if old is not None:
                to = (*path[:-1], self.random.choice(NAMES))
                if to != path:
                    self.forget(nodes.get(to))
                    nodes[to] = nodes.pop(path)

    def forget(self, node):
        if node is not None:
            self.theirs.discard(node.data)


async def play(world, seed):
    random = Random(seed)
    somebody = Somebody(world.service, random)
    plug = world.plug()
    folder = world.new_directory(b"d")

    def lost(outcome):
        """What the daemon does: an object that is no longer the Copy's is no Copy."""
        if isinstance(outcome, Failed) and outcome.stale and not isinstance(outcome.order, Put):
            world.copies.pop(outcome.order.file, None)

    world.on_report = lost
    async with world.running(plug):
        world.service.hook = somebody
        files = []
        for number in range(40):
            parent = random.choice([1, folder])
            name = random.choice(NAMES)
            placed = [file for file in files if file in world.copies and not plug.pending(file)]
            taken = {world.copies[file].place for file in files if file in world.copies}
            match random.randrange(5):
                case 0 | 1:
                    order = world.put(name, b"ours   %04d" % number, parent=parent)
                    if order.place not in taken:
                        files.append(order.file)
                        plug.submit(order)
                case 2 if placed:
                    file = random.choice(placed)
                    place = world.copies[file].place
                    plug.submit(world.put(place.name, b"ours   %04d" % number, parent=place.parent, file=file))
                case 3 if placed:
                    order = world.move(random.choice(placed), name, parent=parent)
                    if order.place not in taken:
                        plug.submit(order)
                case 4 if placed:
                    plug.submit(world.delete(random.choice(placed)))
            if random.random() < 0.7:
                await trio.sleep(random.random() * 5)
        await trio.sleep(10_000)
        somebody.busy = False
        assert len(plug) == 0
        assert plug.health.state == "up", plug.health.message
    there = set(world.files().values())
    assert somebody.theirs <= there
    for file, copy in world.copies.items():
        if copy.kind is Kind.FILE and (node := world.service.nodes.get(world.path_of(copy.place))) is not None:
            assert node.rev != copy.rev or node.data == world.contents[file]
    assert not [content for content in world.service.trash if content in somebody.theirs]


@settings(deadline=None)
@given(seed=st.integers(0, 2**32))
def test_nothing_foreign_is_lost(memory_world_class, seed):
    with TemporaryDirectory() as directory:
        world = memory_world_class(Path(directory))
        world.patience_s = 100_000.0
        trio.run(play, world, seed, clock=trio.testing.MockClock(autojump_threshold=0))
