"""The candidates that this end lists: what its nat drivers found, best first."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from tallow_core.protocol.lanes.candidates import MAX_CANDIDATES, Candidate, refusal
from tallow_core.spi.nat import Reach, SocketProtocol
from tallow_core.spi.transport import Listener
from tallow_core.types import CandidateKind, SocketAddress

PREFERENCES: Mapping[CandidateKind, int] = {"host": 126, "mapped": 110, "reflexive": 100}
"""The type preferences that RFC 8445 section 5.1.2.2 recommends; a relayed candidate has 0. The
candidate with the greater one is dialled first."""
_RANKS = 65535


def own_candidates(
    reaches: list[Reach],
    listeners: Mapping[SocketAddress, Listener],
    protocol: SocketProtocol,
) -> list[Candidate]:
    """A candidate for each address that leads to one of `listeners`, which stand under the base
    that asked for them; at most `MAX_CANDIDATES`, no place twice, none that the other end would
    refuse."""
    found: dict[tuple[str, int], Candidate] = {}
    for rank, reach in enumerate(reaches):
        candidate = _candidate(reach, listeners, max(0, _RANKS - rank))
        if candidate is not None and reach.protocol == protocol and not refusal(candidate.address):
            found.setdefault((str(candidate.address), candidate.port), candidate)
    best = sorted(found.values(), key=lambda candidate: -candidate.priority)
    return best[:MAX_CANDIDATES]


def _candidate(
    reach: Reach, listeners: Mapping[SocketAddress, Listener], rank: int
) -> Candidate | None:
    """The address with the transport, port and pin of the listener behind it. What leads to no
    listener of ours is none."""
    listener = listeners.get(reach.base) or next(
        (each for each in listeners.values() if (each.bound.host, each.bound.port) == reach.base),
        None,
    )
    if listener is None:
        return None
    port = reach.port or listener.endpoint.port
    assert port is not None
    return Candidate(
        listener.endpoint.scheme,
        ipaddress.ip_address(reach.address),
        port,
        listener.endpoint.pin,
        reach.kind,
        PREFERENCES.get(reach.kind, 0) << 24 | rank << 8,
        reach.data,
    )
