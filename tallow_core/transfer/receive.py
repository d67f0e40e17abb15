"""Receiving: the guest's side of a transfer, from the code to the receipt.

Nothing that a sender says reaches the file system before the whole offer was checked and accepted,
and no file has its name before its hash was right.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from tallow_core.errors import (
    AuthenticationError,
    PolicyError,
    RefusedError,
    RemoteProtocolError,
    TallowError,
    TransportError,
)
from tallow_core.files.spool import Spool
from tallow_core.paths.lane_pool import LanePool
from tallow_core.paths.session_paths import open_paths
from tallow_core.protocol.handshake.code import Code
from tallow_core.protocol.lanes.record import RecordType
from tallow_core.protocol.lanes.session_messages import write_reason
from tallow_core.protocol.transfer.offer_pages import Offer
from tallow_core.rendezvous.approach import ProofsSpent
from tallow_core.rendezvous.guest import connect
from tallow_core.session.channel import StoppedError
from tallow_core.session.context import Context
from tallow_core.session.safety_check import Ask
from tallow_core.session.session import Session
from tallow_core.transfer.decision import Decision, Offered, ReceiveRun
from tallow_core.transfer.receiver import Receiver
from tallow_core.transfer.reconnect import ReconnectWindow
from tallow_core.transfer.session_report import announce_session

MIN_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.5, 15.0
"""The pause between attempts to find the sender again: the first and the longest. It doubles each
time."""
RETRYABLE = (TransportError, RemoteProtocolError, AuthenticationError, PolicyError, RefusedError)
"""The errors of an attempt to find the sender after which another one is made. Another peer may be
in the sender's place, or policy may close the only path that is left."""


Decide = Callable[[Offered], Awaitable[Decision]]
"""Asks the person or program that decides; may raise `RefusedError`, `UsageError` or
`FileSystemError`."""


async def fetch_payload(
    context: Context, code: Code, at: str | None, decide: Decide, ask: Ask
) -> None:
    """Find the sender, check the offer, ask `decide`, and receive; raises any `TallowError`.

    `ask` has the safety number of the other side typed in, where policy here wants that: before
    `decide`, and before anything is accepted.
    """
    run = ReceiveRun()
    try:
        await _sessions(context, code, at, run, decide, ask)
    except BaseException:
        if run.kept_in:
            step = "receive it again, with this code or a new one, to go on"
            context.reporter.warn(f"what was verified is kept in {run.kept_in}: {step}")
        raise


async def _sessions(
    context: Context, code: Code, at: str | None, run: ReceiveRun, decide: Decide, ask: Ask
) -> None:
    session, window = await connect(context, code, at), ReconnectWindow(context)
    while True:
        try:
            async with session:
                pool = open_paths(context, session)
                announce_session(context, session)
                with Spool() as spool:
                    await _receive(context, session, pool, run, spool, decide, ask)
                return
        except TransportError as error:
            if (
                run.earlier is None
                or isinstance(error, StoppedError)
                or not context.settings.session.reconnect
            ):
                raise
            lost = error
        window.lost(lost, run.before)
        session = await _redial(context, code, at, lost, window.deadline)


async def _receive(
    context: Context,
    session: Session,
    pool: LanePool,
    run: ReceiveRun,
    spool: Spool,
    decide: Decide,
    ask: Ask,
) -> None:
    receiver = Receiver(context, session, pool, run)
    offered = await receiver.offered(spool)
    try:
        if run.decision is not None:  # `offered` made sure that it is the sender of before
            decision = run.decision_for(offered.digest)
        else:
            _veto(context, offered.offer)
            await session.guard(session.safety.compare(context, ask))
            decision = await session.guard(_asked(decide, offered))
    except TallowError as error:
        # A session that has failed says so itself: that is no answer to the offer.
        if not session.scope.failed:
            await _refuse(session, error)
        raise
    await receiver.take(offered, decision)


async def _redial(
    context: Context, code: Code, at: str | None, lost: TransportError, deadline: float
) -> Session:
    """Find the sender again, by any path; raises `lost` when the time is over, or `ProofsSpent`."""
    loop, pause = asyncio.get_running_loop(), MIN_PAUSE_SECONDS
    said: set[str] = set()
    while True:
        try:
            async with asyncio.timeout_at(deadline):
                await asyncio.sleep(pause)
                return await connect(context, code, at)
        except ProofsSpent:
            raise
        except (TimeoutError, *RETRYABLE) as error:
            if not isinstance(error, TimeoutError | TransportError) and str(error) not in said:
                said.add(str(error))
                context.reporter.warn(
                    f"the sender was not found where it was ({error}); still looking"
                )
            if loop.time() + pause >= deadline:
                raise lost from error
            pause = min(2 * pause, MAX_PAUSE_SECONDS)


async def _asked(decide: Decide, offered: Offered) -> Decision:
    return await decide(offered)


def _veto(context: Context, offer: Offer) -> None:
    reason = context.plugins.veto("tallow_veto_offer", files=offer.files, size=offer.size)
    if reason is not None:
        raise RefusedError(f"a plugin refuses this offer: {reason}")


async def _refuse(session: Session, error: TallowError) -> None:
    """Refuse. What the sender need not know of this side (paths, free space) is not sent."""
    text = (
        str(error)
        if isinstance(error, RefusedError | AuthenticationError)
        else "it cannot be taken there"
    )
    with contextlib.suppress(TallowError):
        await session.post(RecordType.REFUSE, write_reason(error.exit_status, text), final=True)
