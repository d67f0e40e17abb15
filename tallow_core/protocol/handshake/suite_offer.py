"""The offer of a suite on the wire, and the choice.

Both offers are part of the transcript, so a change between the two ends does not pass unseen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from tallow_core.offers import MAX_OFFER_NAMES, NAME, NoCommonDriver, Offer, ranked
from tallow_core.protocol.codec.wire import Reader, Writer, malformed
from tallow_core.text import printable

KINDS = ("kem", "cipher", "hash", "authenticator", "compressor")

Drivers: TypeAlias = Mapping[str, Mapping[str, type[Any]]]
"""The drivers that a machine may use: kind -> name -> driver class, in the order of the offer."""


def offer_of(drivers: Drivers) -> dict[str, tuple[str, ...]]:
    """The names of `drivers`, at most 16 a kind."""
    return {kind: tuple(drivers[kind])[:MAX_OFFER_NAMES] for kind in KINDS}


def write_offer(writer: Writer, offer: Offer) -> None:
    """Encode the offer. For each kind in the order of `KINDS` it has `count[1]`, then each name as
    `length[1] || ASCII`."""
    for kind in KINDS:
        writer.u8(len(offer[kind]))
        for name in offer[kind]:
            writer.text8(name)


def read_offer(reader: Reader) -> dict[str, tuple[str, ...]]:
    """Read an offer. Names that are unknown here are kept.

    Raises `RemoteProtocolError` for a malformed or repeated name, or a count out of bounds.
    """
    return {kind: _names(reader, kind) for kind in KINDS}


def _names(reader: Reader, kind: str) -> tuple[str, ...]:
    count = reader.u8()
    if not 1 <= count <= MAX_OFFER_NAMES:
        raise malformed(f"an offer of {count} {kind} names")
    names = tuple(reader.text8() for _ in range(count))
    if len(set(names)) != count or not all(NAME.fullmatch(name) for name in names):
        raise malformed(f"an offer of {kind} names that are repeated or not names")
    return names


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
