"""The guest: looks for the host on every path that is allowed, and proves that it knows the code.

What discovery and relays answer is a hint that anybody may forge, so each answer is just one more
try, and proofs that no valid Done answers are counted against the guest's own budget of ten.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, Literal, NamedTuple

from tallow_core.config.suite_choice import why_no_common
from tallow_core.errors import (
    AuthenticationError,
    BrokenOffError,
    PolicyError,
    RefusedError,
    TallowError,
    TransportError,
    UnreachableError,
)
from tallow_core.offers import NoCommonDriver
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
from tallow_core.rendezvous.profile_checks import check_code, check_hidden, wishes
from tallow_core.rendezvous.relay_client import dial_relay, first_frame, relay_endpoint, relay_urls
from tallow_core.secrets import system_rng
from tallow_core.session.context import Context
from tallow_core.session.frame_io import best_effort, read_frame, read_some, write_frame
from tallow_core.session.session import Session
from tallow_core.spi.discovery import Discovery
from tallow_core.spi.transport import ByteStream
from tallow_core.types import Endpoint, NetworkPath, Role, Trust

DIAL_SECONDS = 10.0
DONE_SECONDS = 30.0
"""For Done: the host may check other proofs first, one a second."""
HEAD_START = 2.0
"""How long the relays wait where discovery has an answer already."""
LAST_LOOK = 0.6
"""How long discovery is asked for another answer after one has failed."""
RETRY_SECONDS = 1.0


class ProofsSpent(AuthenticationError):
    """Ten proofs of one typed code went unanswered."""

    code = "proofs-spent"


class _Approach(NamedTuple):
    """A path to try. `dial` connects; `first` reads the host's first frame, past what a relay says
    before it."""

    path: NetworkPath
    dial: Callable[[], Awaitable[ByteStream]]
    first: Callable[[ByteStream], Awaitable[Frame]]


async def connect(context: Context, code: Code, at: str | None) -> Session:
    """Find the host of `code` and prove ourselves. `at` is the one place to try, or None for
    discovery and the relays.

    Raises `UnreachableError` after `[receive] wait`, `AuthenticationError` for a wrong code,
    `PolicyError` if no suite is common or the profile forbids the code or the way.
    """
    check_code(context, code)
    check_hidden(
        context, relay_urls(context), "dialling the sender (--at)" if at is not None else ""
    )
    guest = _Guest(context, code)
    endpoint = None if at is None else context.endpoint(at, "tcp")
    context.reporter.note("Looking for the sender ...", 0)
    wait = context.settings.receive.wait
    try:
        async with asyncio.timeout(wait):
            return await (guest.search() if endpoint is None else guest.at(endpoint))
    except TimeoutError:
        guest.raise_problem()
        where = (
            ""
            if at is not None or relay_urls(context)
            else "; only this machine was searched: name the sender's --relay, or --at"
        )
        raise UnreachableError(
            f"nobody with that code was found within {wait:g} s; check the number, and that the"
            f" sender is still waiting{where}"
        ) from None


class _Guest:
    def __init__(self, context: Context, code: Code) -> None:
        self._context = context
        self._code = code
        self._budget = Budget(
            GUEST_PROOFS, FileTally(context.settings.directories.state, Role.GUEST, code.nameplate)
        )
        context.policy.demand()  # now: what policy refuses must be said before anybody waits
        self._problems: list[TallowError] = []
        self._dead: list[TransportError] = []
        self._relays_left = 0
        self._hints = 0

    def raise_problem(self) -> None:
        """Raise the most telling of what went wrong so far, if anything did."""
        for kind in (AuthenticationError, PolicyError, RefusedError, TallowError):
            for problem in self._problems:
                if isinstance(problem, kind):
                    raise problem

    # -- where to look ---------------------------------------------------------------------------

    async def at(self, endpoint: Endpoint) -> Session:
        """Try one place; a host that is busy with strangers is asked again."""
        way = self._direct(endpoint, "direct")
        return await self._enter(way, await way.dial())

    async def _enter(self, way: _Approach, stream: ByteStream) -> Session:
        """Meet the host; one that is busy with strangers is asked again, until the search ends."""
        while True:
            try:
                return await self._meet(way, stream)
            except Displaced:
                self._context.reporter.note(
                    f"{way.path.address}: too many others are trying; trying again"
                )
            await asyncio.sleep(RETRY_SECONDS)
            stream = await way.dial()

    async def search(self) -> Session:
        """Ask discovery and every relay at once."""
        endpoints = [relay_endpoint(self._context, url) for url in relay_urls(self._context)]
        announced = self._context.announced()
        drivers = self._context.discoveries
        if not endpoints and not drivers:
            raise PolicyError(
                "there is no way to find the sender: name a relay (--relay URL) or an address"
                " (--at HOST:PORT)"
            )
        head_start = HEAD_START if self._code.nameplate in announced else 0.0
        self._relays_left = len(endpoints)
        searches = [self._browse(driver) for driver in drivers]
        searches += [self._room(endpoint, head_start, len(endpoints)) for endpoint in endpoints]
        found = await _first(searches)
        if found is None:
            self.raise_problem()
            raise UnreachableError(
                "nobody with that code was found; check the number, and that the sender is still"
                " waiting"
            )
        return found

    async def _browse(self, driver: Discovery) -> Session | None:
        """Try what discovery answers, one after the other; ends only when a try has failed and
        nothing else turns up."""
        answers = driver.browse(self._code.nameplate)
        pending: asyncio.Task[Endpoint] | None = None
        try:
            while True:
                pending = pending or asyncio.create_task(_next(answers))
                await asyncio.wait({pending}, timeout=LAST_LOOK)
                if pending.done():
                    endpoint, pending = pending.result(), None
                    if session := await self._hint(self._direct(endpoint, "local")):
                        return session
                elif self._final() and not self._relays_left:
                    return None
        finally:
            if pending is not None:
                pending.cancel()
                await asyncio.gather(pending, return_exceptions=True)

    async def _hint(self, way: _Approach) -> Session | None:
        """Try an answer of discovery, which may be forged or stale: only the spent budget is
        final."""
        self._hints += 1
        try:
            return await self._enter(way, await self._dial_patiently(way))
        except ProofsSpent:
            raise
        except TallowError as error:
            self._context.reporter.note(f"{way.path.address} did not work: {error}")
            self._problems.append(error)
            return None
        finally:
            self._hints -= 1

    async def _dial_patiently(self, way: _Approach) -> ByteStream:
        """Discovery names a place once, so one that fails for a moment is dialled again."""
        for pause in (0.3, 1.0):
            try:
                return await way.dial()
            except TransportError:
                await asyncio.sleep(pause)
        return await way.dial()

    def _final(self) -> bool:
        """Whether what went wrong so far is worth ending the search for; what is merely unreachable
        may be a stale or forged answer."""
        return any(not isinstance(problem, TransportError) for problem in self._problems)

    async def _room(self, endpoint: Endpoint, head_start: float, relays: int) -> Session | None:
        """Wait in the room of one relay. A pin that does not match is final; a dead relay is, if it
        was the last."""
        way = self._relay(endpoint)
        await asyncio.sleep(head_start)
        try:
            stream = await way.dial()
            try:
                return await self._enter(way, stream)
            except ProofsSpent:
                raise
            except (
                BrokenOffError
            ) as error:  # nothing had begun yet: to the user, the relay was lost
                self._problems.append(UnreachableError(str(error)))
            except TallowError as error:
                self._context.reporter.note(f"{way.path.address} did not work: {error}")
                self._problems.append(error)
        except TransportError as error:
            self._dead.append(error)
            while self._hints:  # a handshake with what discovery found is under way
                await asyncio.sleep(0.1)
            if len(self._dead) == relays:
                sentences = "; ".join(str(dead).rstrip(".") for dead in self._dead)
                raise UnreachableError(
                    sentences if relays == 1 else f"no relay answered: {sentences}"
                ) from None
            self._context.reporter.warn(f"one relay is left out: {error}")
        finally:
            self._relays_left -= 1
        return None

    # -- how to get in ---------------------------------------------------------------------------

    def _direct(self, endpoint: Endpoint, kind: Literal["local", "direct"]) -> _Approach:
        async def dial() -> ByteStream:
            deadline = asyncio.get_running_loop().time() + DIAL_SECONDS
            return await self._context.transport(endpoint.scheme).dial(
                endpoint, deadline, trust=Trust.SESSION
            )

        return _Approach(
            NetworkPath(kind, endpoint.url, endpoint.scheme),
            dial,
            lambda stream: read_frame(stream, STATE_SECONDS),
        )

    def _relay(self, endpoint: Endpoint) -> _Approach:
        return _Approach(
            NetworkPath("relay", endpoint.url, endpoint.scheme),
            lambda: dial_relay(self._context, endpoint),
            first_frame,
        )

    async def _meet(self, way: _Approach, stream: ByteStream) -> Session:
        async def dial_lane() -> ByteStream:
            further = await way.dial()
            try:
                await write_frame(further, Join(self._code.nameplate, lane=True).frame())
            except BaseException:
                await further.aclose()
                raise
            return further

        try:
            drivers = self._context.drivers(
                way.path
            )  # before a word is said: a rule may close this path
            wait = min(MAX_WAIT_SECONDS, int(self._context.settings.receive.wait) + 1)
            await write_frame(stream, Join(self._code.nameplate, wait).frame())
            asked = wishes(self._context.policy.limits)
            machine = GuestHandshake(
                self._code, drivers, system_rng, self._context.veto_suite, asked
            )
            established = await self._handshake(machine, way.path, stream, await way.first(stream))
        except BaseException:
            await stream.aclose()
            raise
        return Session(self._context, Role.GUEST, established, stream, way.path, dial_lane)

    async def _handshake(
        self, machine: GuestHandshake, path: NetworkPath, stream: ByteStream, first: Frame
    ) -> Established:
        try:
            async with asyncio.timeout(STATE_SECONDS):
                machine.receive(first.encoded)
                await self._until(machine, stream, ProofDue)
            self._charge()
            machine.prove()
            async with asyncio.timeout(DONE_SECONDS):
                event = await self._until(machine, stream, Established)
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
        self, machine: GuestHandshake, stream: ByteStream, kind: type[ProofDue | Established]
    ) -> object:
        while not isinstance(event := machine.next_event(), kind):
            if data := machine.data_to_send():
                await stream.send(data)
            machine.receive(await read_some(stream, machine.wants))
        return event


async def _next(answers: AsyncIterator[Endpoint]) -> Endpoint:
    return await anext(answers)


async def _first(searches: list[Coroutine[Any, Any, Session | None]]) -> Session | None:
    """The first session that any search finds; the others are stopped. None once all have ended
    without one."""
    tasks = {asyncio.create_task(search) for search in searches}
    try:
        pending = tasks
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in sorted(
                done, key=lambda task: task.exception() is not None
            ):  # a session counts before a failure
                if session := task.result():
                    tasks.discard(task)
                    return session
        return None
    finally:
        for task in tasks:
            task.cancel()
        for surplus in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(surplus, Session):
                await surplus.channel.lane.aclose()
