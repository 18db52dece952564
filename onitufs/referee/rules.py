"""Which entries a file belongs on by the user's rules, and why."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from onitufs.model.files import Kind
from onitufs.model.globs import GlobList
from onitufs.model.ids import EntryName
from onitufs.model.rules import Rule
from onitufs.model.verdicts import Reason, Subject, Verdict

_A_MOMENT_S = 0.001  # past a bound that belongs to both sides


@dataclass(frozen=True, slots=True, kw_only=True)
class LooksAt:
    """Which facts of a file the rules ask for at all; the others may be left out of a Subject."""

    media_type: bool
    size: bool
    age: bool


class Rulebook:
    """Rules, compiled once.

    `entries`: those that may be written to; `read_only`: those of mode "r", which are never targets. `never`: globs of
    names that are not placed: without a "/" at the end they concern what is not a directory. Raises BadGlob; ValueError
    for a rule that names an entry which is in neither.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        entries: Collection[EntryName],
        never: Sequence[str] = (),
        *,
        read_only: Collection[EntryName] = (),
    ) -> None:
        self._rules = [_Compiled(rule) for rule in rules]
        self._never_files = GlobList(never)
        self._never_directories = GlobList(pattern for pattern in never if pattern.endswith("/"))
        self._read_only = frozenset(read_only)
        self._known = lru_cache(maxsize=1024)(self._decide)  # each is asked about several times while it is placed
        for rule in rules:
            for name in (*rule.sync, *rule.ban):
                if name not in entries and name not in self._read_only:
                    raise ValueError(f"{rule.source}: no entry {name!r}")
        self.looks_at = LooksAt(
            media_type=any(rule.match.media_types for rule in rules),
            size=any(rule.match.looks_at_size for rule in rules),
            age=any(rule.match.looks_at_age for rule in rules),
        )

    def decide(self, subject: Subject) -> Verdict:
        """Where it belongs. Takes some 10 us for a few rules and the default `never`."""
        return self._known(subject) if subject.age_s is None else self._decide(subject)

    def _decide(self, subject: Subject) -> Verdict:
        if subject.kind is Kind.SPECIAL:
            return Verdict((), (Reason("never", "devices, fifos and sockets are kept here only"),), never=True)
        path = text(subject.path)
        is_directory = subject.kind is Kind.DIRECTORY
        never = self._never_directories if is_directory else self._never_files
        glob = never.find(path, is_directory=is_directory)
        if glob is not None:
            return Verdict((), (Reason("never", f"{glob.pattern!r} is never placed"),), never=True)
        return self._by_rules(subject, path)

    def next_look_s(self, subject: Subject) -> float | None:
        """Seconds after which the verdict may be another one although nothing changed; None: never.

        Only where a rule looks at the age and all its other conditions hold.
        """
        if not self.looks_at.age or subject.age_s is None:
            return None
        path = text(subject.path)
        ahead = [
            bound - subject.age_s
            for rule in self._rules
            for bound in (rule.match.age_min_s, rule.match.age_max_s)
            if bound is not None and bound >= subject.age_s and rule.holds_but_for_age(subject, path)
        ]
        return min(ahead) + _A_MOMENT_S if ahead else None

    def rename_matters(self, old: bytes, new: bytes) -> bool:
        """Whether something *below* a directory may belong elsewhere once that was renamed from `old` to `new`.

        May say so too often, never too rarely.
        """
        old_text, new_text = text(old), text(new)
        if _globs_tell_apart(self._never_files, old_text, new_text):
            return True
        return any(rule.tells_apart(old_text, new_text) for rule in self._rules)

    def _by_rules(self, subject: Subject, path: str) -> Verdict:
        targets: list[EntryName] = []
        reasons: list[Reason] = []
        copies: int | None = None
        never_there: set[EntryName] = set()
        for compiled in self._rules:
            why = compiled.why(subject, path)
            if why is None:
                continue
            rule = compiled.rule
            removed: tuple[EntryName, ...] = ()
            if rule.local:
                removed = tuple(targets)
                targets.clear()
            added = tuple(name for name in dict.fromkeys(rule.sync) if name not in targets)
            targets += added
            banned = tuple(name for name in targets if name in rule.ban)
            never_there = (never_there - set(rule.sync)) | set(rule.ban)
            targets = [name for name in targets if name not in rule.ban]
            if rule.copies is not None:
                copies = rule.copies
                why += f"; {copies} of the entries named are to hold it"
            if rule.local:
                why += "; kept here only"
            added = tuple(name for name in added if name not in banned)
            reasons.append(Reason(rule.source, why, added, (*removed, *banned)))
        if not reasons:
            reasons.append(Reason("rules", "no rule covers it: only here"))
        for name in [name for name in targets if name in self._read_only]:
            targets.remove(name)
            reasons.append(Reason(f"entries.{name}.mode", 'mode "r": nothing is written there', removed=(name,)))
        return Verdict(tuple(targets), tuple(reasons), copies if targets else None, banned=frozenset(never_there))


