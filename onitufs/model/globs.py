"""Globs over paths in the mount, one meaning everywhere: in rules and in the list of what is never placed.

- `*` `?` `[a-z]` `[!a-z]` within a name, `{a,b}` alternatives, `**` any number of directories. Case counts, and a
  leading dot is nothing special.
- A glob without "/" is for the name, in whatever directory, as in gitignore: `*.pdf`.
- One with "/" is for the whole path, from the root: `/docs/*.pdf` and `docs/*.pdf` are the same, and do not cover
  `/docs/old/a.pdf`; `docs/**` covers all below docs.
- One that ends in "/" is for directories, and covers them with all below: `node_modules/` anywhere, `/a/b/` one.
"""

import re
from collections.abc import Iterable, Iterator

from wcmatch import glob

MAX_LENGTH = 1024
MAX_ALTERNATIVES = 100
"""Into how many globs the braces of one may unfold."""

# No EXTGLOB: nested repetitions take exponential time on a chosen name.
_FLAGS = glob.GLOBSTAR | glob.BRACE | glob.DOTGLOB | glob.FORCEUNIX | glob.CASE


class BadGlob(ValueError):
    """str() says what is wrong with it, without naming it."""


class Glob:
    """One compiled glob. Raises BadGlob. Source of the syntax: wcmatch's documentation, with the flags above."""

    def __init__(self, pattern: str) -> None:
        if len(pattern) > MAX_LENGTH:
            raise BadGlob(f"longer than {MAX_LENGTH} characters")
        core = pattern.strip("/")
        if not core:
            raise BadGlob("an empty glob matches nothing")
        if "\0" in pattern:
            raise BadGlob("no name holds a zero byte")
        if any(part in (".", "..", "") for part in core.split("/")):
            raise BadGlob('a path in the mount has no "." or ".." or empty name in it')
        self.pattern = pattern
        self.of_directories = pattern.endswith("/")
        self.of_paths = "/" in pattern.rstrip("/")
        try:
            self._matcher = glob.compile(core, flags=_FLAGS, limit=MAX_ALTERNATIVES)
        except Exception as error:  # wcmatch names what it raises for braces only in a private module
            if "{" in core and "limit" in str(error):
                raise BadGlob(f"its braces unfold into more than {MAX_ALTERNATIVES} globs") from error
            raise BadGlob(f"not a glob: {error}") from error

    def matches(self, path: str, *, is_directory: bool) -> bool:
        """`path` is absolute in the mount, with undecodable bytes as surrogates."""
        path = path.strip("/")
        if not path:
            return False
        if not self.of_directories:
            return bool(self._matcher.match(path if self.of_paths else path.rpartition("/")[2]))
        if self.of_paths:
            return any(self._matcher.match(above) for above in _directories(path, is_directory))
        names = path.split("/")
        return any(self._matcher.match(name) for name in (names if is_directory else names[:-1]))


class GlobList:
    """Many globs, asked at once: some 3 us a path where none matches. Raises BadGlob."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self.globs = [Glob(pattern) for pattern in patterns]
        names = [one.pattern for one in self.globs if not one.of_directories and not one.of_paths]
        # One expression for all: wcmatch's own matcher tries them one by one, at five times the price.
        translated = glob.translate(names, flags=_FLAGS, limit=0)[0]
        self._names = re.compile("|".join(f"(?:{each})" for each in translated)) if names else None
        self._others = [one for one in self.globs if one.of_directories or one.of_paths]

    def find(self, path: str, *, is_directory: bool) -> Glob | None:
        """One that matches, if any does."""
        if self._names is not None and self._names.match(path.rpartition("/")[2]):
            return next((one for one in self.globs if one.matches(path, is_directory=is_directory)), None)
        return next((one for one in self._others if one.matches(path, is_directory=is_directory)), None)


def _directories(path: str, is_directory: bool) -> Iterator[str]:
    """Every directory on the way to `path`, from the root, with itself if it is one."""
    end = path.find("/")
    while end != -1:
        yield path[:end]
        end = path.find("/", end + 1)
    if is_directory:
        yield path
