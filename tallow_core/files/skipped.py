"""The entries that were left out of a transfer, at either end."""

from __future__ import annotations

from typing import Literal, NamedTuple

Reason = Literal["link", "special", "unreadable", "name", "exists", "changed", "excluded"]


HARMLESS: tuple[Reason, ...] = ("link", "special", "excluded")
"""Reasons for which something may be left out of what is sent without that being an error."""


class Skipped(NamedTuple):
    """A file or folder that was left out. `path` is raw text, joined by `/`: make it printable
    before it is shown."""

    path: str
    reason: Reason