class _Compiled:
    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.match = rule.match
        self._globs = GlobList(rule.match.globs)
        self._ageless: _Compiled | None = None
        if rule.match.looks_at_age:
            self._ageless = _Compiled(replace(rule, match=replace(rule.match, age_min_s=None, age_max_s=None)))
        self._media_types = [media_type.partition("/") for media_type in rule.match.media_types]

    def why(self, subject: Subject, path: str) -> str | None:
        """What of the rule's conditions made it cover the subject, in words; None if it does not."""
        m = self.match
        if subject.kind is Kind.DIRECTORY and m.looks_into_files:
            return None
        words: list[str] = []
        if m.paths:
            prefix = next((prefix for prefix in m.paths if is_at_or_below(path, prefix)), None)
            if prefix is None:
                return None
            words.append("everything" if prefix == "/" else f"at or below {prefix!r}")
        if m.globs:
            is_directory = subject.kind is Kind.DIRECTORY
            glob = self._globs.find(path, is_directory=is_directory)
            if glob is None:
                return None
            words.append(f"matches {glob.pattern!r}")
        if m.media_types:
            media_type = subject.media_type.lower() if subject.media_type and subject.kind is Kind.FILE else None
            if media_type is None or not self._is_of(media_type):
                return None
            words.append(f"is {media_type}")
        if m.looks_at_size:
            size = subject.size if subject.kind is Kind.FILE else None
            if size is None or not _within(size, m.size_min, m.size_max):
                return None
            words.append(f"has {size} bytes")
        if m.looks_at_age:
            if subject.age_s is None or not _within(subject.age_s, m.age_min_s, m.age_max_s):
                return None
            words.append(f"was changed {subject.age_s:.0f} s ago")
        return ", ".join(words) or "everything"

    def holds_but_for_age(self, subject: Subject, path: str) -> bool:
        if self._ageless is None or subject.kind is Kind.DIRECTORY:
            return False
        return self._ageless.why(subject, path) is not None

    def tells_apart(self, old: str, new: str) -> bool:
        if _globs_tell_apart(self._globs, old, new):
            return True
        return any(
            is_at_or_below(old + "/x", prefix) != is_at_or_below(new + "/x", prefix)
            or is_at_or_below(prefix, old)
            or is_at_or_below(prefix, new)
            for prefix in self.match.paths
            if prefix != "/"
        )

    def _is_of(self, media_type: str) -> bool:
        major, _, minor = media_type.partition("/")
        return any(want in ("*", major) and sub in ("*", "", minor) for want, _, sub in self._media_types)


def _globs_tell_apart(globs: GlobList, old: str, new: str) -> bool:
    """Whether one may match below one of two directories and not below the other."""
    return any(
        one.of_paths
        or (one.of_directories and one.matches(old, is_directory=True) != one.matches(new, is_directory=True))
        for one in globs.globs
    )


def text(path: bytes) -> str:
    """A path as rules see it: undecodable bytes become lone surrogates, and only they do."""
    return path.decode("utf-8", "surrogateescape")


def is_at_or_below(path: str, prefix: str) -> bool:
    """Whether the prefix covers the path, at the boundary of a name. Ending in "/", it does not cover itself."""
    if prefix.endswith("/"):
        return path.startswith(prefix)
    return path == prefix or path.startswith(prefix + "/")


def _within(value: float, least: float | None, most: float | None) -> bool:
    return (least is None or value >= least) and (most is None or value <= most)
