"""Reads, checks and explains a setup: the JSON file that names the entries and the rules.

Imports pydantic (a quarter of a second): only commands that read a setup import this package.
"""

from .load import load
from .never import NEVER
from .setup import JSON, EntrySetup, Setup

__all__ = ["JSON", "NEVER", "EntrySetup", "Setup", "load"]
