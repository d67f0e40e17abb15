"""Sending from a program: nothing is printed, and no signal is handled.

Cancelling the call ends it as Ctrl-C ends the command: the other end hears of it, and what can be
resumed is kept.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

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
from tallow_core.config.schema import Settings
from tallow_core.errors import UsageError
from tallow_core.events import TransferDone
from tallow_core.files.source.tree_filter import TreeOptions
from tallow_core.transfer.payloads import FilesPayload, Payload, StreamPayload, TextPayload
from tallow_core.transfer.send import serve_payload


async def send(
    paths: Iterable[str | os.PathLike[str]] = (),
    *,
    text: str | None = None,
    stream: int | None = None,
    code: str | None = None,
    follow: bool = False,
    git: bool = False,
    exclude: Sequence[str] = (),
    anew: bool = False,
    settings: Settings | None = None,
    on_event: OnEvent = ignore,
    on_warning: OnText = ignore,
    on_note: OnNote = ignore,
    word: Word = without_step,
    ask_number: AskNumber = no_number,
) -> TransferDone:
    """Send files and folders, or a `text`, or what is read from the open descriptor `stream`, to
    the peer that proves to know the code; return what was done.

    The code is made and comes with the event `CodeReady`, unless `code` is one that was agreed on.
    `follow`, `git`, `exclude` and `anew` are those of `tallow send`; `settings` are the user's
    unless given. Raises any `TallowError`; a `FileSystemError` after the event `TransferDone` if a
    part could not be read.
    """
    payload = _payload([os.fspath(path) for path in paths], text, stream, (follow, git, exclude))
    with composed(settings, on_event, on_warning, on_note, word) as (context, reporter):
        await serve_payload(context, payload, code, ask_number, anew=anew)
        return reporter.result()


def _payload(
    paths: list[str],
    text: str | None,
    stream: int | None,
    filters: tuple[bool, bool, Sequence[str]],
) -> Payload:
    if bool(paths) + (text is not None) + (stream is not None) != 1:
        raise UsageError("name what to send: paths, a text or a stream, and one of them only")
    if text is not None:
        return TextPayload(text)
    if stream is not None:
        return StreamPayload(stream)
    follow, git, exclude = filters
    return FilesPayload(paths, TreeOptions(follow, git, tuple(exclude)))
