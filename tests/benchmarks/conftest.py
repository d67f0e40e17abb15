"""The benchmarks are no installed package: they are found in the checkout, after everything that is
installed."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))
