"""Driver for a directory on a server that speaks SFTP."""

from onitufs.drivers.registry import ManifestedDriver

DRIVER = ManifestedDriver.from_package(
    __name__, options="options:SftpOptions", handlers="driver:Sftp", login="login:HostKeyLogin"
)
