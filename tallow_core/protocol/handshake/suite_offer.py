"""Offers, and the choice of a suite that both ends compute alike.

An offer lists, for each kind that peers agree on, the drivers that policy allows here, best first.
The choice per kind is the common name with the least (worse of the two ranks, sum of the ranks,
name), so neither end decides alone and nobody between can lower it unseen: both offers are part of
the transcript.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from tallow_core.errors import PolicyError
from tallow_core.protocol.codec.wire import Reader, Writer, malformed
from tallow_core.text import printable

KINDS = ("kem", "cipher", "hash", "authenticator", "compressor")
MOST_NAMES = 16
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")

Offer: TypeAlias = Mapping[str, Sequence[str]]
"""Kind -> names, best first."""

Drivers: TypeAlias = Mapping[str, Mapping[str, type[Any]]]
"""Kind -> name -> driver class, in the order of the offer: what a machine may use."""


def offer_of(drivers: Drivers) -> dict[str, tuple[str, ...]]:
    """The names of `drivers`, at most 16 a kind."""
    return {kind: tuple(drivers[kind])[:MOST_NAMES] for kind in KINDS}


def write_offer(writer: Writer, offer: Offer) -> None:
    """For each kind in the order of `KINDS`: `count[1]`, then each name as `length[1] || ASCII`."""
    for kind in KINDS:
        writer.u8(len(offer[kind]))
        for name in offer[kind]:
            writer.text8(name)


def read_offer(reader: Reader) -> dict[str, tuple[str, ...]]:
    """Read what `write_offer` wrote; names unknown here are kept, malformed or repeated ones
    refused."""
    return {kind: _names(reader, kind) for kind in KINDS}


def _names(reader: Reader, kind: str) -> tuple[str, ...]:
    count = reader.u8()
    if not 1 <= count <= MOST_NAMES:
        raise malformed(f"an offer of {count} {kind} names")
    names = tuple(reader.text8() for _ in range(count))
    if len(set(names)) != count or not all(NAME.fullmatch(name) for name in names):
        raise malformed(f"an offer of {kind} names that are repeated or not names")
    return names


class NoCommonDriver(PolicyError):
    """The two sides share no driver of `kind`; `theirs` are the names that the other side
    offers."""

    def __init__(self, message: str, kind: str, theirs: tuple[str, ...]) -> None:
        super().__init__(message)
        self.kind = kind
        self.theirs = theirs


def choose(ours: Offer, theirs: Offer) -> dict[str, str]:
    """The suite: kind -> name. Raises `NoCommonDriver` if a kind has no common name."""
    return {kind: _choose(kind, tuple(ours[kind]), tuple(theirs[kind])) for kind in KINDS}


def _choose(kind: str, ours: tuple[str, ...], theirs: tuple[str, ...]) -> str:
    common = ranked(ours, theirs)
    if not common:
        raise NoCommonDriver(
            f"the two sides share no {kind}: policy here allows {', '.join(ours)}, there"
            f" {printable(', '.join(theirs))}",
            kind,
            theirs,
        )
    return common[0]


def ranked(ours: Sequence[str], theirs: Sequence[str]) -> list[str]:
    """The common names, the choice first: by the worse of the two ranks, then their sum, then the
    name."""

    def rank(name: str) -> tuple[int, int, str]:
        mine, other = ours.index(name), theirs.index(name)
        return max(mine, other), mine + other, name

    return sorted(set(ours) & set(theirs), key=rank)
