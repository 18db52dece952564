"""Manifests, options checked against them, and the registry of drivers."""

import dataclasses
import json
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onitufs.drivers import local_storage, memory, values
from onitufs.drivers.local_storage.options import LocalStorageOptions
from onitufs.drivers.manifest import OPTION_TYPES, ManifestError, option_values, read_manifest
from onitufs.drivers.registry import Registry
from onitufs.model.errors import SetupError

PLAIN = {"name": "nas", "description": "d", "velocity": 0.5, "abilities": [], "options": {}}
ALL = {kind: {"type": kind, "help": "h"} for kind in OPTION_TYPES}


def manifest(**options):
    return read_manifest(json.dumps(PLAIN | {"options": options}))


def problems(options, raw):
    return option_values(manifest(**options), raw, Path("/base"), "entries.nas.options")[1]


def test_the_drivers_here_have_manifests_that_fit_their_options():
    for driver in (local_storage.DRIVER, memory.DRIVER):
        raw = {option.name: "x" for option in driver.manifest.options if option.required}
        options = driver.read_options(raw, Path("/base"), "")
        assert {field.name for field in dataclasses.fields(options)} == {o.name for o in driver.manifest.options}


def test_local_storage_options():
    options = local_storage.DRIVER.read_options({"root": "store/a"}, Path("/etc/setups"), "")
    assert options == LocalStorageOptions(root=Path("/etc/setups/store/a"), create=True, trash_days=30, watch="auto")


def test_every_problem_at_once_with_its_path():
    with pytest.raises(SetupError) as caught:
        local_storage.DRIVER.read_options(
            {"rot": "/x", "create": "yes", "trash_days": True}, Path("/"), "entries.nas.options"
        )
    assert caught.value.problems == [
        "entries.nas.options.rot: unknown option (did you mean 'root'?)",
        "entries.nas.options.root: missing; driver local_storage needs it: the directory that holds this entry's "
        "files; relative to the setup file",
        'entries.nas.options.create: "yes": not true or false',
        "entries.nas.options.trash_days: true: not a whole number",
    ]


def test_an_unknown_option_that_resembles_none_names_those_there_are():
    assert problems({"port": {"type": "integer", "help": "h"}}, {"zzz": 1}) == [
        "entries.nas.options.zzz: unknown option (driver nas has: port)"
    ]


def test_a_secret_is_never_repeated():
    (problem,) = problems({"token": {"type": "secret", "help": "h"}}, {"token": "hunter2"})
    assert problem.startswith("entries.nas.options.token: not a secret reference")
    assert "hunter2" not in problem


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"name": ""}, "name"),
        ({"velocity": 2}, "velocity"),
        ({"abilities": ["flies"]}, "flies"),
        ({"options": {"x": {"type": "duration", "help": "h", "words": "auto"}}}, "options.x.words"),
        ({"extra": 1}, "extra"),
        ({"digest": "crc32"}, "digest"),
        ({"digest": ["blake3"]}, "digest"),
        ({"options": []}, "options"),
        ({"options": {"a": {"type": "color", "help": "h"}}}, "options.a.type"),
        ({"options": {"a": {"type": "size", "help": "h", "default": "1,5 GB"}}}, "options.a.default"),
        ({"options": {"a": {"type": "size", "help": "h", "default": 1, "required": True}}}, "options.a.required"),
        ({"options": {"a": {"type": "size"}}}, "options.a.help"),
    ],
)
def test_a_manifest_that_is_none_names_the_field(change, where):
    with pytest.raises(ManifestError, match=where):
        read_manifest(json.dumps(PLAIN | change))


JSON = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just({"env": "X"})


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(OPTION_TYPES), JSON))
def test_any_json_is_a_value_or_a_problem(raw):
    typed, found = option_values(manifest(**ALL), raw, Path("/base"), "o")
    assert set(typed) | {problem.split(":")[0][2:] for problem in found} == set(OPTION_TYPES)


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("size", "100 MB", 100_000_000),
        ("size", "1.5 KiB", 1536),
        ("size", 7, 7),
        ("duration", "500 ms", 0.5),
        ("duration", "2 weeks", 1_209_600.0),
        ("duration", 4, 4.0),
    ],
)
def test_sizes_and_durations_are_those_of_the_setup(kind, given, expected):
    assert option_values(manifest(x={"type": kind, "help": "h"}), {"x": given}, Path("/"), "o") == ({"x": expected}, [])


@pytest.mark.parametrize("kind", ["size", "duration"])
@pytest.mark.parametrize("given", ["1,5 GB", "-5m", "1 gb", "", True, None, -1, "1e3 MB", "5 minutes", "12"])
def test_what_is_no_size_or_duration_names_the_option(kind, given):
    (problem,) = problems({"x": {"type": kind, "help": "h"}}, {"x": given})
    assert problem.startswith(f"entries.nas.options.x: {json.dumps(given)}: not a ")


def test_a_word_may_stand_for_a_value():
    watch = {"watch": {"type": "duration", "help": "h", "words": ["auto", "never"], "default": "auto"}}
    for raw, expected in [({}, "auto"), ({"watch": "never"}, "never"), ({"watch": "60 s"}, 60.0)]:
        assert option_values(manifest(**watch), raw, Path("/"), "o") == ({"watch": expected}, [])
    (problem,) = problems(watch, {"watch": "sometimes"})
    assert "not a duration: write a number of seconds" in problem
    assert problem.endswith('; or "auto" or "never"')


def test_secrets_are_read_when_needed_and_not_shown(tmp_path, monkeypatch):
    (tmp_path / "token").write_text("hunter2\n")
    secret = values.secret({"file": "token"}, tmp_path)
    assert secret.reveal() == "hunter2"
    assert "hunter2" not in repr(secret)
    monkeypatch.setenv("TOKEN", "hunter3")
    assert values.secret({"env": "TOKEN"}, tmp_path).reveal() == "hunter3"
    monkeypatch.delenv("TOKEN")
    with pytest.raises(ValueError, match="TOKEN"):
        values.secret({"env": "TOKEN"}, tmp_path).reveal()


def test_the_installed_drivers():
    assert Registry().get("local_storage").manifest.velocity == 1.0


def test_an_unknown_driver_names_the_nearest_and_the_known():
    with pytest.raises(SetupError, match="did you mean 'local_storage'"):
        Registry().get("localstorage")
    with pytest.raises(SetupError, match="there are: dropbox, local_storage"):
        Registry().get("zzz")


BROKEN = {
    "no_module": "onitufs_there_is_no_such_module",
    "no_driver": "onitufs.drivers.claims",
    "wrong_name": "onitufs.drivers.memory",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_driver_is_a_named_error_and_harms_no_other(name):
    points = [EntryPoint(name, BROKEN[name], "onitufs.drivers")]
    points.append(EntryPoint("local_storage", "onitufs.drivers.local_storage", "onitufs.drivers"))
    registry = Registry(tuple(points))
    with pytest.raises(SetupError, match=f"driver {name} is installed but broken"):
        registry.get(name)
    assert registry.get("local_storage").name == "local_storage"


def test_reading_manifests_imports_no_driver_and_no_trio():
    code = (
        "import sys; from onitufs.drivers.registry import Registry; Registry().get('local_storage');"
        "print([m for m in ('trio', 'blake3', 'onitufs.drivers.local_storage.driver') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
