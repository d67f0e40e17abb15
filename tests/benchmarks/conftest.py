"""The benchmarks are no installed package: they are found in the checkout, after everything that is
installed."""

import sys

from tests.kit.checkout import ROOT

if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))
