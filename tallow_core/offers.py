"""Offers: the names of drivers, best first, that one end lists for each kind that peers agree on,
and the choice that both ends compute alike.

The choice of a kind is the common name with the least (worse of the two ranks, sum of the ranks,
name), so neither end decides alone (docs/protocol/handshake.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from tallow_core.errors import PolicyError

MAX_OFFER_NAMES = 16
"""Names of one kind in an offer."""
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
"""The name of a driver."""

Offer: TypeAlias = Mapping[str, Sequence[str]]
"""Kind -> names, best first."""


class NoCommonDriver(PolicyError):
    """The two ends share no driver of `kind`; `theirs` are the names that the other end offers."""

    def __init__(self, message: str, kind: str, theirs: tuple[str, ...]) -> None:
        super().__init__(message)
        self.kind = kind
        self.theirs = theirs


def ranked(ours: Sequence[str], theirs: Sequence[str]) -> list[str]:
    """The common names, the choice first."""

    def rank(name: str) -> tuple[int, int, str]:
        mine, other = ours.index(name), theirs.index(name)
        return max(mine, other), mine + other, name

    return sorted(set(ours) & set(theirs), key=rank)
