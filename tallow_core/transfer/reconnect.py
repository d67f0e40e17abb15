"""The time for which both ends wait for a connection that was lost."""

from __future__ import annotations

import asyncio

from tallow_core.errors import TallowError
from tallow_core.events import ConnectionLost
from tallow_core.session.context import Context
from tallow_core.transfer.progress import Amount


class ReconnectWindow:
    """`[session] reconnect` seconds from a loss on. A new loss moves the end only if the receiver
    has more than at any loss before."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._most = -1
        self.deadline = 0.0
        """The deadline, in seconds of the loop's time."""

    def lost(self, error: TallowError, before: Amount) -> None:
        """Report that the connection was lost and is dialled again; `before` was with the receiver
        when the session began."""
        now = asyncio.get_running_loop().time()
        if sum(before) > self._most:
            self._most, self.deadline = sum(before), now + self._context.settings.session.reconnect
        seconds = max(0.0, round(self.deadline - now, 3))
        self._context.report(ConnectionLost(str(error), seconds))
        self._context.reporter.warn(
            f"the connection was lost ({error}); it is dialled again for {seconds:.0f} s, and goes"
            " on where it was"
        )
