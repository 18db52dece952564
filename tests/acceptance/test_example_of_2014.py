"""The setup that Onitu shipped with in 2014 does what it says, unchanged: relative roots, `mime` as a list."""

import json
from pathlib import Path

from .conftest import Maker
from .trees import files

SETUP = """
{
  "name": "example",
  "entries": {
    "A": {"driver": "local_storage", "options": {"root": "example/driver_a"}},
    "B": {"driver": "local_storage", "options": {"root": "example/driver_b"}}
  },
  "rules": [
    {"match": {"path": "/"}, "sync": ["A"]},
    {"match": {"path": "/backedup/", "mime": ["application/pdf"]}, "sync": ["B"]}
  ]
}
"""
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"


def test_every_file_goes_to_a_and_pdfs_in_backedup_to_b_as_well(new_onitu: Maker) -> None:
    onitu = new_onitu(entries=())
    onitu.setup.write_text(SETUP)
    a, b = onitu.base / "example/driver_a", onitu.base / "example/driver_b"
    a.mkdir(parents=True)
    b.mkdir()
    onitu.mount()
    (onitu.mnt / "backedup/2014").mkdir(parents=True)
    saved = {
        "note.txt": b"a note\n",
        "letter.pdf": PDF,
        "backedup/list.txt": b"a list\n",
        "backedup/2014/thesis.pdf": PDF,
    }
    for path, content in saved.items():
        (onitu.mnt / path).write_bytes(content)
    onitu.wait()

    def held(root: Path) -> dict[str, bytes]:
        return {path.decode(): (root / path.decode()).read_bytes() for path in files(root)}

    assert held(a) == saved
    assert held(b) == {"backedup/2014/thesis.pdf": PDF}

    where = json.loads(onitu.ok("whereis", onitu.mnt / "backedup/2014/thesis.pdf", "--json"))
    assert where["v"] == 1
    assert where["state"] == "placed"
    assert sorted(where["wanted"]) == ["A", "B"]
    assert {copy["entry"]: copy["state"] for copy in where["copies"]} == {"A": "current", "B": "current"}

    why = json.loads(onitu.ok("explain", onitu.mnt / "backedup/new.pdf", "--json"))
    assert why["exists"] is False
    assert sorted(why["targets"]) == ["A", "B"]
    assert [reason["source"] for reason in why["reasons"] if reason["added"]] == ["rules[0]", "rules[1]"]
    other = json.loads(onitu.ok("explain", onitu.mnt / "backedup/new.pdf", "--mime", "text/plain", "--json"))
    assert other["targets"] == ["A"]


def test_a_file_that_is_moved_across_a_rule_follows_it(new_onitu: Maker) -> None:
    """Into /backedup/: it comes to B. Out again: it leaves B, and A has it under its new name only."""
    onitu = new_onitu(entries=())
    onitu.setup.write_text(SETUP)
    a, b = onitu.base / "example/driver_a", onitu.base / "example/driver_b"
    a.mkdir(parents=True)
    b.mkdir()
    onitu.mount()
    (onitu.mnt / "backedup").mkdir()
    (onitu.mnt / "x.pdf").write_bytes(PDF)
    onitu.wait()
    assert (set(files(a)), set(files(b))) == ({b"x.pdf"}, set())
    (onitu.mnt / "x.pdf").rename(onitu.mnt / "backedup/y.pdf")
    onitu.wait()
    assert (set(files(a)), set(files(b))) == ({b"backedup/y.pdf"}, {b"backedup/y.pdf"})
    (onitu.mnt / "backedup").rename(onitu.mnt / "shelved")
    onitu.wait()
    assert (set(files(a)), set(files(b))) == ({b"shelved/y.pdf"}, set())
