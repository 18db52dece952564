"""Reads, checks and explains a setup: the JSON file that names the entries and the rules.

Reading one imports pydantic (a tenth of a second and 12 MB), so it is imported when one is read, not before: a daemon
that was given its setup by who started it never does, unless it is told to read it again.
"""

from pathlib import Path

from .never import NEVER
from .scanners import SCANNERS
from .setup import JSON, EntrySetup, Setup

__all__ = ["JSON", "NEVER", "SCANNERS", "EntrySetup", "Setup", "load"]


def load(path: Path) -> Setup:
    """Read and check a setup. Blocking: one small file. Raises SetupError with every problem; see loading.load."""
    from . import loading

    return loading.load(path)
