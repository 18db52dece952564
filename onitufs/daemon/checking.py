"""Looks at a setup before it is used: everything that is wrong with it in one go, and whether its entries answer."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import trio

from onitufs.drivers.plug import Plug
from onitufs.drivers.registry import ManifestedDriver, Registry
from onitufs.model.copies import Place
from onitufs.model.errors import DriverError, Exit, ServiceError, SetupError, Stale
from onitufs.model.ids import EntryName, FileId
from onitufs.model.orders import Outcome, Put
from onitufs.setup import Setup, load
from onitufs.setup.reading import read

PATIENCE_S = 30.0  # for one entry


@dataclass(frozen=True, slots=True)
class CheckedEntry:
    """One entry. `problem` is empty if it could be used, or was not tried."""

    name: str
    driver: str
    problem: str = ""
    exit_status: Exit = Exit.FINE


async def check(path: Path, *, offline: bool) -> tuple[Setup, list[CheckedEntry]]:
    """Read the setup and, unless `offline`, try each entry without changing it, all at the same time.

    Raises SetupError with every problem of the setup and of the options of each of its entries.
    """
    setup, drivers = await trio.to_thread.run_sync(_read, path)
    results = {entry.name: CheckedEntry(entry.name, entry.driver) for entry in setup.entries}
    if not offline:

        async def probe(name: EntryName, work_dir: Path) -> None:
            results[name] = await _probe(name, *drivers[name], work_dir)

        with tempfile.TemporaryDirectory(prefix="onitufs-check-") as work:
            async with trio.open_nursery() as nursery:
                for number, name in enumerate(results):
                    nursery.start_soon(probe, name, Path(work, str(number)))
    return setup, list(results.values())


def _read(path: Path) -> tuple[Setup, Mapping[EntryName, tuple[ManifestedDriver, Any]]]:
    problems: list[str] = []
    setup = None
    try:
        setup = load(path)
    except SetupError as error:
        problems += error.problems
    drivers: dict[EntryName, tuple[ManifestedDriver, Any]] = {}
    registry = Registry()
    for name, driver_name, options in _entries(path):
        at = f"{path.name}: entries.{name}"
        try:
            driver = registry.get(driver_name)
        except SetupError as error:
            problems += [f"{at}.driver: {problem}" for problem in error.problems]
            continue
        try:
            drivers[EntryName(name)] = driver, driver.read_options(options, path.absolute().parent, f"{at}.options")
        except SetupError as error:
            problems += error.problems
    if setup is None or problems:
        raise SetupError(problems)
    return setup, drivers


def _entries(path: Path) -> list[tuple[str, str, dict[str, Any]]]:
    """Name, driver and options of each entry of which these have the right form, also in a setup that has not."""
    try:
        tree, _ = read(path)
    except SetupError:
        return []  # load() has said why
    entries = tree.get("entries") if isinstance(tree, dict) else None
    found = []
    for name, entry in entries.items() if isinstance(entries, dict) else ():
        if isinstance(entry, dict) and isinstance(entry.get("driver"), str):
            options = entry.get("options", {})
            if isinstance(options, dict):
                found.append((name, entry["driver"], options))
    return found


async def _probe(name: EntryName, driver: ManifestedDriver, options: Any, work_dir: Path) -> CheckedEntry:
    plug = Plug(
        name, driver, options,
        open_source=_nothing_to_place, path_of=_no_place, directory=_no_place, report=_nothing_to_report,
        identity=None, remember_identity=_nothing_to_report, work_dir=work_dir,
    )  # fmt: skip
    try:
        with trio.fail_after(PATIENCE_S):
            await plug.probe()
    except trio.TooSlowError:
        error: DriverError | SetupError = ServiceError(f"no answer within {PATIENCE_S:g} s")
    except (DriverError, SetupError) as failed:
        error = failed
    else:
        return CheckedEntry(name, driver.name)
    return CheckedEntry(name, driver.name, " ".join(str(error).splitlines()), error.exit_status)


def _nothing_to_place(_: Put) -> NoReturn:
    raise Stale("nothing is placed by a check")


def _no_place(_: Place | FileId) -> NoReturn:
    raise Stale("nothing is placed by a check")


def _nothing_to_report(_: Outcome | str) -> None:
    return
