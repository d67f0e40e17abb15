"""Comparing the safety number of a session, where the policy of either end asks for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from tallow_core.errors import AuthenticationError
from tallow_core.events import SafetyShown
from tallow_core.protocol.handshake.handshake_machine import Established, Wish
from tallow_core.protocol.handshake.safety_number import safety_number, same_number
from tallow_core.session.context import Context
from tallow_core.types import Role

TRIES = 3
"""The number of tries. People mistype, and three tries at 10^15 numbers are of no use to an
attacker."""

Ask: TypeAlias = Callable[[], Awaitable[str]]
"""Asks the person for the number that the other side reads out; raises `UsageError` if no
answer comes."""


class SafetyNumber:
    """Both halves for one end of a session. Make it when the session begins: a rekey replaces the
    root that it comes from."""

    def __init__(self, established: Established, role: Role) -> None:
        self._asked = Wish.SAFETY in established.ours
        self.wanted = Wish.SAFETY in established.ours | established.theirs
        self._own = safety_number(established.schedule, role)
        self._theirs = safety_number(established.schedule, role.peer)

    def show(self, context: Context) -> None:
        """The `safety` event, if either end asks for the comparison."""
        if self.wanted:
            context.report(SafetyShown(say=self._own, asked=self._asked))

    async def compare(self, context: Context, ask: Ask) -> None:
        """Have the other side's number typed in, if this end's policy asks for it. Raises
        `AuthenticationError` if the numbers differ."""
        for left in range(TRIES if self._asked else 0, 0, -1):
            typed = await ask()
            if same_number(typed, self._theirs):
                return
            what = (
                "the number of this side"
                if same_number(typed, self._own)
                else "not the number of the other side"
            )
            if left > 1:
                context.reporter.warn(f"that is {what}; have it read out again, group by group")
        if self._asked:
            raise AuthenticationError(
                "the number that was typed in is not the other side's: somebody may stand between;"
                " nothing was handed over, so begin again with a new code"
            )
