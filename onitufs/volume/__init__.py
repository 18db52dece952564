"""One local file tree: names and bytes, and when they are on disk. Knows neither the kernel nor any service."""

from .volume import Volume

__all__ = ["Volume"]
