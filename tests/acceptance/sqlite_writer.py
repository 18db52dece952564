"""Commits row after row until it is killed, printing each that is in: `sqlite_writer.py DATABASE JOURNAL_MODE`."""

import sqlite3
import sys

database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute(f"PRAGMA journal_mode={sys.argv[2]}")
database.execute("PRAGMA synchronous=FULL")
database.execute("CREATE TABLE IF NOT EXISTS rows (n INTEGER PRIMARY KEY, filling BLOB)")
first = database.execute("SELECT coalesce(max(n), 0) FROM rows").fetchone()[0] + 1
for n in range(first, first + 100_000):
    database.execute("BEGIN IMMEDIATE")
    database.execute("INSERT INTO rows VALUES (?, zeroblob(3000))", (n,))
    database.execute("COMMIT")
    print(n, flush=True)
