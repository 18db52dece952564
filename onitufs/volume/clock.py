"""The clock for file times."""

import time

_CLOCK_REALTIME_COARSE = 5  # <linux/time.h>; Python does not name it


def now_ns() -> int:
    """The wall clock as the kernel stamps files with it: it moves with the kernel's tick only.

    The kernel stamps what it writes back; had we a finer clock, a file made by us just before would look younger than
    one written just after, and make(1) would build the wrong one again.
    """
    return time.clock_gettime_ns(_CLOCK_REALTIME_COARSE)
