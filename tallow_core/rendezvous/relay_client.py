"""A host's and a guest's side of a relay."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from tallow_core.errors import (
    AuthenticationError,
    PolicyError,
    RemoteProtocolError,
    TallowError,
    TransportError,
    UnreachableError,
)
from tallow_core.protocol.codec.frame import Frame, FrameType
from tallow_core.protocol.relay.relay_frames import (
    FIRST_SECONDS,
    LEAVE,
    PONG,
    SILENCE_SECONDS,
    GuestWaiting,
    OpenRoom,
    Refusal,
    RelayRefused,
    ResumeRoom,
    RoomOpened,
    TakeGuest,
    raise_refusal,
    read_guest,
    read_opened,
)
from tallow_core.rendezvous.profile_checks import check_pin
from tallow_core.session.context import Context
from tallow_core.session.frame_io import read_frame, write_frame
from tallow_core.spi.byte_stream import ByteStream
from tallow_core.spi.sockets import is_loopback
from tallow_core.spi.transport import TransportRole
from tallow_core.types import Endpoint, NetworkPath, Trust

DIAL_SECONDS = 10.0
MAX_BACKOFF_SECONDS = 30.0


def relay_endpoint(context: Context, url: str, role: TransportRole = "dial") -> Endpoint:
    """Read a relay's URL. The room token must stay secret on the way, so without encryption it is
    for this machine only: at a loopback address, or by a transport that leads nowhere else. A
    profile may ask for a pin."""
    endpoint = context.network.endpoint(url, role, encrypted=True)
    transport = context.network.transport(endpoint.scheme)
    if not (transport.encrypted or transport.on_this_machine or is_loopback(endpoint.host)):
        scheme = context.network.default_scheme(role, encrypted=True)
        raise PolicyError(f"the relay {url} is not encrypted").then(
            "use the encrypted URL", scheme=scheme
        )
    check_pin(context, endpoint)
    return endpoint


async def dial_relay(context: Context, endpoint: Endpoint) -> ByteStream:
    """Connect to a relay; raises `UnreachableError` (exit 5) or `AuthenticationError` (its pin or
    certificate, exit 4)."""
    deadline = asyncio.get_running_loop().time() + DIAL_SECONDS
    transport = context.network.transport(endpoint.scheme)
    path = NetworkPath("relay", endpoint.url, transport.name)
    return await context.network.dial(endpoint, deadline, path, trust=Trust.PEER)


async def first_frame(stream: ByteStream) -> Frame:
    """The first frame from the host, past the relay's Waiting; raises `RelayRefused`."""
    while True:
        frame = await read_frame(stream, SILENCE_SECONDS)
        raise_refusal(frame)
        if frame.type != FrameType.RELAY_WAITING:
            return frame


