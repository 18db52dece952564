"""Names as programs use them here, any bytes, and as Dropbox keeps them, and back.

Dropbox takes no name that is not Unicode, has a backslash, NUL or DEL in it or a space at its end, or is one of a few
words; it turns all names into NFC, and for it two names are one if they differ in case only. So a byte that cannot stay
is written as one letter that no program uses, U+2800 and the byte (Braille patterns): one for one, thus a name of 255
bytes always fits. What reads back as itself is such a name, anything else means what it says.

A name has up to three spellings. `plain`: what has to be replaced is; nearly always the name itself. `apart`: all that
folds is replaced as well, for names beside which one stands that differs in case only. `literal`: as it is, for names
that others gave and that look as if they were ours. The first to want the plain one keeps it.
"""

import hashlib
import re
import unicodedata
from collections.abc import Callable

from onitufs.drivers.handlers import PRIVATE

LONGEST = 255
"""Bytes of a name in the mount, and UTF-16 units of one on Dropbox."""

_FIRST = 0x2800
_REFUSED = frozenset("\\\0\x7f/")
_RESERVED = frozenset({"desktop.ini", "thumbs.db", ".ds_store", "icon\r", ".dropbox", ".dropbox.attr"})
_RESERVED_BYTES = frozenset({PRIVATE, *map(str.encode, _RESERVED)})
_SIMPLE = re.compile(rb"[^\\\0\x7f/\x80-\xff]*[^\\\0\x7f/\x80-\xff ]")
_OURS = re.compile("[\u2800-\u28ff]")
_PRIVATE = PRIVATE.decode()
_SHORTENED = re.compile(rb"~[0-9a-f]{10}(\.[^./]{1,16})?\Z")


def spellings(name: bytes) -> tuple[str, ...]:
    """What Dropbox may call it, in the order in which to look."""
    found = [plain(name), apart(name)]
    try:
        literal = name.decode()
    except UnicodeDecodeError:
        pass
    else:
        if not _refused(literal):
            found.append(literal)
    return tuple(dict.fromkeys(found))


def plain(name: bytes) -> str:
    """The first choice for a name."""
    if _SIMPLE.fullmatch(name) and name.lower() not in _RESERVED_BYTES:  # nearly all of them, and quickly
        return name.decode("ascii")
    return "".join(_letters(name, _has_to_go))


def apart(name: bytes) -> str:
    """The choice for a name beside one that differs in case only: no two names fold to one of these."""
    text = name.decode("utf-8", "surrogateescape")
    letters = _letters(name, _folds)
    if "".join(letters) == plain(name) and text.upper() != text:  # its letters are small ones: one says that it is this
        at = next((at for at, letter in enumerate(text) if letters[at] == letter), None)
        if at is not None:  # else none is left that could fold
            letters[at] = _replaced(text[at])
    return "".join(letters)


def read(stored: str) -> bytes:
    """The name in the mount of what Dropbox calls `stored`; it may be too long for a program, see shortened()."""
    if not _OURS.search(stored):
        return stored.encode("utf-8", "surrogatepass")
    raw = bytearray()
    for letter in stored:
        number = ord(letter) - _FIRST
        raw += bytes([number]) if 0 <= number < 256 else letter.encode("utf-8", "surrogatepass")
    name = bytes(raw)
    if is_possible(name) and stored in (plain(name), apart(name)):
        return name
    return stored.encode("utf-8", "surrogatepass")


def is_possible(name: bytes) -> bool:
    """Whether a file can have this name; whatever a service says, nothing else gets in."""
    return name not in (b"", b".", b"..") and not set(name) & {0, 0x2F}


def shortened(name: bytes) -> bytes:
    """A name that programs can use, for one that is too long for them. Who it is has to be looked up in its folder."""
    if len(name) <= LONGEST:
        return name
    mark = b"~" + hashlib.sha256(name).hexdigest()[:10].encode()
    stem, dot, extension = name.rpartition(b".")
    tail = mark + dot + extension if dot and stem and 0 < len(extension) <= 16 else mark
    return name[: LONGEST - len(tail)].decode("utf-8", "ignore").encode() + tail


def may_be_shortened(name: bytes) -> bool:
    """Whether shortened() may have made this name."""
    return len(name) > LONGEST - 8 and _SHORTENED.search(name) is not None


def fold(stored: str) -> str:
    """What names of Dropbox have in common that it takes for one, as well as we can tell."""
    return unicodedata.normalize("NFC", stored).lower()


def _letters(name: bytes, has_to_go: Callable[[str], bool]) -> list[str]:
    """What each letter of the name is spelled as."""
    text = name.decode("utf-8", "surrogateescape")
    whole = unicodedata.normalize("NFC", text) == text
    reserved = fold(text) in _RESERVED or (fold(text) == _PRIVATE and text != _PRIVATE)
    last = len(text) - 1
    letters = []
    for at, letter in enumerate(text):
        goes = (
            has_to_go(letter)
            or "\udc80" <= letter <= "\udcff"
            or _is_ours(letter)
            or (not whole and not letter.isascii())
            or (letter == " " and at == last)
            or (reserved and at == 0)
        )
        letters.append(_replaced(letter) if goes else letter)
    return letters


def _replaced(letter: str) -> str:
    return "".join(chr(_FIRST + byte) for byte in letter.encode("utf-8", "surrogateescape"))


def _is_ours(letter: str) -> bool:
    return _FIRST <= ord(letter) < _FIRST + 256


def _has_to_go(letter: str) -> bool:
    return letter in _REFUSED


def _folds(letter: str) -> bool:
    return letter in _REFUSED or letter.lower() != letter


def _refused(text: str) -> bool:
    bad = any(letter in _REFUSED for letter in text) or text.endswith(" ") or fold(text) in _RESERVED
    return bad or unicodedata.normalize("NFC", text) != text
