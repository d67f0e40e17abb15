"""The conformance kit: what every driver of a kind must do, as plain functions that a plugin's own
tests can call.

`suite.run_checks(CIPHER, MyCipher)` runs them all. A broken contract raises `ConformanceError`.
"""

from __future__ import annotations

from tallow_core.testing.expect import ConformanceError

__all__ = ["ConformanceError"]
