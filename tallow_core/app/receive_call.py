"""Receiving from a program: nothing is printed, and no signal is handled.

Cancelling the call ends it as Ctrl-C ends the command: the other end hears of it, and what can be
resumed is kept.
"""

from __future__ import annotations

import os

from tallow_core.aio import detached
from tallow_core.app.callbacks import (
    AskNumber,
    OnEvent,
    OnNote,
    OnText,
    Word,
    composed,
    ignore,
    no_number,
    without_step,
)
from tallow_core.app.incoming_offer import Decide, Decisions
from tallow_core.config.schema import Settings
from tallow_core.errors import FileSystemError
from tallow_core.events import TextReceived, TransferDone
from tallow_core.protocol.handshake.code import parse_code
from tallow_core.session.context import Context
from tallow_core.text import printable
from tallow_core.transfer.receive import fetch_payload


async def receive(
    code: str,
    *,
    accept: Decide,
    at: str | None = None,
    settings: Settings | None = None,
    on_event: OnEvent = ignore,
    on_warning: OnText = ignore,
    on_note: OnNote = ignore,
    word: Word = without_step,
    ask_number: AskNumber = no_number,
) -> TransferDone:
    """Receive what was sent under `code`; return what was done.

    `accept` gets the whole offer and returns `Accept` or `Refuse`; it may be a coroutine function.
    It is called once for an offer, also if the connection is lost and comes back. `at` is the one
    place to look for the sender, as `[SCHEME://]HOST:PORT`. `settings` are the user's unless given.
    Raises any `TallowError`, `RefusedError` for what was refused.
    """
    parsed = parse_code(code)
    with composed(settings, on_event, on_warning, on_note, word) as (context, reporter):
        decide = Decisions(accept, context.settings)
        await fetch_payload(context, parsed, at, decide, ask_number)
        if decide.text is not None:
            await _hand_over(context, bytes(decide.text.data), decide.text_into)
        return reporter.result()


async def _hand_over(context: Context, data: bytes, descriptor: int | None) -> None:
    """A text, now that all of it was verified."""
    if descriptor is None:
        text = printable(data.decode(errors="replace"), lines=True)
        context.report(TextReceived(text))
        return

    def write() -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]

    try:
        await detached(write)
    except OSError as error:
        raise FileSystemError(f"standard output cannot be written: {error.strerror}") from error
