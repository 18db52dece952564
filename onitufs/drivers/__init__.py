"""Entries and their drivers: the Plug, which does everything common, and one folder for each driver."""
