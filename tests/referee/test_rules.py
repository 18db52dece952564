"""From rules to entries, with a reason for every step."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onitufs.model.files import Kind
from onitufs.model.ids import EntryName
from onitufs.model.rules import Match, Rule
from onitufs.model.verdicts import Reason, Subject, Verdict
from onitufs.referee.rules import Rulebook

A, B, C = EntryName("A"), EntryName("B"), EntryName("C")
ENTRIES = [A, B, C]


def rule(number: int, match: Match, *sync: EntryName, **more: object) -> Rule:
    return Rule(match=match, sync=sync, source=f"rules[{number}]", **more)  # type: ignore[arg-type]


def everything(number: int, *sync: EntryName, **more: object) -> Rule:
    return rule(number, Match(paths=("/",)), *sync, **more)


def book(*rules: Rule, never: tuple[str, ...] = (), read_only: tuple[EntryName, ...] = ()) -> Rulebook:
    return Rulebook(rules, [name for name in ENTRIES if name not in read_only], never, read_only=read_only)


def file(path: str | bytes, **facts: object) -> Subject:
    path = path.encode() if isinstance(path, str) else path
    return Subject(path=path, kind=Kind.FILE, **{"size": 10, "media_type": "text/plain", "age_s": 5.0, **facts})  # type: ignore[arg-type]


def targets(rules: Rulebook, subject: Subject) -> tuple[EntryName, ...]:
    return rules.decide(subject).targets


def covers(match: Match, subject: Subject) -> bool:
    return targets(book(rule(0, match, A)), subject) == (A,)


def test_the_example_of_2014() -> None:
    rules = book(everything(0, A), rule(1, Match(paths=("/backedup/",), media_types=("application/pdf",)), B))
    assert targets(rules, file("/a.txt")) == (A,)
    assert targets(rules, file("/a.pdf", media_type="application/pdf")) == (A,)
    assert targets(rules, file("/backedup/a.txt")) == (A,)
    assert targets(rules, file("/backedup/a.pdf", media_type="application/pdf")) == (A, B)
    assert targets(rules, file("/backedup/deep/down/a.pdf", media_type="application/pdf")) == (A, B)


@pytest.mark.parametrize(
    ("prefix", "path", "covered"),
    [
        ("/", "/a", True),
        ("/", "/a/b", True),
        ("/a", "/a", True),
        ("/a", "/a/b", True),
        ("/a", "/ab", False),
        ("/a/", "/a", False),
        ("/a/", "/a/b/c", True),
        ("/a/b", "/a", False),
    ],
)
def test_a_path_is_a_prefix_at_the_boundary_of_a_name(prefix: str, path: str, covered: bool) -> None:
    assert covers(Match(paths=(prefix,)), file(path)) is covered


def test_all_matching_rules_apply_in_order() -> None:
    rules = book(
        everything(0, A, B),
        rule(1, Match(paths=("/x",)), ban=(A,)),
        rule(2, Match(paths=("/x/y",)), A, C),
    )
    assert targets(rules, file("/f")) == (A, B)
    assert targets(rules, file("/x/f")) == (B,)
    assert targets(rules, file("/x/y/f")) == (B, A, C)


def test_every_step_has_a_reason() -> None:
    rules = book(everything(0, A, B), rule(1, Match(globs=("*.txt",)), C, ban=(A,)), read_only=(B,))
    assert rules.decide(file("/f.txt")).reasons == (
        Reason("rules[0]", "everything", added=(A, B)),
        Reason("rules[1]", "matches '*.txt'", added=(C,), removed=(A,)),
        Reason("entries.B.mode", 'mode "r": nothing is written there', removed=(B,)),
    )


def test_no_rule_has_a_reason_too() -> None:
    assert book().decide(file("/f")) == Verdict((), (Reason("rules", "no rule covers it: only here"),))


def test_conditions_are_all_needed_and_say_what_they_saw() -> None:
    match = Match(paths=("/a/",), globs=("*.iso",), size_min=5, age_max_s=60)
    assert covers(match, file("/a/x.iso"))
    for other in (
        file("/b/x.iso"),
        file("/a/x.txt"),
        file("/a/x.iso", size=4),
        file("/a/x.iso", age_s=61),
        file("/a/x.iso", size=None),
        file("/a/x.iso", age_s=None),
    ):
        assert not covers(match, other)
    (reason,) = book(rule(0, match, A)).decide(file("/a/x.iso")).reasons
    assert reason.text == "at or below '/a/', matches '*.iso', has 10 bytes, was changed 5 s ago"


@pytest.mark.parametrize(
    ("wanted", "media_type", "covered"),
    [
        ("image/*", "image/png", True),
        ("image/*", "IMAGE/PNG", True),
        ("image/*", "images/png", False),
        ("*/*", "text/plain", True),
        ("text/plain", "text/plain", True),
        ("text/plain", "text/plainer", False),
        ("text/plain", None, False),
    ],
)
def test_media_types(wanted: str, media_type: str | None, covered: bool) -> None:
    assert covers(Match(media_types=(wanted,)), file("/f", media_type=media_type)) is covered


def test_sizes_include_their_bounds() -> None:
    match = Match(size_min=5, size_max=7)
    assert [size for size in range(10) if covers(match, file("/f", size=size))] == [5, 6, 7]


def test_directories_are_covered_by_rules_that_do_not_look_into_files() -> None:
    directory = Subject(path=b"/a", kind=Kind.DIRECTORY)
    assert covers(Match(paths=("/",)), directory)
    assert covers(Match(globs=("a",)), directory)
    for match in (Match(media_types=("*/*",)), Match(size_max=100), Match(age_min_s=0.0)):
        assert not covers(match, Subject(path=b"/a", kind=Kind.DIRECTORY, size=1, media_type="text/plain", age_s=1.0))


def test_a_symlink_has_no_media_type_and_no_size() -> None:
    link = Subject(path=b"/a", kind=Kind.SYMLINK, size=3, media_type="text/plain", age_s=1.0)
    assert covers(Match(paths=("/",)), link)
    assert not covers(Match(media_types=("*/*",)), link)
    assert not covers(Match(size_max=100), link)


def test_devices_are_never_placed() -> None:
    assert book(everything(0, A)).decide(Subject(path=b"/dev", kind=Kind.SPECIAL)).never


def test_local_takes_away_what_came_before() -> None:
    rules = book(everything(0, A, B), rule(1, Match(globs=("*.o",)), local=True), rule(2, Match(paths=("/keep",)), C))
    assert targets(rules, file("/x.o")) == ()
    assert targets(rules, file("/keep/x.o")) == (C,)
    assert rules.decide(file("/x.o")).reasons[1] == Reason("rules[1]", "matches '*.o'; kept here only", removed=(A, B))


def test_the_last_rule_that_counts_copies_decides() -> None:
    rules = book(everything(0, A, B, C, copies=2), rule(1, Match(paths=("/dear",)), A, copies=3))
    assert rules.decide(file("/f")).copies == 2
    assert rules.decide(file("/dear/f")).copies == 3
    assert book().decide(file("/f")).copies is None


def test_names_that_are_never_placed() -> None:
    rules = book(everything(0, A), never=("*~", "cache/"))
    verdict = rules.decide(file("/a/b~"))
    assert (verdict.never, verdict.targets) == (True, ())
    assert verdict.reasons == (Reason("never", "'*~' is never placed"),)
    assert targets(rules, file("/a/cache/x")) == ()
    assert targets(rules, Subject(path=b"/a/cache", kind=Kind.DIRECTORY)) == ()
    assert targets(rules, Subject(path=b"/a/b~", kind=Kind.DIRECTORY)) == (A,)
    assert targets(rules, file("/a/b~/c")) == (A,)


def test_names_need_not_be_text() -> None:
    assert covers(Match(globs=("*.pdf",)), file(b"/\xff\xfe.pdf"))
    assert covers(Match(paths=("/\udcff",)), file(b"/\xff/x"))
    assert not covers(Match(globs=("*.pdf",)), file(b"/\xff\xfe.txt"))


def test_a_rule_that_names_no_entry_is_refused() -> None:
    with pytest.raises(ValueError, match=r"rules\[0\]: no entry 'X'"):
        Rulebook([everything(0, EntryName("X"))], ENTRIES)


def test_it_knows_which_facts_it_looks_at() -> None:
    nothing, all_of_it = (
        book(everything(0, A)),
        book(rule(0, Match(media_types=("a/b",)), A), rule(1, Match(size_max=1), A), rule(2, Match(age_min_s=1), A)),
    )
    for fact in ("media_type", "size", "age"):
        assert not getattr(nothing.looks_at, fact)
        assert getattr(all_of_it.looks_at, fact)


@given(st.floats(0, 200), st.floats(0, 200), st.floats(0, 400))
def test_it_tells_when_age_will_change_the_verdict(least: float, most: float, age_s: float) -> None:
    """Whoever asks again when told to never misses a change, and stops asking in the end."""
    rules = book(everything(0, A), rule(1, Match(age_min_s=least), B), rule(2, Match(age_max_s=most), C))
    looks = 0
    while (look_s := rules.next_look_s(file("/f", age_s=age_s))) is not None:
        shortly_before = age_s + max(0.0, look_s - 0.0011)
        assert targets(rules, file("/f", age_s=shortly_before)) == targets(rules, file("/f", age_s=age_s))
        age_s += look_s
        looks += 1
        assert looks <= 4
    assert targets(rules, file("/f", age_s=10_000.0)) == targets(rules, file("/f", age_s=age_s))


def test_only_rules_about_age_that_otherwise_match_ask_for_another_look() -> None:
    rules = book(rule(0, Match(paths=("/old/",), age_min_s=60.0), A))
    assert rules.next_look_s(file("/f")) is None
    assert rules.next_look_s(file("/old/f")) == pytest.approx(55.001)
    assert rules.next_look_s(file("/old/f", age_s=61.0)) is None


_names = st.sampled_from(["a", "b", "c.pdf"])
_paths = st.lists(_names, min_size=1, max_size=3).map(lambda names: "/" + "/".join(names))
_matches = st.one_of(
    st.builds(lambda path, end: Match(paths=(path + end,)), _paths, st.sampled_from(["", "/"])),
    st.just(Match(paths=("/",))),
    st.builds(lambda glob: Match(globs=(glob,)), st.sampled_from(["*.pdf", "a/*", "b/", "a/b/", "**/b/*", "a"])),
)
_rules = st.lists(st.tuples(_matches, st.sampled_from(ENTRIES)), max_size=3)


@settings(max_examples=400)
@given(rules=_rules, old=_paths, new=_paths, below=_paths, never=st.sampled_from([(), ("a/",), ("a/b/*",)]))
def test_a_rename_that_matters_is_known(
    rules: list[tuple[Match, EntryName]], old: str, new: str, below: str, never: tuple[str, ...]
) -> None:
    rename_is_told(rules, old, new, below, never)


def rename_is_told(
    rules: list[tuple[Match, EntryName]], old: str, new: str, below: str, never: tuple[str, ...]
) -> None:
    """If anything below belongs elsewhere after the rename, rename_matters says so."""
    made = book(*[rule(number, match, entry) for number, (match, entry) in enumerate(rules)], never=never)
    if targets(made, file(old + below)) != targets(made, file(new + below)):
        assert made.rename_matters(old.encode(), new.encode())


def test_a_rename_that_is_not_told_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: rename_matters looks at globs only."""
    monkeypatch.setattr("onitufs.referee.rules._Compiled.tells_apart", lambda *_: False)

    @settings(database=None, derandomize=True, suppress_health_check=list(HealthCheck), max_examples=400)
    @given(rules=_rules, old=_paths, new=_paths, below=_paths, never=st.just(()))
    def the_property(
        rules: list[tuple[Match, EntryName]], old: str, new: str, below: str, never: tuple[str, ...]
    ) -> None:
        rename_is_told(rules, old, new, below, never)

    with pytest.raises(AssertionError):
        the_property()


def test_most_renames_matter_to_nothing_below() -> None:
    rules = book(everything(0, A), rule(1, Match(paths=("/backedup/",)), B), never=("*~", ".~tmp~/"))
    assert not rules.rename_matters(b"/photos", b"/pictures")
    assert not rules.rename_matters(b"/backedup/a", b"/backedup/b")
    assert rules.rename_matters(b"/photos", b"/backedup/photos")
    assert rules.rename_matters(b"/backedup", b"/elsewhere")
    assert rules.rename_matters(b"/photos", b"/.~tmp~")
