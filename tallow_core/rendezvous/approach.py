"""The approach to the host: a path to it, and the guest's side of the handshake on that path."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal, NamedTuple

from tallow_core.config.suite_choice import why_no_common
from tallow_core.errors import AuthenticationError, PolicyError, UnreachableError
from tallow_core.offers import NoCommonDriver
from tallow_core.paths.connection_streams import StreamSource
from tallow_core.protocol.codec.frame import Frame
from tallow_core.protocol.handshake.code import Code
from tallow_core.protocol.handshake.guess_budget import GUEST_PROOFS, Budget
from tallow_core.protocol.handshake.guest_handshake import GuestHandshake
from tallow_core.protocol.handshake.handshake_machine import (
    STATE_SECONDS,
    Displaced,
    Established,
    ProofDue,
)
from tallow_core.protocol.handshake.join import MAX_WAIT_SECONDS, Join
from tallow_core.rendezvous.guess_counter import FileTally
from tallow_core.rendezvous.profile_checks import wishes
from tallow_core.rendezvous.relay_client import dial_relay, first_frame
from tallow_core.secrets import system_rng
from tallow_core.session.context import Context
from tallow_core.session.frame_io import best_effort, read_frame, read_some, write_frame
from tallow_core.session.session import Session
from tallow_core.spi.byte_stream import ByteStream
from tallow_core.types import Endpoint, NetworkPath, Role, Trust

DIAL_SECONDS = 10.0
DONE_SECONDS = 30.0
"""The time to wait for Done. The host may check other proofs first, one a second."""
RETRY_SECONDS = 1.0


class ProofsSpent(AuthenticationError):
    """Ten proofs of one typed code went unanswered."""

    code = "proofs-spent"


class Approach(NamedTuple):
    """A path to try. `dial` opens a stream on it; `first` reads the host's first frame, past what a
    relay says before it."""

    path: NetworkPath
    dial: Callable[[], Awaitable[ByteStream]]
    first: Callable[[ByteStream], Awaitable[Frame]]


def direct_approach(
    context: Context, endpoint: Endpoint, kind: Literal["local", "direct"]
) -> Approach:
    """The way to an endpoint of the host's own."""
    path = NetworkPath(kind, endpoint.url, context.network.transport(endpoint.scheme).name)

    async def dial() -> ByteStream:
        deadline = asyncio.get_running_loop().time() + DIAL_SECONDS
        return await context.network.dial(endpoint, deadline, path, trust=Trust.SESSION)

    return Approach(path, StreamSource(dial).open, _first_direct)


async def _first_direct(stream: ByteStream) -> Frame:
    return await read_frame(stream, STATE_SECONDS)


def relay_approach(context: Context, endpoint: Endpoint) -> Approach:
    """The way through a relay."""
    path = NetworkPath("relay", endpoint.url, context.network.transport(endpoint.scheme).name)

    async def dial() -> ByteStream:
        return await dial_relay(context, endpoint)

    return Approach(path, StreamSource(dial).open, first_frame)


class Entrance:
    """Proves one code to hosts, and counts the proofs that no valid Done answers."""

    def __init__(self, context: Context, code: Code) -> None:
        self._context = context
        self._code = code
        tally = FileTally(context.settings.directories.state, Role.GUEST, code.nameplate)
        self._budget = Budget(GUEST_PROOFS, tally)

    async def enter(self, approach: Approach, stream: ByteStream) -> Session:
        """Meet the host; one that is busy with strangers is asked again, until cancelled."""
        while True:
            try:
                return await self._meet(approach, stream)
            except Displaced:
                self._context.reporter.note(
                    f"{approach.path.address}: too many others are trying; trying again"
                )
            await asyncio.sleep(RETRY_SECONDS)
            stream = await approach.dial()

    async def _meet(self, approach: Approach, stream: ByteStream) -> Session:
        async def dial_lane() -> ByteStream:
            further = await approach.dial()
            try:
                await write_frame(further, Join(self._code.nameplate, lane=True).frame())
            except BaseException:
                await further.aclose()
                raise
            return further

        try:
            # Before a word is said: a rule may close this path.
            drivers = self._context.drivers(approach.path)
            wait = min(MAX_WAIT_SECONDS, int(self._context.settings.receive.wait) + 1)
            await write_frame(stream, Join(self._code.nameplate, wait).frame())
            asked = wishes(self._context.policy.limits)
            machine = GuestHandshake(
                self._code, drivers, system_rng, self._context.veto_suite, asked
            )
            first = await approach.first(stream)
            established = await self._handshake(machine, approach.path, stream, first)
        except BaseException:
            await stream.aclose()
            raise
        return Session(self._context, Role.GUEST, established, stream, approach.path, dial_lane)

    async def _handshake(
        self, machine: GuestHandshake, path: NetworkPath, stream: ByteStream, first: Frame
    ) -> Established:
        try:
            async with asyncio.timeout(STATE_SECONDS):
                machine.receive(first.encoded)
                await _until(machine, stream, ProofDue)
            self._charge()
            machine.prove()
            async with asyncio.timeout(DONE_SECONDS):
                event = await _until(machine, stream, Established)
        except TimeoutError:
            raise UnreachableError(
                "the other side stopped in the middle of the handshake; try again"
            ) from None
        except NoCommonDriver as error:
            raise PolicyError(why_no_common(self._context.policy, path, error)) from None
        finally:
            if alert := machine.data_to_send():
                await best_effort(stream, alert)
        assert isinstance(event, Established)
        self._budget.clear()
        return event

    def _charge(self) -> None:
        if self._budget.void:
            raise ProofsSpent(
                f"{GUEST_PROOFS} tries with this number did not reach the sender: somebody may be"
                " answering in its place;"
                " ask the sender for a new code"
            )
        self._budget.charge()


async def _until(
    machine: GuestHandshake, stream: ByteStream, kind: type[ProofDue | Established]
) -> object:
    while not isinstance(event := machine.next_event(), kind):
        if data := machine.data_to_send():
            await stream.send(data)
        machine.receive(await read_some(stream, machine.wants))
    return event
