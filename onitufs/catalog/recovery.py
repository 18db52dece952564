"""What a start may believe of the journal that it finds (rule D8 of docs/durability.md)."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgpack

from . import keys
from .journal import RecordKind, Segment


@dataclass(slots=True, kw_only=True)
class Recovered:
    """The outcome of a replay. `changes`: last value of each key that is to be folded, None where it was deleted."""

    changes: dict[bytes, bytes | None] = field(default_factory=dict)
    dropped_hot: dict[bytes, bytes] = field(default_factory=dict)  # marks in records that are dropped
    last_seq: int = 0  # of the last record that counts
    seen_seq: int = 0  # above this, no number was ever used by a record that we can see
    dropped: int = 0  # records lost to a power cut
    content: dict[int, bytes] = field(default_factory=dict)  # content files that lie in the journal, whole


def replay(segments: Iterable[Segment], boot_id: str, folded_seq: int) -> Recovered:
    """Read `segments` (by id) and decide. Each is judged by its own boot id.

    Written in this boot: the daemon was killed, the page cache was not, so every valid record counts. Written in
    another: there may have been a power cut, so only what the last valid B(S) vouches for counts, and of the rest only
    the hot marks; and content that it vouches for may lie in the journal alone. History has no gaps: behind the first
    record that is missing nothing is believed.
    """
    found = Recovered(last_seq=folded_seq, seen_seq=folded_seq)
    transactions: list[tuple[int, bool, bool, bytes]] = []
    reached = folded_seq
    vouched = folded_seq
    carried: list[tuple[int, bytes]] = []
    carried_from = carried_to = 0  # what the last B(S) vouches for
    for segment in segments:
        if not segment.first_seq:
            continue
        found.seen_seq = max(found.seen_seq, segment.first_seq)
        if segment.first_seq > reached + 1:
            break
        ours = segment.boot_id == boot_id
        for record in segment.records():
            if record.kind in (RecordKind.BARRIER, RecordKind.SETTLED):
                vouched = max(vouched, int.from_bytes(record.payload, "little"))
                carried_to = len(carried)
                if record.kind == RecordKind.SETTLED:
                    carried_from = carried_to
            elif record.kind == RecordKind.CONTENT:
                if record.seq > folded_seq and not ours:
                    carried.append((int.from_bytes(record.payload[:8], "little"), record.payload[8:]))
            elif record.seq > reached:
                transactions.append((record.seq, ours, record.kind == RecordKind.HOT, record.payload))
            reached = max(reached, record.seq)
    found.seen_seq = max(found.seen_seq, reached)
    found.content.update(carried[carried_from:carried_to])
    for seq, ours, hot, payload in transactions:
        changes = msgpack.unpackb(payload, strict_map_key=False)
        if not found.dropped and (ours or seq <= vouched):
            found.changes.update(changes)
            found.last_seq = seq
            continue
        found.dropped += 1
        if hot:
            # Several may be dropped, of one inode and different contents, and one that is kept: so of any content.
            found.dropped_hot.update((k, keys.ANY_CONTENT) for k, v in changes.items() if k[:1] == keys.HOT and v)
    return found
