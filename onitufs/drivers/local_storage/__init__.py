"""Driver for a directory on a disk of this machine, or on anything that is mounted like one."""

from onitufs.drivers.registry import ManifestedDriver

DRIVER = ManifestedDriver.from_package(__name__, options="options:LocalStorageOptions", handlers="driver:LocalStorage")
