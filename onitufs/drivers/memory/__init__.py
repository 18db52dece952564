"""A service in memory and its driver: real, small, and able to fail on demand. For tests of what uses drivers."""

from onitufs.drivers.registry import ManifestedDriver

DRIVER = ManifestedDriver.from_package(__name__, options="options:MemoryOptions", handlers="driver:Memory")
