"""A driver for OnituFS that keeps files in an SQLite database."""

from onitufs.drivers.registry import ManifestedDriver

DRIVER = ManifestedDriver.from_package(__name__, options="options:SQLiteOptions", handlers="driver:SQLite")
