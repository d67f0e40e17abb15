"""How fast a path is, as its sender sees it, and whether the path is what limits the data.

The receiver reports what has arrived and how long it waited for more. The sender knows how long it
waited to send. Where both wait, the path is the limit. Where either does not, a file, a disk,
a throttle or a processor is, and any path would give the same.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

MAX_WINDOW_SECONDS = 8.0
MIN_WINDOW_SECONDS = 1.0
"""The shortest time over which a rate is measured. A shorter one says little."""
SILENCE_SECONDS = 1.0
"""A path that acknowledges nothing for longer counts as giving nothing."""
SOURCE_SECONDS, PATH_SECONDS = 0.5, 3.0
"""The times after which a path may be left for a better one: the first if something else is the
limit, the second in any case."""
FAIR_SECONDS, FAIR_BYTES = 3.0, 8 << 20
"""A fair trial of a new path: it begins slowly, and its first records say little."""
CLEAR_SECONDS = 2.0
SLOWER, CLEARLY = 0.8, 0.5
"""The parts of the former rate below which a path is slower: after a fair trial, and after
`CLEAR_SECONDS`."""


class _Sample(NamedTuple):
    at: float
    arrived: int
    held: float
    """The seconds that the sender has waited."""
    starved: float
    """The seconds that the receiver has waited."""


class Throughput:
    """Measures the rate of one path, from the first record that goes by it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began: float | None = None
        self._held = 0.0
        self._since: float | None = None
        self._samples: deque[_Sample] = deque()
        self._arrived = 0
        self.best = 0.0
        """The greatest rate so far, in bytes a second; 0 while none is known."""

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Count the time inside the block as time in which the sender waits for the path."""
        self._since = self._clock()
        self._began = self._since if self._began is None else self._began
        try:
            yield
        finally:
            self._held += self._clock() - self._since
            self._since = None

    def begin(self) -> None:
        """The receiver has read what another path carried, and reads from this one now."""
        self._samples = deque([_Sample(self._clock(), 0, self._held_now(), 0.0)])

    def arrived(self, size: int, starved: float) -> None:
        """The receiver has acknowledged `size` more bytes, and has waited `starved` seconds in
        all."""
        now = self._clock()
        self._arrived += size
        before = self._samples[-1].arrived if self._samples else 0
        self._samples.append(_Sample(now, before + size, self._held_now(), starved))
        while len(self._samples) > 2 and now - self._samples[1].at >= MAX_WINDOW_SECONDS:
            self._samples.popleft()
        first = self._samples[0]
        if now - first.at >= MIN_WINDOW_SECONDS:
            self.best = max(self.best, (before + size - first.arrived) / (now - first.at))

    def _held_now(self) -> float:
        return self._held + (0.0 if self._since is None else self._clock() - self._since)

    @property
    def rate(self) -> float:
        """Bytes a second: `best`, or the mean where the path was used too briefly for that."""
        seconds = 0.0 if self._began is None else self._clock() - self._began
        return self.best or (self._arrived / seconds if seconds else 0.0)

    @property
    def settled(self) -> bool:
        """Whether the rate of this path is known, or cannot be, so that it may be left for
        another."""
        if self._began is None:
            return False
        seconds = self._clock() - self._began
        return (
            self.best > 0
            or seconds >= PATH_SECONDS
            or (seconds >= SOURCE_SECONDS and self._held_now() < seconds / 2)
        )

    def slower_than(self, rate: float) -> bool:
        """Whether this path has had a fair trial, is the limit, and gives clearly less than `rate`
        bytes a second."""
        if not self._samples:
            return False
        now, first, last = self._clock(), self._samples[0], self._samples[-1]
        span = max(last.at, now - SILENCE_SECONDS) - first.at
        if span < CLEAR_SECONDS or self._held_now() - first.held < (now - first.at) / 2:
            return False
        if last.at > first.at and last.starved - first.starved < (last.at - first.at) / 2:
            return False
        size = last.arrived - first.arrived
        fair = span >= FAIR_SECONDS and (
            size >= FAIR_BYTES or span >= MAX_WINDOW_SECONDS - SILENCE_SECONDS
        )
        return size / span < rate * (SLOWER if fair else CLEARLY)