class HostRoom:
    """A host's room at one relay. Iterate `guests` for those that the relay announces; `take`
    them on connections of their own."""

    def __init__(self, context: Context, endpoint: Endpoint) -> None:
        self._context = context
        self.endpoint = endpoint
        self._control: ByteStream | None = None
        self._opened = RoomOpened("", b"")
        self._lost = False

    @property
    def nameplate(self) -> str:
        """The room's number."""
        return self._opened.nameplate

    async def open(self, wanted: str | None) -> None:
        """Ask for the room `wanted`, or for any. Raises `RelayRefused`, `UnreachableError` or
        `AuthenticationError`."""
        await self._request(OpenRoom(wanted).frame(), wanted)

    async def _request(self, frame: Frame, wanted: str | None) -> None:
        stream = await dial_relay(self._context, self.endpoint)
        try:
            await write_frame(stream, frame)
            opened = read_opened(await read_frame(stream, FIRST_SECONDS))
            if wanted not in (None, opened.nameplate):
                raise RemoteProtocolError(
                    f"the relay {self.endpoint.url} opened another room than it was asked for; use"
                    " another relay"
                )
        except BaseException:
            await stream.aclose()
            raise
        self._control, self._opened = stream, opened

    async def guests(self) -> AsyncIterator[GuestWaiting]:
        """The guests that the relay announces, until cancelled; a lost relay is dialled again, with
        back-off."""
        backoff = 0.5
        while True:
            try:
                async for guest in self._announced():
                    backoff = 0.5
                    yield guest
            except RelayRefused as refusal:
                if refusal.number == Refusal.REPLACED:
                    raise
                self._context.reporter.note(f"{self.endpoint.url}: {refusal}; dialling it again")
            except TallowError as error:
                self._context.reporter.note(
                    f"lost the relay {self.endpoint.url} ({error}); dialling it again"
                )
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, MAX_BACKOFF_SECONDS)
            await self._reopen()

    async def _announced(self) -> AsyncIterator[GuestWaiting]:
        if self._control is None:
            return
        while True:
            frame = await read_frame(self._control, SILENCE_SECONDS)
            raise_refusal(frame)
            if frame.type == FrameType.RELAY_PING:
                await write_frame(self._control, PONG)
            elif frame.type == FrameType.RELAY_GUEST:
                yield read_guest(frame)
            else:
                raise RemoteProtocolError(
                    f"the relay {self.endpoint.url} sent frame {frame.type:#04x}, which has no"
                    " place there"
                )

    async def _reopen(self) -> None:
        if self._control is not None:
            await self._control.aclose()
            self._control = None
        try:
            await self._request(
                ResumeRoom(self.nameplate, self._opened.token).frame(), self.nameplate
            )
        except RelayRefused as refusal:
            if refusal.number in (Refusal.BAD_TOKEN, Refusal.NO_ROOM):
                await self._open_anew()
        except AuthenticationError:
            raise  # its key has changed: nothing that it says counts any more
        except TallowError as error:
            self._context.reporter.note(
                f"the relay {self.endpoint.url} still does not answer: {error}", 2
            )

    async def _open_anew(self) -> None:
        """The relay was restarted: ask for the same room."""
        try:
            await self.open(self.nameplate)
        except RelayRefused as refusal:
            if refusal.number == Refusal.TAKEN and not self._lost:
                self._lost = True
                self._context.reporter.warn(
                    f"the relay {self.endpoint.url} gave this code's number to somebody else"
                    " meanwhile"
                )
        except AuthenticationError:
            raise
        except TallowError as error:
            self._context.reporter.note(
                f"the relay {self.endpoint.url} still does not answer: {error}", 2
            )

    async def take(self, guest: GuestWaiting) -> ByteStream:
        """The connection that the relay splices to `guest`."""
        stream = await dial_relay(self._context, self.endpoint)
        try:
            await write_frame(
                stream, TakeGuest(self._opened.nameplate, self._opened.token, guest.id).frame()
            )
        except BaseException:
            await stream.aclose()
            raise
        return stream

    async def aclose(self) -> None:
        """Leave the room, which is free from then on."""
        stream, self._control = self._control, None
        if stream is None:
            return
        with contextlib.suppress(TallowError, TimeoutError):
            async with asyncio.timeout(1):
                await write_frame(stream, LEAVE)
        await stream.aclose()


async def open_rooms(context: Context, urls: tuple[str, ...], wanted: str | None) -> list[HostRoom]:
    """Open one room of the same number at each relay.

    The first relay that answers allocates; the others are asked for its number. A dead relay among
    several is a warning; none that answers is an `UnreachableError`; a pin that does not match is
    final.
    """
    rooms: list[HostRoom] = []
    problems: list[TallowError] = []
    # All are read before the first is dialled.
    for endpoint in [relay_endpoint(context, url) for url in urls]:
        room = HostRoom(context, endpoint)
        try:
            await room.open(rooms[0].nameplate if rooms else wanted)
        except (UnreachableError, TransportError, RemoteProtocolError) as error:
            problems.append(error)
            continue
        except BaseException:
            for opened in rooms:
                await opened.aclose()
            raise
        rooms.append(room)
    if urls and not rooms:
        if len(problems) == 1 and isinstance(problems[0], UnreachableError):
            raise problems[0]
        raise UnreachableError(
            f"no relay answered: {'; '.join(str(problem).rstrip('.') for problem in problems)}"
        )
    for problem in problems:
        context.reporter.warn(f"one relay is left out: {problem}")
    return rooms


def relay_urls(context: Context) -> tuple[str, ...]:
    """The relays that this command uses."""
    relay = context.settings.relay
    return relay.urls if relay.enabled else ()
