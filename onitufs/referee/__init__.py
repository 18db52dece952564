"""Decides; never does I/O, waits, or looks at a clock.

rules.py answers where a file belongs and why; reconcile.py turns want and have into orders; ledger.py says what the
Copies are after an order was carried out.
"""
