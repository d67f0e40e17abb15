"""`python -m benchmarks` is `python -m benchmarks.transfer`."""

import sys

from benchmarks.transfer import main

if __name__ == "__main__":
    sys.exit(main())
