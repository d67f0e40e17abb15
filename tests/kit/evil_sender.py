"""A sender that knows the code and misbehaves, against a receiver that is a process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tallow_core.protocol.lanes.record import RecordType
from tallow_core.protocol.transfer.manifest_entry import Entry, EntryKind
from tallow_core.protocol.transfer.offer_pages import OfferKind
from tests.kit.hostile_peers import (
    Home,
    HostileHost,
    Line,
    Peer,
    Program,
    at_receiver,
    offer,
)

ONE = [Entry(EntryKind.FILE, ("a",), 0o644, 0, 4)]


Evil = Callable[["Session"], Awaitable[None]]


class Session:
    """What an evil sender works with: the control lane, and after `open` the data lane too."""

    def __init__(self, peer: Peer, host: HostileHost) -> None:
        self.peer, self.host, self.control = peer, host, peer.line
        self.established = peer.established

    async def page(self, body: bytes) -> None:
        """One page of the offer."""
        await self.control.seal(RecordType.OFFER_PAGE, body)

    async def offered(self, *entries: Entry, kind: OfferKind = OfferKind.FILES) -> Line:
        """An honest offer, accepted; gives the data lane."""
        for body in offer(self.established, entries or ONE, kind):
            await self.page(body)
        assert (await self.control.open())[0] == RecordType.ACCEPT
        return await self.host.lane()

    async def data(self, *items: bytes, final: bool = False) -> None:
        """Offer one file of four bytes, and send these items in one record."""
        await (await self.offered()).seal(RecordType.DATA, b"".join(items), final=final)


async def run(home: Home, evil: Evil, *words: str, json: bool = True) -> tuple[int, Program]:
    """Let the evil sender at a receiver; its exit status, and the receiver."""
    return await at_receiver(home, lambda peer, host: evil(Session(peer, host)), *words, json=json)
