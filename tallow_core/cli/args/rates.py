"""Rates as people type them."""

from __future__ import annotations

import re

from tallow_core.errors import UsageError
from tallow_core.text import printable

_RATE = r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?(?:([kmg])?b?)"
_FACTORS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}


def parse_rate(text: str | None) -> int | None:
    """Read bytes a second, as in `500k`, `2.5MB` or `1G`, all decimal; raises `UsageError`."""
    if text is None:
        return None
    found = re.fullmatch(_RATE, text.strip(), re.IGNORECASE)
    rate = int(float(found[1]) * _FACTORS[(found[2] or "").lower()]) if found else 0
    if rate < 1:
        raise UsageError(
            f"--throttle {printable(text)} is no rate; write bytes a second as in 500k, 2.5MB or 1G"
        )
    return rate
