"""Guess budgets: how many wrong proofs of one code are allowed, and how fast they are checked
(docs/protocol/handshake.md, "Guess budgets").

A proof is charged before it is made or compared, and given back if it was right, so that breaking
off in between costs a guess too. The count belongs to the code, over every relay, listener and
redial. `Tally` keeps it over restarts.
"""

from __future__ import annotations

from typing import Protocol

BURST = 10
"""The number of proofs that the host checks at once, before the pace of one a second holds."""
GUEST_PROOFS = 10
"""The most proofs that a guest makes for one typed code without a valid Done."""


class Tally(Protocol):
    """Keeps the number of wrong proofs of one code."""

    def read(self) -> int:
        """The number so far."""

    def write(self, count: int) -> None:
        """Store `count` durably: it survives the end of the process."""


class Budget:
    """Counts proofs against a limit. The host also paces them: a burst of ten, then one a
    second."""

    def __init__(self, limit: int, tally: Tally) -> None:
        self.limit = limit
        self._tally = tally
        self.spent = tally.read()
        self._tokens = float(BURST)
        self._filled: float | None = None

    @property
    def void(self) -> bool:
        """Whether no proof is left."""
        return self.spent >= self.limit

    def charge(self) -> None:
        """Charge one proof. Must not be called when `void`."""
        self.spent += 1
        self._tally.write(self.spent)

    def give_back(self) -> None:
        """Undo one charge, because the proof was right."""
        self.spent -= 1
        self._tally.write(self.spent)

    def clear(self) -> None:
        """Set the count to zero, because the other end proved itself."""
        self.spent = 0
        self._tally.write(0)

    def delay(self, now: float) -> float:
        """Take the next place in the pace. Returns the seconds to wait before the proof may be
        checked; `now` is a monotonic time in seconds."""
        if self._filled is not None:
            self._tokens = min(float(BURST), self._tokens + now - self._filled)
        self._filled = now
        self._tokens -= 1
        return max(0.0, -self._tokens)
