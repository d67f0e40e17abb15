"""Guess budgets: how many wrong proofs one code stands, and how fast they are checked.

A proof is charged before it is made or compared, and given back if it was right, so that nothing
that breaks off in between is free. The count belongs to the code, over every relay, listener and
redial; `Tally` keeps it over restarts too.
"""

from __future__ import annotations

from typing import Protocol

BURST = 10
GUEST_PROOFS = 10
"""Proofs that a guest makes for one typed code without a valid Done."""


class Tally(Protocol):
    """Where the number of wrong proofs of a code is kept."""

    def read(self) -> int:
        """The number so far."""

    def write(self, count: int) -> None:
        """Keep `count`; returns when it would survive the end of the process."""


class Budget:
    """Counts proofs against a limit; the host's also paces them: a burst of ten, then one a
    second."""

    def __init__(self, limit: int, tally: Tally) -> None:
        self.limit = limit
        self._tally = tally
        self.spent = tally.read()
        self._tokens = float(BURST)
        self._filled: float | None = None

    @property
    def void(self) -> bool:
        """No proof is left."""
        return self.spent >= self.limit

    def charge(self) -> None:
        """Charge one proof; call only if not `void`."""
        self.spent += 1
        self._tally.write(self.spent)

    def give_back(self) -> None:
        """The proof was right."""
        self.spent -= 1
        self._tally.write(self.spent)

    def clear(self) -> None:
        """The other end proved itself: what was charged for this code no longer counts."""
        self.spent = 0
        self._tally.write(0)

    def delay(self, now: float) -> float:
        """Take the next place in the pace; returns the seconds to wait before the proof may be
        checked."""
        if self._filled is not None:
            self._tokens = min(float(BURST), self._tokens + now - self._filled)
        self._filled = now
        self._tokens -= 1
        return max(0.0, -self._tokens)
