"""Which drivers there are: everything installed under the entry-point group `onitufs.drivers`."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.resources import files
from pathlib import Path
from typing import Any

from onitufs.model.errors import SetupError

from .manifest import Manifest, option_values, read_manifest, typed_options

GROUP = "onitufs.drivers"


@dataclass(frozen=True, slots=True)
class ManifestedDriver:
    """A driver as its package exposes it, under the name DRIVER. Its classes are named, not imported: that is dear."""

    manifest: Manifest
    options: str  # "package.module:Class", a frozen dataclass with one field for each option
    handlers: str  # "package.module:Class", called with (options, gear)
    login: str = ""  # "package.module:Class", a login.Login; "" if nobody ever has to log in

    @classmethod
    def from_package(cls, package: str, *, options: str, handlers: str, login: str = "") -> "ManifestedDriver":
        """The driver in `package`, which holds manifest.json; the others are "module:Class" in it."""
        manifest = read_manifest(files(package).joinpath("manifest.json").read_text(encoding="utf-8"))
        return cls(manifest, f"{package}.{options}", f"{package}.{handlers}", f"{package}.{login}" if login else "")

    @property
    def name(self) -> str:
        return self.manifest.name

    def read_options(self, raw: Mapping[str, object], base: Path, at: str) -> Any:
        """The typed options. Raises SetupError with every problem; `base` and `at` as for manifest.option_values."""
        typed, problems = option_values(self.manifest, raw, base, at)
        if problems:
            raise SetupError(problems)
        return typed_options(_named(self.options), typed)

    def load(self) -> Any:
        """The class with the handlers. Imports the driver and the libraries that it needs. Raises SetupError."""
        try:
            return _named(self.handlers)
        except Exception as exc:
            raise _broken(self.name, exc) from exc

    def load_login(self) -> Any:
        """The class of its login.Login, None if it has none. Imports what `load` does. Raises SetupError."""
        try:
            return _named(self.login) if self.login else None
        except Exception as exc:
            raise _broken(self.name, exc) from exc


def _named(where: str) -> Any:
    module, _, name = where.partition(":")
    return getattr(import_module(module), name)


def _broken(name: str, exc: Exception) -> SetupError:
    why = f"{type(exc).__name__}: {exc}".splitlines()[0]
    return SetupError([f"driver {name} is installed but broken: {why}; reinstall or remove its package"])


class Registry:
    """The drivers by name. A broken one of somebody else's harms no other: asking for it names it."""

    def __init__(self, points: tuple[EntryPoint, ...] | None = None) -> None:
        found = entry_points(group=GROUP) if points is None else points
        self._points = {point.name: point for point in found}

    def names(self) -> list[str]:
        return sorted(self._points)

    def get(self, name: str) -> ManifestedDriver:
        """The driver of that name. Raises SetupError for an unknown one (naming the known) and a broken one."""
        point = self._points.get(name)
        if point is None:
            near = difflib.get_close_matches(name, self._points, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(self.names()) or 'none'}"
            raise SetupError([f"no driver {name!r} ({hint})"])
        try:
            module = point.load()
            driver = module.DRIVER
        except Exception as exc:
            raise _broken(name, exc) from exc
        if not isinstance(driver, ManifestedDriver) or driver.name != name:
            raise _broken(name, TypeError(f"DRIVER in {point.value} is not a ManifestedDriver named {name!r}"))
        return driver
