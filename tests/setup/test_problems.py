"""What a person reads when a setup is wrong: every problem at once, where it is, and what would be right."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from onitufs.model.errors import Exit, SetupError
from onitufs.setup import load

Problems = Callable[..., list[str]]

EVERYTHING = {"path": "/"}


def test_the_example_of_the_manual(problems: Problems) -> None:
    rules = [{"match": EVERYTHING, "sync": ["disk"]}, {"match": EVERYTHING, "sync": ["droobox"]}]
    assert problems(rules=rules) == ["setup.json: rules[1].sync[0]: no entry 'droobox' (did you mean 'dropbox'?)"]


def test_every_problem_is_told_in_one_run(problems: Problems) -> None:
    found = problems(
        name="",
        entries={"disk": {"driver": 3}, "nas": {"drivr": "sftp"}},
        rules=[{"match": {"size": {"min": "1,5 GB"}}, "sync": ["nass"]}, {"match": {"glob": ""}, "ban": ["disc"]}],
        never=["{1..9999}"],
    )
    assert [line.removeprefix("setup.json: ").partition(":")[0] for line in found] == [
        "name",
        "entries.disk.driver",
        "entries.nas",
        "entries.nas.drivr",
        "rules[0].match.size.min",
        "rules[0].sync[0]",
        "rules[1].match.glob",
        "rules[1].ban[0]",
        "never[0]",
    ]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"rulez": []}, "rulez: unknown key (did you mean 'rules'?)"),
        (
            {"x": 1},
            "x: unknown key; known here: $schema, name, entries, rules, never, scanners, quota, history, comment",
        ),
        ({"name": 3}, "name: 3 is not text"),
        (
            {"name": "a/b"},
            'name: "a/b": a name has no "/", no control character, no space around it, and begins with no dot',
        ),
        ({"name": "x" * 101}, f'name: "{"x" * 56}...: a name has 1 to 100 bytes'),
        ({"entries": {}, "rules": []}, "entries: must not be empty"),
        ({"entries": [], "rules": []}, "entries: [] is not an object"),
        ({"entries": {"disk": 3}}, "entries.disk: 3 is not an object"),
        ({"entries": {"disk": {}}}, "entries.disk: 'driver' is missing"),
        ({"entries": {"disk": {"driver": ""}}}, "entries.disk.driver: must not be empty"),
        (
            {"entries": {"disk": {"driver": "d", "mode": "ww"}}},
            "entries.disk.mode: \"ww\" is none of 'rw', 'r', 'w' (did you mean 'w'?)",
        ),
        (
            {"entries": {"disk": {"driver": "d", "velocity": 2}}},
            "entries.disk.velocity: 2: should be less than or equal to 1",
        ),
        ({"entries": {"disk": {"driver": "d", "velocity": "1"}}}, 'entries.disk.velocity: "1" is not a number'),
        (
            {"entries": {"disk": {"driver": "d", "bandwidth": {"up": "2 MB"}}}},
            'entries.disk.bandwidth.up: "2 MB": not a rate: write bytes a second, or text such as "500 kB/s", "2 MB/s" '
            'or "16 Mbit/s"',
        ),
        ({"entries": {"disk": {"driver": "d", "bandwidth": {}}}}, 'entries.disk.bandwidth: give "up", "down" or both'),
        (
            {"entries": {"disk": {"driver": "d", "option": {}}}},
            "entries.disk.option: unknown key (did you mean 'options'?)",
        ),
        (
            {"entries": {"disk": {"driver": "d"}, "a\nb": {"driver": "d"}}},
            'entries["a\\nb"]: a name has no "/", no control character, no space around it, and begins with no dot',
        ),
        ({"rules": {}}, "rules: {} is not a list"),
        ({"rules": [{"sync": ["disk"]}]}, "rules[0]: 'match' is missing"),
        ({"rules": [{"match": EVERYTHING}]}, 'rules[0]: a rule needs "sync", "ban" or "local"'),
        ({"rules": [{"match": EVERYTHING, "local": 1}]}, "rules[0].local: 1 is not true or false"),
        ({"rules": [{"match": EVERYTHING, "sync": "disk"}]}, 'rules[0].sync: "disk" is not a list'),
        ({"rules": [{"match": EVERYTHING, "sync": [["disk"]]}]}, 'rules[0].sync[0]: ["disk"] is not text'),
        (
            {"rules": [{"match": EVERYTHING, "sync": ["disk"], "copies": 3}]},
            "rules[0].copies: 3: files can be placed on 2 of the entries only",
        ),
        (
            {"rules": [{"match": EVERYTHING, "sync": ["disk"], "copies": 0}]},
            "rules[0].copies: 0: should be greater than or equal to 1",
        ),
        (
            {"rules": [{"match": {"paht": "/"}, "local": True}]},
            "rules[0].match.paht: unknown key (did you mean 'path'?)",
        ),
        (
            {"rules": [{"match": {"path": "docs"}, "local": True}]},
            'rules[0].match.path: "docs": a path in the mount begins with "/"',
        ),
        (
            {"rules": [{"match": {"path": ["/", "/*.pdf"]}, "local": True}]},
            'rules[0].match.path[1]: "/*.pdf": a path has no wildcards: use "glob"',
        ),
        (
            {"rules": [{"match": {"path": "/a/../b"}, "local": True}]},
            'rules[0].match.path: "/a/../b": a path has no "." or ".." or empty name in it',
        ),
        (
            {"rules": [{"match": {"glob": ["ok", "{a,b}" * 9]}, "local": True}]},
            f'rules[0].match.glob[1]: "{"{a,b}" * 9}": bad glob: its braces unfold into more than 100 globs',
        ),
        (
            {"rules": [{"match": {"mime": "pdf"}, "local": True}]},
            'rules[0].match.mime: "pdf": not a media type: write one such as "application/pdf" or "image/*"',
        ),
        ({"rules": [{"match": {"mime": 3}, "local": True}]}, "rules[0].match.mime: 3: not text, or a list of texts"),
        ({"rules": [{"match": {"mime": []}, "local": True}]}, "rules[0].match.mime: must not be empty"),
        ({"rules": [{"match": {"size": {}}, "local": True}]}, 'rules[0].match.size: give "min", "max" or both'),
        (
            {"rules": [{"match": {"size": {"min": 2, "max": 1}}, "local": True}]},
            'rules[0].match.size: "min" is above "max": nothing would match',
        ),
        (
            {"rules": [{"match": {"age": {"min": "-5 m"}}, "local": True}]},
            'rules[0].match.age.min: "-5 m": not a duration: write a number of seconds, or text such as "90 s", '
            '"5 min", "2 h" or "30 days"',
        ),
        ({"never": "*.o"}, 'never: "*.o" is not a list'),
        ({"never": {"also": ["/"]}}, 'never.also[0]: "/": bad glob: an empty glob matches nothing'),
        (
            {"never": {"except": ["*.prt"]}},
            "never.except[0]: no glob of the default list is '*.prt' (did you mean '*.part'?)",
        ),
        (
            {"scanners": {"except": ["tumbler"]}},
            "scanners.except[0]: no name of the default list is 'tumbler' (did you mean 'tumblerd'?)",
        ),
        (
            {"scanners": ["/usr/bin/x"]},
            'scanners[0]: "/usr/bin/x": a name of a process, without "/"; *, ? and [...] stand for letters',
        ),
        ({"never": {"and": []}}, "never.and: unknown key; known here: also, except"),
        ({"quota": "ten"}, 'quota: "ten": not a size: write a number of bytes, or text such as "100 MB" or "1 GiB"'),
    ],
)
def test_one_problem_is_one_line(problems: Problems, changes: dict[str, Any], line: str) -> None:
    assert problems(**changes) == [f"setup.json: {line}"]


def test_a_secret_in_the_wrong_place_is_not_repeated(problems: Problems) -> None:
    (line,) = problems(entries={"disk": {"driver": "d", "passwrd": "hunter2"}})
    assert "hunter2" not in line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "setup.json: line 1 column 1: not JSON: Expecting value, found the end of the file"),
        ('{\n  "name" "x"\n}', "setup.json: line 2 column 10: not JSON: Expecting ':' delimiter, found '\"'"),
        ('{"a": 1,}', "setup.json: line 1 column 9: a comma before '}': remove it"),
        ('{"a": [1,\n]}', "setup.json: line 2 column 1: a comma before ']': remove it"),
        ('{\n// hello\n"a": 1}', 'setup.json: line 2 column 1: JSON has no comments: use a "comment" key'),
        ('{"a": NaN}', "setup.json: NaN is not JSON"),
        ("[]", 'setup.json: a setup is an object: {"name": ..., "entries": ..., "rules": ...}'),
        (b"\n\n\xff", "setup.json: line 3: not UTF-8: save the file in that encoding"),
        ("[" * 100_000, "setup.json: nested too deeply to be a setup"),
    ],
)
def test_what_is_not_json(problems: Problems, text: str | bytes, line: str) -> None:
    assert problems(text) == [line]


def test_a_key_given_twice_is_told_with_its_place(problems: Problems) -> None:
    text = """{"name": "x", "entries": {"disk": {"driver": "a"}, "disk": {"driver": "b", "mode": "r", "mode": "x"}},
              "rules": [{"match": {}, "match": {}, "local": true}]}"""
    assert problems(text) == [
        "setup.json: entries.disk: given twice; the last one would win",
        "setup.json: entries.disk.mode: given twice; the last one would win",
        "setup.json: rules[0].match: given twice; the last one would win",
        "setup.json: entries.disk.mode: \"x\" is none of 'rw', 'r', 'w'",
    ]


def test_keys_given_twice_are_problems_even_if_all_else_is_right(problems: Problems) -> None:
    assert problems('{"name": "x", "name": "y", "entries": {"d": {"driver": "a"}}}') == [
        "setup.json: name: given twice; the last one would win"
    ]


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SetupError) as caught:
        load(tmp_path / "none.json")
    assert str(caught.value) == f"{tmp_path}/none.json: cannot be read: No such file or directory"
    assert caught.value.exit_status is Exit.USAGE
    with pytest.raises(SetupError, match="Is a directory"):
        load(tmp_path)
