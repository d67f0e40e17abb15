"""Where the checkout is that the tests lie in."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
