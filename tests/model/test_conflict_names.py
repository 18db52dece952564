"""Names of conflicted copies: made as sync users know them, and read back."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onitufs.model.conflict_names import conflict_name, read_conflict_name

DAY = date(2001, 9, 9)
names = st.binary(min_size=1, max_size=255).filter(lambda name: b"/" not in name and b"\0" not in name)
entries = st.text(st.characters(exclude_categories=("C",)), min_size=1, max_size=100).filter(
    lambda name: "/" not in name and name == name.strip() and "(conflicted copy from" not in name
)


@pytest.mark.parametrize(
    ("name", "entry", "number", "expected"),
    [
        (b"a.txt", "disk", 1, b"a (conflicted copy from disk 2001-09-09).txt"),
        (b"a.txt", "disk", 2, b"a (conflicted copy from disk 2001-09-09 2).txt"),
        (b"Makefile", "disk", 1, b"Makefile (conflicted copy from disk 2001-09-09)"),
        (b".bashrc", "disk", 1, b".bashrc (conflicted copy from disk 2001-09-09)"),
        (b"a.tar.gz", "disk", 1, b"a.tar (conflicted copy from disk 2001-09-09).gz"),
        (b"a", "my/nas", 1, b"a (conflicted copy from my-nas 2001-09-09)"),
        (b"v1. The beginning", "nas", 1, b"v1. The beginning (conflicted copy from nas 2001-09-09)"),
        (b"v1.Theverybeginningoff", "nas", 1, b"v1.Theverybeginningoff (conflicted copy from nas 2001-09-09)"),
        (b"\xff.txt", "disk", 1, b"\xff (conflicted copy from disk 2001-09-09).txt"),
    ],
)
def test_how_they_look(name: bytes, entry: str, number: int, expected: bytes) -> None:
    assert conflict_name(name, entry, DAY, number) == expected
    assert read_conflict_name(expected) == (name, entry.replace("/", "-"))


@given(names, entries, st.integers(1, 99))
def test_what_fits_is_read_back(name: bytes, entry: str, number: int) -> None:
    made = conflict_name(name, entry, DAY, number)
    assert len(made) <= 255
    read = read_conflict_name(made)
    assert read is not None
    if len(name) < 130:
        assert read[0] == name
    if len(entry.encode()) <= 64:
        assert read[1] == entry


@pytest.mark.parametrize("name", [b"n" * 255, b"n" * 250 + b".txt", "ö".encode() * 127, b"\xff" * 255])
@pytest.mark.parametrize("entry", ["disk", "e" * 300, "ö" * 60])
def test_long_names_stay_apart(name: bytes, entry: str) -> None:
    made = [conflict_name(name, entry, DAY, number) for number in range(1, 100)]
    assert len(set(made)) == 99
    assert max(len(one) for one in made) <= 255


def test_a_cut_name_is_still_text() -> None:
    assert conflict_name("ö".encode() * 127, "disk", DAY).decode()


@given(names, entries, entries)
def test_a_conflict_about_a_conflicted_copy_names_the_last_one(name: bytes, first: str, second: str) -> None:
    once = conflict_name(name[:60], first[:10].strip() or "x", DAY)
    assert read_conflict_name(conflict_name(once, second[:10].strip() or "y", DAY)) == (
        once,
        second[:10].strip() or "y",
    )


@pytest.mark.parametrize(
    "name",
    [
        b"a.txt",
        b"a (conflicted copy from disk).txt",
        b"a (conflicted copy from 2001-09-09).txt",
        b" (conflicted copy from disk 2001-09-09).txt",
        b"a (conflicted copy from disk 2001-09-09 0).txt",
        b"a (conflicted copy from disk 2001-09-09).a.b",
        b"a (copy from disk 2001-09-09).txt",
    ],
)
def test_other_names_are_none(name: bytes) -> None:
    assert read_conflict_name(name) is None
