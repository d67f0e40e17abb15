"""The addresses of the other end that a session may dial, and their number (T-19).

A hostile peer may list addresses to make this end probe its own network. So every address comes in
a typed field and passes `refusal`, plugins may refuse it, and a session dials a bounded number of
different places.
"""

from __future__ import annotations

import ipaddress

from tallow_core.errors import PolicyError
from tallow_core.protocol.lanes.candidates import Address, refusal
from tallow_core.session.context import Context
from tallow_core.types import Endpoint, SocketAddress

MAX_DIALLED_PLACES = 64
"""The most different places that one session dials."""


class DialAdmission:
    """The places that one session may dial."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._admitted: dict[SocketAddress, None] = {}
        self._dialled: set[Endpoint | SocketAddress] = set()

    @property
    def addresses(self) -> tuple[SocketAddress, ...]:
        """The admitted addresses, in the order in which they came."""
        return tuple(self._admitted)

    def admit(self, address: Address, port: int, *, but: str = "") -> bool:
        """Admit a place that the other end listed. Returns False if it is refused, or if the caller
        gives a reason of its own in `but`."""
        place = SocketAddress(str(address), port)
        if why := refusal(address) or but:
            note = f"{Endpoint('', *place).authority} is not dialled: {why}"
            self._context.reporter.note(note, 2)
            return False
        self._admitted[place] = None
        return True

    def demand(self, place: SocketAddress) -> SocketAddress:
        """Return `place` in its canonical spelling. Raises `PolicyError` if it was not admitted."""
        try:
            spelled = SocketAddress(str(ipaddress.ip_address(place.host)), place.port)
        except ValueError:
            spelled = place
        if spelled not in self._admitted:
            raise PolicyError("it is no address that the other side listed and that may be dialled")
        return spelled

    def counts(self, place: Endpoint | SocketAddress) -> bool:
        """Count a place that is about to be dialled. Returns False if it is one too many."""
        if place not in self._dialled and len(self._dialled) >= MAX_DIALLED_PLACES:
            return False
        self._dialled.add(place)
        return True

    def ask_plugins(self, address: str) -> None:
        """Raise `PolicyError` if a plugin refuses `address`."""
        reason = self._context.plugins.veto("tallow_veto_peer", path="direct", address=address)
        if reason is not None:
            raise PolicyError(f"a plugin refuses it: {reason}")
