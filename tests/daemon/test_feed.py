"""How far what a service tells was taken over: written down when nothing waits any more, worth nothing elsewhere."""

from typing import Any

from onitufs.daemon.intake import Feed

DAY_S = 86_400.0


class Kept:
    """What a catalog keeps of one entry."""

    def __init__(self) -> None:
        self.value: Any = None
        self.identity: str | None = "place"
        self.now_s = 1_000_000.0

    def feed(self) -> Feed:
        return Feed(
            known=lambda: self.value,
            remember=self._remember,
            identity=lambda: self.identity,
            now_s=lambda: self.now_s,
        )

    def _remember(self, value: object) -> None:
        self.value = value


def test_a_cursor_is_kept_once_all_was_listed_and_what_was_told_is_taken_over() -> None:
    kept = Kept()
    feed = kept.feed()
    assert feed.cursor is None
    feed.told("1")
    feed.taken_over()
    assert kept.value is None  # what was there before the first was not seen yet
    assert feed.cursor == "1"
    feed.listed()
    feed.taken_over()
    feed.told("2")
    assert kept.feed().cursor == "1"  # killed now
    feed.taken_over()
    assert kept.feed().cursor == "2"


def test_what_was_not_taken_over_is_told_again_or_listed() -> None:
    kept = Kept()
    feed = kept.feed()
    feed.told("1")
    feed.listed()
    feed.taken_over()
    feed.told("2")
    feed.doubt()
    feed.taken_over()
    feed.told("3")
    feed.taken_over()
    assert kept.feed().cursor == "1"
    feed.listed()
    feed.taken_over()
    assert kept.feed().cursor == "3"


def test_a_cursor_is_good_for_one_place_and_a_day() -> None:
    kept = Kept()
    feed = kept.feed()
    feed.told("1")
    feed.listed()
    feed.taken_over()
    kept.now_s += DAY_S - 1
    assert kept.feed().cursor == "1"
    later = kept.feed()
    later.told("2")
    later.taken_over()
    kept.now_s += 2  # a day since all was listed, whenever the last cursor came
    assert kept.feed().cursor is None
    kept.now_s -= 2
    feed = kept.feed()
    assert feed.cursor == "2"
    kept.identity = "another place"
    assert feed.cursor is None
    assert kept.feed().cursor is None


def test_a_service_without_cursors_is_listed_each_time() -> None:
    kept = Kept()
    feed = kept.feed()
    feed.listed()
    feed.told(None)
    feed.taken_over()
    assert kept.value is None
    assert feed.cursor is None
