"""The three identities that are never mixed, and the numbers that order history.

All numbers are journal sequence numbers of the record that first named the thing: 64-bit, never 0, never reused, not
even after a power cut dropped the records that used them.
"""

from typing import NewType

InodeNumber = NewType("InodeNumber", int)
"""What the kernel knows a file by. Hard links share one; a remote edit gets a new one. Never reused."""

FileId = NewType("FileId", int)
"""One *name* of a file or directory: survives rename; Copies, history and pending work hang on it."""

ContentId = NewType("ContentId", int)
"""One content file in the content store. 0 where there is none."""

GenerationId = NewType("GenerationId", int)
"""One sealed state of a file's content. Larger is later. 0: nothing sealed yet."""

Seq = NewType("Seq", int)
"""Position of a record in the journal's history."""

EntryName = NewType("EntryName", str)
"""The name a user's setup gives to a configured driver."""

ROOT_INODE = InodeNumber(1)
ROOT_FILE = FileId(1)
PARKING = FileId(2)
"""Stands for an entry's private parking directory in `Place.parent`: where a move waits for a taken name."""
FIRST_FREE = 16
"""The first sequence number that history may use; smaller ones name fixed things."""
