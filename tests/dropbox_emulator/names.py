"""Which names the service takes, and when two of them are one."""

import unicodedata

NAMELESS = frozenset({"desktop.ini", "thumbs.db", ".ds_store", "icon\r", ".dropbox", ".dropbox.attr"})
LONGEST = 255
"""UTF-16 units in one name."""
_old = unicodedata.ucd_3_2_0


class Malformed(Exception):
    """The path is not one: `malformed_path`."""


class Disallowed(Exception):
    """The name is one that the service keeps for itself: `disallowed_name`."""


def normal(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def fold(name: str) -> str:
    """What two names have in common when they are one. Letters are lowered one by one, by old tables: a final sigma is
    no other letter, and letters that came into Unicode after 3.2 have no case."""
    return "".join(_lower(letter) for letter in normal(name))


def _lower(letter: str) -> str:
    lower = letter.lower()
    return lower if len(lower) == 1 and _old.category(letter) != "Cn" else letter


def split(path: str) -> list[str]:
    """The names of an absolute path; [] for the root, which is written as nothing."""
    if path == "":
        return []
    if not path.startswith("/"):
        raise Malformed
    names = path[1:].split("/")
    if "" in names or "." in names or ".." in names:
        raise Malformed
    return names


def check(name: str) -> None:
    """Whether something may be called so."""
    if any(letter in "\\\0\x7f" or "\ud800" <= letter <= "\udfff" for letter in name) or name.endswith(" "):
        raise Malformed
    if len(name.encode("utf-16-le")) // 2 > LONGEST:
        raise Malformed
    if fold(name) in NAMELESS:
        raise Disallowed
