"""Frozen, typed values that the other packages exchange. Imports nothing of ours."""
