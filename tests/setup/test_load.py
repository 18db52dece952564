"""What a right setup comes to."""

import json
from pathlib import Path
from typing import Any

import pytest

from onitufs.model.bandwidth import Bandwidth
from onitufs.model.rules import Match, Rule
from onitufs.referee.rules import Rulebook
from onitufs.setup import NEVER, SCANNERS, EntrySetup, Setup, load

EXAMPLES = Path(__file__).parents[2] / "examples"


def loaded(directory: Path, **keys: Any) -> Setup:
    path = directory / "setup.json"
    tree = {"name": "x", "entries": {"A": {"driver": "local_storage"}, "B": {"driver": "local_storage"}}, **keys}
    path.write_text(json.dumps(tree))
    return load(path)


def test_the_format_of_2014_as_it_was() -> None:
    setup = load(EXAMPLES / "setup-2014.json")
    assert setup.name == "example"
    assert setup.base == EXAMPLES
    assert setup.entries == (
        EntrySetup(name="A", driver="local_storage", options={"root": "example/driver_a"}),
        EntrySetup(name="B", driver="local_storage", options={"root": "example/driver_b"}),
    )
    assert setup.rules == (
        Rule(match=Match(paths=("/",)), sync=("A",), source="rules[0]"),
        Rule(match=Match(paths=("/backedup/",), media_types=("application/pdf",)), sync=("B",), source="rules[1]"),
    )
    assert setup.never == NEVER


def test_every_key_reaches_its_rule(tmp_path: Path) -> None:
    setup = loaded(
        tmp_path,
        rules=[
            {
                "match": {
                    "path": ["/a", "/b/"],
                    "glob": "*.iso",
                    "mime": ["Image/*"],
                    "size": {"min": "1 kB", "max": "1.5 GiB"},
                    "age": {"min": "2 h", "max": 86400},
                },
                "sync": ["A", "B"],
                "ban": ["A"],
                "local": True,
                "copies": 2,
                "comment": "all of it",
            }
        ],
        quota="10 GB",
    )
    match = Match(
        paths=("/a", "/b/"),
        globs=("*.iso",),
        media_types=("image/*",),
        size_min=1000,
        size_max=3 * 2**29,
        age_min_s=7200.0,
        age_max_s=86400.0,
    )
    assert setup.rules == (Rule(match=match, sync=("A", "B"), ban=("A",), local=True, copies=2, source="rules[0]"),)
    assert setup.quota == 10**10


def test_options_are_the_drivers_business_and_pass_as_they_are(tmp_path: Path) -> None:
    options = {"root": "~/x", "password": {"env": "NAS_PASSWORD"}, "depth": [1, None, 2.5, True]}
    entries = {"nas": {"driver": "no such driver", "options": options, "mode": "r", "velocity": 0.25}}
    (entry,) = loaded(tmp_path, entries=entries).entries
    assert entry == EntrySetup(name="nas", driver="no such driver", options=options, mode="r", velocity=0.25)
    assert not entry.writable


def test_programs_that_read_everything_can_be_replaced_or_changed(tmp_path: Path) -> None:
    assert loaded(tmp_path).scanners == SCANNERS
    assert loaded(tmp_path).scanner_head == 256 << 10
    assert loaded(tmp_path, scanners=[]).scanners == ()
    assert loaded(tmp_path, scanners=["borg"]).scanners == ("borg",)
    changed = loaded(tmp_path, scanners={"also": ["restic"], "except": ["tumblerd"], "head": "1 MiB"})
    assert set(changed.scanners) == {*SCANNERS, "restic"} - {"tumblerd"}
    assert changed.scanner_head == 1 << 20


def test_limits_of_an_entry(tmp_path: Path) -> None:
    entries = {"nas": {"driver": "d", "bandwidth": {"up": "16 Mbit/s"}}, "disk": {"driver": "d"}}
    nas, disk = loaded(tmp_path, entries=entries).entries
    assert nas.bandwidth == Bandwidth(up=2_000_000, down=None)
    assert disk.bandwidth == Bandwidth()


def test_what_is_never_placed_can_be_replaced_or_changed(tmp_path: Path) -> None:
    assert loaded(tmp_path).never == NEVER
    assert loaded(tmp_path, never=[]).never == ()
    assert loaded(tmp_path, never=["*.o"]).never == ("*.o",)
    changed = loaded(tmp_path, never={"also": ["*.o"], "except": ["*~"]}).never
    assert changed == (*[pattern for pattern in NEVER if pattern != "*~"], "*.o")


def test_a_relative_path_of_a_setup_does_not_depend_on_where_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert load(Path("setup.json")).path == tmp_path / "setup.json"


def test_a_byte_order_mark_is_no_part_of_it(tmp_path: Path) -> None:
    path = tmp_path / "setup.json"
    path.write_bytes(b'\xef\xbb\xbf{"name": "x", "entries": {"A": {"driver": "d"}}}')
    assert load(path).name == "x"


def test_paths_that_are_not_text_can_be_named(tmp_path: Path) -> None:
    """Undecodable bytes as the lone surrogates that Python gives them."""
    path = tmp_path / "setup.json"
    rule = '{"match": {"path": "/\\udcff", "glob": "*\\udcfe"}, "sync": ["A"]}'
    path.write_text('{"name": "x", "entries": {"A": {"driver": "d"}}, "rules": [' + rule + "]}")
    (loaded_rule,) = load(path).rules
    assert loaded_rule.match == Match(paths=("/\udcff",), globs=("*\udcfe",))


def test_the_fingerprint_tells_what_places_files_differently(tmp_path: Path) -> None:
    plain = loaded(tmp_path).fingerprint()
    assert loaded(tmp_path, comment="hello", quota=5).fingerprint() == plain
    for change in (
        {"rules": [{"match": {}, "sync": ["A"]}]},
        {"never": []},
        {"entries": {"A": {"driver": "local_storage"}, "B": {"driver": "local_storage", "mode": "r"}}},
    ):
        assert loaded(tmp_path, **change).fingerprint() != plain


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("setup*.json")), ids=lambda path: path.name)
def test_the_examples_are_right(example: Path) -> None:
    setup = load(example)
    Rulebook(setup.rules, [entry.name for entry in setup.entries], setup.never)
    assert all(not Path(str(entry.options["root"])).is_absolute() for entry in setup.entries)
