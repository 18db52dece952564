"""One local file tree: names and bytes, and when they are on disk. Joins catalog and content; knows no kernel, no entry."""

from .volume import Volume

__all__ = ["Volume"]
