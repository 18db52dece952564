"""OnituFS: one directory whose files are kept where your rules say."""

__version__ = "0.1.0"
