"""The one meaning that globs have."""

import pytest

from onitufs.model.globs import MAX_ALTERNATIVES, BadGlob, Glob, GlobList


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("*.pdf", "/a.pdf", True),
        ("*.pdf", "/deep/down/a.pdf", True),
        ("*.pdf", "/a.pdf/x", False),
        ("*.pdf", "/.pdf", True),
        ("*.PDF", "/a.pdf", False),
        ("*.{pdf,odt}", "/x/a.odt", True),
        ("[!a]*", "/bc", True),
        ("[!a]*", "/ac", False),
        ("/docs/*.pdf", "/docs/a.pdf", True),
        ("docs/*.pdf", "/docs/a.pdf", True),
        ("docs/*.pdf", "/docs/old/a.pdf", False),
        ("docs/*.pdf", "/more/docs/a.pdf", False),
        ("docs/**/*.pdf", "/docs/a.pdf", True),
        ("docs/**/*.pdf", "/docs/old/.older/a.pdf", True),
        ("docs/**", "/docs/a/b", True),
        ("docs/**", "/docs", False),
        ("/a", "/a", True),
        ("/a", "/b/a", False),
        ("#*#", "/x/#a#", True),
        ("!a", "/!a", True),
        ("!a", "/b", False),
        ("a b", "/a b", True),
        ("*.pdf", "/\udcff.pdf", True),
        ("*.pdf", "/a\nb.pdf", True),
    ],
)
def test_for_files(pattern: str, path: str, matches: bool) -> None:
    assert Glob(pattern).matches(path, is_directory=False) is matches


@pytest.mark.parametrize(
    ("pattern", "path", "is_directory", "matches"),
    [
        ("build/", "/x/build/y/z", False, True),
        ("build/", "/build", True, True),
        ("build/", "/build", False, False),
        ("build/", "/rebuild/x", False, False),
        ("/a/b/", "/a/b/c", False, True),
        ("a/b/", "/a/b", True, True),
        ("a/b/", "/x/a/b/c", False, False),
        ("**/b/", "/x/a/b/c", False, True),
        ("b*/", "/", True, False),
    ],
)
def test_for_directories(pattern: str, path: str, is_directory: bool, matches: bool) -> None:
    assert Glob(pattern).matches(path, is_directory=is_directory) is matches


@pytest.mark.parametrize("pattern", ["", "/", "a/../b", "./a", "a//b", "a\0b", "x" * 2000])
def test_what_could_never_match_is_refused(pattern: str) -> None:
    with pytest.raises(BadGlob):
        Glob(pattern)


@pytest.mark.parametrize("pattern", ["{1..100000}", "{a,b}" * 10, "{a,{b,{c,d}}}" * 8])
def test_a_bomb_of_braces_is_refused(pattern: str) -> None:
    with pytest.raises(BadGlob, match=str(MAX_ALTERNATIVES)):
        Glob(pattern)


@pytest.mark.parametrize("pattern", ["*a*a*a*a*a*a*a*a*b", "**/*a*a*a*a*a*b/", "+(a|aa)+(a|aa)b"])
def test_no_name_takes_exponential_time(pattern: str) -> None:
    """It would not end at all if it did."""
    assert not Glob(pattern).matches("/" + "/".join(["a" * 60] * 20), is_directory=True)


def test_of_many_the_one_that_matches_is_named() -> None:
    globs = GlobList(["*.a", "b/", "c/*.d"])
    assert [
        (found := globs.find(path, is_directory=False)) and found.pattern for path in ("/x.a", "/b/x", "/c/x.d", "/x.d")
    ] == ["*.a", "b/", "c/*.d", None]
