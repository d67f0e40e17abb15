"""Questions: on standard error, answered by one line of standard input, be that a terminal or a
pipe."""

from __future__ import annotations

import asyncio
import os

from tallow_core.aio import detached
from tallow_core.cli.views.output import say

MAX_ANSWER_BYTES = 4096


async def ask(question: str, *, quietly: bool = False) -> str | None:
    """Ask, and return the answer without its line feed; None at the end of input. `quietly`: print
    the question on a terminal only.

    Read byte by byte from the descriptor: what follows the line belongs to the next question, and
    an interpreter that ends while a thread waits inside `sys.stdin` would crash.
    """
    shown = os.isatty(0) or not quietly
    if shown:
        say(question, end="")
    try:
        answer = await _next_line()
    except asyncio.CancelledError:
        if shown:
            say("")  # what ended the question is said on a line of its own
        raise
    if shown and (answer is None or not os.isatty(0)):
        say("")
    return answer


_reading: asyncio.Task[str | None] | None = None
"""A read that is under way. One whose question was taken back goes on: the next question waits for
it, or two would share a line."""


async def _next_line() -> str | None:
    global _reading
    if _reading is None or _reading.done():
        _reading = asyncio.create_task(detached(_line))
    return await asyncio.shield(_reading)


def _line() -> str | None:
    line = bytearray()
    try:
        while len(line) < MAX_ANSWER_BYTES and (byte := os.read(0, 1)) not in (b"", b"\n"):
            line += byte
    except OSError:
        return None
    if not line and byte == b"":
        return None
    return line.decode(errors="replace").strip()
