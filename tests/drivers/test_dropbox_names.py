"""Names as programs use them, and as Dropbox keeps them: there and back, and never two as one."""

import unicodedata

import pytest
from dropbox import files
from hypothesis import example, given, settings
from hypothesis import strategies as st

from onitufs.drivers.conformance.naming import AWKWARD
from onitufs.drivers.dropbox import names
from onitufs.drivers.dropbox.tree import is_left_out
from tests.dropbox_emulator import names as service

LETTERS = "aA. ~\\\x7f\x01%éÉ\u0301İıſKßẞςσΣǅ\u2800\u2820\u2865\uf900\U0001f600"
TEXTS = st.text(alphabet=st.sampled_from(LETTERS) | st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
NAMES = (
    (TEXTS.map(str.encode) | st.binary(min_size=1, max_size=60) | st.sampled_from(AWKWARD))
    .map(lambda name: name[:255])
    .filter(lambda name: not set(name) & {0, 0x2F} and name not in (b".", b".."))
)
THEIRS = TEXTS.filter(lambda text: "/" not in text and "\0" not in text and text not in (".", "..")).map(
    lambda text: unicodedata.normalize("NFC", text)
)


@settings(max_examples=400, deadline=None)
@given(NAMES)
@example(b"\xff" * 255)
@example(b"desktop.ini")
@example(b"Icon\r")
@example(b".Onitufs")
@example("\u2820".encode())
@example("ß\uf900".encode())  # both are replaced in any case, and nothing is left that folds
def test_every_spelling_is_one_that_dropbox_takes_and_reads_as_the_name(name: bytes) -> None:
    found = names.spellings(name)
    assert found[0] == names.plain(name)
    for spelling in found[:2]:
        service.check(spelling)  # raises what Dropbox refuses
        assert unicodedata.normalize("NFC", spelling) == spelling
    for spelling in (names.plain(name), names.apart(name)):
        assert names.read(spelling) == name


@st.composite
def pairs(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Two names, most of them of the same letters in another case."""
    text = draw(TEXTS)
    other = "".join(draw(st.sampled_from([letter, letter.upper(), letter.lower()])) for letter in text)
    one, two = text.encode(), draw(st.just(other.encode()) | NAMES)
    return tuple(name[:255].replace(b"\0", b"0").replace(b"/", b"|") for name in (one, two))  # type: ignore[return-value]


@settings(max_examples=600, deadline=None)
@given(pairs())
@example((b"Case", b"case"))
@example((b"case", b"CASE"))
@example(("\u017f".encode(), b"s"))
@example(("\u212a".encode(), b"k"))
@example((b"e\xcc\x81", b"\xc3\xa9"))
@example(("ßa\uf900".encode(), "ßA\uf900".encode()))
def test_two_names_that_dropbox_takes_for_one_can_stand_apart(both: tuple[bytes, bytes]) -> None:
    one, other = both
    if one != other:
        assert service.fold(names.apart(one)) != service.fold(names.apart(other))
        if service.fold(names.plain(one)) == service.fold(names.plain(other)):
            assert service.fold(names.plain(one)) != service.fold(names.apart(other))


@settings(max_examples=400, deadline=None)
@given(THEIRS)
@example("\u2801\u2803")  # Braille
@example("\u2841dam")
@example("a\u282fb")  # would be a/b
@example("\u282e\u282e")  # would be ..
@example("\u2800")
def test_what_others_called_so_is_found_by_the_name_that_it_has_here(stored: str) -> None:
    name = names.read(stored)
    assert names.is_possible(name)
    if not any(letter in "\\\x7f" for letter in stored) and not stored.endswith(" "):
        try:
            service.check(stored)
        except (service.Malformed, service.Disallowed):
            return
        assert stored in names.spellings(name)


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        (b"report.pdf", "report.pdf"),
        (b"Report 100%.pdf", "Report 100%.pdf"),
        ("été.txt".encode(), "été.txt"),
        (b"a\\b", "a\u285cb"),
        (b"ends with a space ", "ends with a space\u2820"),
        (b".DS_Store", "\u282eDS_Store"),
        (b"\xff", "\u28ff"),
        (b"dot.", "dot."),
    ],
)
def test_only_what_has_to_change_changes(name: bytes, stored: str) -> None:
    assert names.plain(name) == stored
    assert names.read(stored) == name


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a\0b"])
def test_a_name_that_is_none_is_left_out(name: str) -> None:
    assert is_left_out(files.FolderMetadata(name=name, id="id:a"))


def test_a_name_too_long_for_programs_is_shortened_to_one_of_its_own() -> None:
    long, longer = ("日" * 200 + ".jpeg").encode(), ("日" * 201 + ".jpeg").encode()
    short = names.shortened(long)
    assert len(short) <= 255
    assert short.startswith("日".encode() * 70)
    assert short.endswith(b".jpeg")
    short.decode()
    assert names.may_be_shortened(short)
    assert names.shortened(longer) != short
    assert names.shortened(b"n" * 255) == b"n" * 255
    assert not names.may_be_shortened(b"notes~0123456789.txt")
