"""Letting go of bytes that entries hold as well. Who may say so, and of which file, is the daemon's to know."""

from onitufs.content.usage import cost
from onitufs.model.files import Inode, Kind
from onitufs.model.ids import GenerationId, InodeNumber

from .absence import Absence
from .arrivals import blocks_of

USED_REMEMBERED = 100_000


class Evicting(Absence):
    """A Tree whose files can become absent again. Plain methods; nothing waits."""

    _used_s: dict[InodeNumber, float]

    def note_use(self, number: InodeNumber, now_s: float) -> None:
        """A program has closed the file. `now_s`: monotonic."""
        self._used_s.pop(number, None)  # so that the latest are last
        self._used_s[number] = now_s
        if len(self._used_s) > USED_REMEMBERED:
            del self._used_s[next(iter(self._used_s))]

    def rank(self, inode: Inode) -> tuple[float, int]:
        """The smaller, the longer it was not used. Of what was not used in this run, when it was made or changed."""
        return self._used_s.get(inode.number, 0.0), inode.ctime_ns

    def why_not_evictable(self, inode: Inode) -> str:
        """Why its bytes have to stay for now, whoever else has them; "" if they need not."""
        if inode.kind is not Kind.FILE or not inode.size:
            return "it has no bytes"
        if inode.absent:
            return "its bytes are not here"
        if self._is_open(inode.number):
            return "a program has it open"
        if not inode.generation or inode.incomplete or inode.size != inode.sealed_size:
            return "it is not saved as a whole"
        if self.is_hot(inode.number) or not inode.files:
            return "it was written just now"
        if self.catalog.durable_seq < max(inode.generation, self.arrived_seq(inode.number)):
            return "it is not yet safe on this disk"
        return "it is being read" if self.content.readers(inode.content) else ""

    def is_hot(self, number: InodeNumber) -> bool:
        """Whether bytes under its sealed generation may have been changed lately."""
        raise NotImplementedError

    def evict(self, number: InodeNumber, generation: GenerationId, media_type: str) -> int:
        """Some entry certainly holds this generation: let go of its bytes here. Returns how many.

        One record says that they are absent; they are unlinked once that is on disk (D6). `media_type`: what they are,
        for the rules. The file must be evictable. Raises OSError; then nothing has changed.
        """
        inode = self.inode(number)
        assert inode.generation == generation
        assert not self.why_not_evictable(inode)
        content, freed = inode.content, cost(inode.size, inode.blocks)
        inode.content, inode.absent, inode.blocks = type(content)(0), True, blocks_of(inode.size)
        inode.media_type = media_type
        self._commit({}, inode)
        self._let_go(content)
        self.absences += 1
        return freed
