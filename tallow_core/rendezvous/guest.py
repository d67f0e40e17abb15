"""The guest: looks for the host on every path that is allowed.

Anybody may forge the answers of discovery and relays. So each answer is just one more try. Proofs
that no valid Done answers are counted against the guest's own budget of ten.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Literal

from tallow_core.errors import (
    AuthenticationError,
    BrokenOffError,
    PolicyError,
    RefusedError,
    TallowError,
    TransportError,
    UnreachableError,
)
from tallow_core.protocol.handshake.code import Code
from tallow_core.rendezvous import adverts
from tallow_core.rendezvous.approach import (
    Approach,
    Entrance,
    ProofsSpent,
    direct_approach,
    relay_approach,
)
from tallow_core.rendezvous.profile_checks import check_code, check_hidden
from tallow_core.rendezvous.relay_client import relay_endpoint, relay_urls
from tallow_core.session.context import Context
from tallow_core.session.session import Session
from tallow_core.spi.byte_stream import ByteStream
from tallow_core.spi.discovery import Discovery
from tallow_core.types import Endpoint

RELAY_DELAY_SECONDS = 2.0
"""The time that the relays wait if discovery has an answer already."""
LAST_LOOK_SECONDS = 0.6
"""The time for which discovery is asked for another answer after one has failed."""
DIAL_PAUSES_SECONDS = (0.3, 1.0)
"""The pauses before a place is dialled again that discovery named. Discovery names each place
once."""


async def connect(context: Context, code: Code, at: str | None) -> Session:
    """Find the host of `code` and prove ourselves. `at` is the one place to try, or None for
    discovery and the relays.

    Raises `UnreachableError` after `[receive] wait`, `AuthenticationError` for a wrong code,
    `PolicyError` if no suite is common or the profile forbids the code or the way.
    """
    check_code(context, code)
    check_hidden(context, relay_urls(context), "dial" if at is not None else None)
    search = _Search(context, code)
    endpoint = None if at is None else context.network.endpoint(at, "dial")
    context.reporter.note("Looking for the sender ...", 0)
    wait = context.settings.receive.wait
    try:
        async with asyncio.timeout(wait):
            return await (search.everywhere() if endpoint is None else search.at(endpoint))
    except TimeoutError:
        search.raise_problem()
        error = UnreachableError(
            f"nobody with that code was found within {wait:g} s; check the number, and that the"
            " sender is still waiting"
        )
        if at is None and not relay_urls(context):
            error.then("search elsewhere")
        raise error from None


class _Search:
    """One search for the host of a code."""

    def __init__(self, context: Context, code: Code) -> None:
        self._context = context
        self._code = code
        self._entrance = Entrance(context, code)
        # Policy is checked here, so that the person sees a refusal before the wait.
        context.policy.demand()
        context.network.check()
        self._problems: list[TallowError] = []
        self._dead: list[TransportError] = []
        self._relays_left = 0
        self._hints = 0

    def raise_problem(self) -> None:
        """Raise the most telling error so far, if there is one."""
        for kind in (AuthenticationError, PolicyError, RefusedError, TallowError):
            for problem in self._problems:
                if isinstance(problem, kind):
                    raise problem

    # -- where to look ---------------------------------------------------------------------------

    async def at(self, endpoint: Endpoint) -> Session:
        """Try one place; a host that is busy with strangers is asked again."""
        approach = direct_approach(self._context, endpoint, "direct")
        return await self._entrance.enter(approach, await approach.dial())

    async def everywhere(self) -> Session:
        """Ask discovery and every relay at once."""
        endpoints = [relay_endpoint(self._context, url) for url in relay_urls(self._context)]
        announced = await adverts.nameplates(self._context)
        drivers = adverts.drivers_beside(self._context, endpoints)
        if not endpoints and not drivers:
            raise PolicyError("there is no way to find the sender").then("name a way to the sender")
        head_start = RELAY_DELAY_SECONDS if self._code.nameplate in announced else 0.0
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
        """Try the answers of discovery, one after the other. This ends only when a try has failed
        and no other answer comes."""
        try:
            answers = driver.browse(self._code.nameplate)
        except Exception as error:
            adverts.leave_out(self._context, driver, error)
            return None
        pending: asyncio.Task[Endpoint] | None = None
        try:
            while True:
                pending = pending or asyncio.create_task(_next(answers))
                await asyncio.wait({pending}, timeout=LAST_LOOK_SECONDS)
                if pending.done():
                    try:
                        endpoint, pending = pending.result(), None
                    except StopAsyncIteration:
                        return None
                    except Exception as error:
                        adverts.leave_out(self._context, driver, error)
                        return None
                    if session := await self._hint(endpoint, driver):
                        return session
                elif self._final() and not self._relays_left:
                    return None
        finally:
            if pending is not None:
                pending.cancel()
                await asyncio.gather(pending, return_exceptions=True)

    async def _hint(self, endpoint: Endpoint, driver: Discovery) -> Session | None:
        """Try one answer of discovery. It may be forged or stale, so only the spent budget ends the
        search."""
        self._hints += 1
        try:
            # The scope that a driver states is not enough to go past a proxy.
            here = driver.scope == "host" and adverts.is_here(self._context, endpoint)
            kind: Literal["local", "direct"] = "local" if here else "direct"
            approach = direct_approach(self._context, endpoint, kind)
            return await self._entrance.enter(approach, await _dial_patiently(approach))
        except ProofsSpent:
            raise
        except TallowError as error:
            self._context.reporter.note(f"{endpoint.url} did not work: {error}")
            self._problems.append(error)
            return None
        finally:
            self._hints -= 1

    def _final(self) -> bool:
        """Whether an error so far is worth ending the search for. An unreachable place is not: a
        stale or forged answer may name it."""
        return any(not isinstance(problem, TransportError) for problem in self._problems)

    async def _room(self, endpoint: Endpoint, head_start: float, relays: int) -> Session | None:
        """Wait in the room of one relay. A pin that does not match ends the search. A dead relay
        ends it if it was the last one."""
        approach = relay_approach(self._context, endpoint)
        await asyncio.sleep(head_start)
        try:
            stream = await approach.dial()
            try:
                return await self._entrance.enter(approach, stream)
            except ProofsSpent:
                raise
            except BrokenOffError as error:
                # Nothing had begun yet: to the user, the relay was lost.
                self._problems.append(UnreachableError(str(error)))
            except TallowError as error:
                self._context.reporter.note(f"{approach.path.address} did not work: {error}")
                self._problems.append(error)
        except TransportError as error:
            self._dead.append(error)
            while self._hints:  # a handshake with what discovery found is under way
                await asyncio.sleep(0.1)
            if len(self._dead) == relays:
                sentences = "; ".join(str(dead) for dead in self._dead)
                raise UnreachableError(
                    sentences if relays == 1 else f"no relay answered: {sentences}"
                ) from None
            self._context.reporter.warn(f"one relay is left out: {error}")
        finally:
            self._relays_left -= 1
        return None


async def _dial_patiently(approach: Approach) -> ByteStream:
    """Dial, and dial again after a pause if that fails."""
    for pause in DIAL_PAUSES_SECONDS:
        try:
            return await approach.dial()
        except TransportError:
            await asyncio.sleep(pause)
    return await approach.dial()


async def _next(answers: AsyncIterator[Endpoint]) -> Endpoint:
    return await anext(answers)


async def _first(searches: list[Coroutine[Any, Any, Session | None]]) -> Session | None:
    """Return the first session that any search finds, and stop the other searches. Returns None if
    all end without a session."""
    tasks = {asyncio.create_task(search) for search in searches}
    try:
        pending = tasks
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in sorted(
                done, key=lambda task: task.exception() is not None
            ):  # sessions come before failures
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
