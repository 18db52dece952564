"""Listing a directory while it changes: nothing that stays is missed or given twice."""

import os
from itertools import islice
from pathlib import Path

from .calls import Directory
from .mounted import Mounted

MANY = 3000


def _fill(place: Path, count: int = MANY) -> list[bytes]:
    names = [b"%05d" % number for number in range(count)]
    for name in names:
        os.mknod(os.fsencode(place) + b"/" + name)
    return names


def test_names_removed_and_added_meanwhile(place: Path) -> None:
    names = _fill(place)
    above = os.fsencode(place) + b"/"
    directory = Directory(place)
    seen = list(islice(directory.rest(), MANY // 3))
    removed = set(names[1::3])
    for name in removed:
        os.unlink(above + name)
    for number in range(MANY // 3):
        os.mknod(above + b"new %05d" % number)
        os.mknod(above + b"00000 %05d" % number)
    seen += directory.rest()
    directory.close()
    assert len(seen) == len(set(seen)), "given twice"
    assert set(names) - removed <= set(seen), "missed"


def test_removing_each_name_as_it_is_read(place: Path) -> None:
    names = _fill(place)
    directory = Directory(place)
    for name in directory.rest():
        if name not in (b".", b".."):
            os.unlink(os.fsencode(place) + b"/" + name)
            names.remove(name)
    directory.close()
    assert names == []
    assert os.listdir(place) == []


def test_going_back_to_a_cookie(place: Path) -> None:
    names = _fill(place, 500)
    directory = Directory(place)
    order, cookies = [], []
    for name in directory.rest():
        order.append(name)
        cookies.append(directory.tell())
    for name in names[::7]:
        os.unlink(os.fsencode(place) + b"/" + name)
    left = set(os.listdir(os.fsencode(place))) | {b".", b".."}
    for index in (0, 1, 2, 250, 499, 400, 10):
        directory.seek(cookies[index])
        assert [n for n in directory.rest() if n in left] == [n for n in order[index + 1 :] if n in left]
    directory.close()


def test_rewinding_shows_the_present(place: Path) -> None:
    _fill(place, 300)
    directory = Directory(place)
    assert len(list(directory.rest())) == 302
    os.unlink(place / "00007")
    os.mknod(place / "new")
    directory.rewind()
    assert set(directory.rest()) == set(os.listdir(os.fsencode(place))) | {b".", b".."}
    directory.close()


def test_two_listings_of_one_directory_do_not_disturb_each_other(place: Path) -> None:
    _fill(place, 700)
    one, other = Directory(place), Directory(place)
    first = list(islice(one.rest(), 100))
    assert len(list(other.rest())) == 702
    first += one.rest()
    assert len(first) == len(set(first)) == 702
    one.close()
    other.close()


def test_types_and_numbers_agree_with_stat(place: Path) -> None:
    (place / "file").touch()
    (place / "directory").mkdir()
    os.symlink("file", place / "link")
    os.mkfifo(place / "fifo")
    for entry in os.scandir(place):
        assert entry.inode() == os.lstat(entry.path).st_ino
        assert entry.is_symlink() == (entry.name == "link")
        assert entry.is_dir() == (entry.name == "directory")
        assert entry.is_file(follow_symlinks=False) == (entry.name == "file")


def test_each_name_given_counts_as_one_lookup_and_is_given_back(mounted: Mounted, here: Path) -> None:
    """If a name that did not fit into the reply were counted, its inode would never be forgotten."""
    _fill(here, 400)
    numbers = {entry.inode() for entry in os.scandir(here)}
    assert list(os.scandir(here))
    for entry in os.scandir(here):
        os.unlink(entry.path)
    for number in numbers:
        mounted.call("forgotten", number=number)


def test_each_name_given_is_counted(mounted: Mounted, here: Path) -> None:
    """If it were not, its inode would be forgotten while the kernel still knows it."""
    _fill(here, 3)
    numbers = [entry.inode() for entry in os.scandir(here)]
    before = [mounted.call("lookups", number=number) for number in numbers]
    os.listdir(here)
    assert [mounted.call("lookups", number=number) for number in numbers] == [count + 1 for count in before]


def test_open_directories_are_let_go(mounted: Mounted, here: Path) -> None:
    before = mounted.call("listings")
    directories = [Directory(here) for _ in range(5)]
    assert mounted.call("listings") == before + 5
    for directory in directories:
        directory.close()
    mounted.call("listings_closed", at_most=before)
