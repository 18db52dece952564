"""Driver for Dropbox, on Dropbox's own SDK, which is imported when an entry starts and not before."""

from onitufs.drivers.registry import ManifestedDriver

DRIVER = ManifestedDriver.from_package(
    __name__, options="options:DropboxOptions", handlers="driver:Dropbox", login="login:DropboxLogin"
)
