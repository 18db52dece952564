"""`python -m onitufs.cli`: how the daemon is started afresh in the background."""

import sys

from . import main

if __name__ == "__main__":
    sys.exit(main())
