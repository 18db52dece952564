"""Checks that any driver can run on itself: see suite.py."""
