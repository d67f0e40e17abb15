"""Sending: the host's side of a transfer, from the code to the receiver's receipt."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from tallow_core.errors import (
    LocalProtocolError,
    TallowError,
    TransportError,
    UnreachableError,
)
from tallow_core.rendezvous.host import CodeVoid, Host
from tallow_core.rendezvous.host_setup import open_host
from tallow_core.session.context import Context
from tallow_core.transfer.partial_send import PartialSend
from tallow_core.transfer.payloads import Payload
from tallow_core.transfer.reconnect import ReconnectWindow

if TYPE_CHECKING:
    from tallow_core.session.safety_check import Ask


async def serve_payload(
    context: Context, payload: Payload, phrase: str | None, ask: Ask, *, anew: bool = False
) -> None:
    """Report a code (or wait under `phrase`), and send `payload` to the peer that proves that it
    knows it.

    `ask` has the safety number of the other side typed in, where policy here wants that: before
    anything is offered. What an earlier transfer of the same sources left at the receiver is not
    sent again, unless `anew`.

    Raises any `TallowError`; a `FileSystemError` after the `done` event if something could not be
    read.
    """
    with contextlib.closing(payload):
        partial = PartialSend.prepare(
            context.settings.directories.state, payload.key, payload.entries(), anew=anew
        )
        await _host(context, payload, phrase, ask, partial)


async def _host(
    context: Context, payload: Payload, phrase: str | None, ask: Ask, partial: PartialSend
) -> None:
    """Serve under one code after another, until one receiver has everything."""
    while True:
        try:
            async with open_host(context, phrase) as host:
                await _serve(context, host, payload, ask, partial)
                return
        except (TransportError, asyncio.CancelledError):
            if partial.current is not None:
                context.reporter.warn(
                    "what the receiver has of it is not lost: send the same again to go on, with a"
                    " new code"
                )
            raise
        except CodeVoid as error:
            if phrase is not None:
                raise
            context.reporter.warn(f"{error}; here is a new one")


async def _serve(
    context: Context, host: Host, payload: Payload, ask: Ask, partial: PartialSend
) -> None:
    # The code is shown. The modules that a session needs are imported while a guest is on its
    # way.
    from tallow_core.paths.session_paths import open_paths
    from tallow_core.session.channel import StoppedError
    from tallow_core.transfer.sender import Sender, StrangerError

    wait = min(context.settings.send.wait, context.settings.send.lifetime)
    lost: TallowError = UnreachableError(
        f"no receiver came within {wait:g} s; send again for a new code"
    )
    window = ReconnectWindow(context)
    deadline = asyncio.get_running_loop().time() + wait
    while True:
        try:
            async with asyncio.timeout_at(deadline):
                session = await host.session()
        except TimeoutError:
            raise lost from None
        going_on = partial.current is not None
        sender: Sender | None = None
        try:
            async with session:
                sender = Sender(context, session, open_paths(context, session), payload, partial)
                await sender.run(ask)
            break
        except LocalProtocolError:
            raise
        except TallowError as error:
            connection = isinstance(error, TransportError)
            # Until a peer has proved to be the receiver of before, nothing it does ends the send.
            if sender is None:
                raise
            if isinstance(error, StrangerError) or (going_on and not sender.proved):
                context.reporter.warn(
                    "a peer that knows the code did not prove to be the receiver of before"
                    f" ({error}); still waiting"
                )
            elif connection and not sender.accepted and not going_on:
                context.reporter.warn(
                    f"the receiver left before it accepted anything ({error}); still waiting"
                )
            elif (
                not connection
                or partial.current is None
                or isinstance(error, StoppedError)
                or not context.settings.session.reconnect
            ):
                raise
            elif sender.accepted:
                window.lost(error, sender.before)
                lost, deadline = error, window.deadline
        host.again()
    partial.complete()
    sender.report()
