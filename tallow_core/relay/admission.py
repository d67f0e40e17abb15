"""The limits of a relay: connections in all and of one address, and the pace of joins
(docs/protocol/relay.md)."""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter, deque

from tallow_core.config.schema import RelayServerSettings

MAX_JOINS_PER_MINUTE, MAX_LANES_PER_MINUTE = 10, 48
"""Of one address for one nameplate: handshakes, and further connections of a session, which has up
to 16 and may be begun again."""


class Connections:
    """Counts connections. A connection is half-open until its first frame has come."""

    def __init__(self, limits: RelayServerSettings) -> None:
        self._limits = limits
        self.tasks: set[asyncio.Task[None]] = set()
        self._half_open: dict[asyncio.Task[None], str] = {}
        self._addresses: Counter[str] = Counter()

    def has_place(self, address: str) -> bool:
        """Whether one more connection from `address` fits. Ends the oldest half-open connection to
        make room: one of the same address, if that is at its own limit."""
        if self._addresses[address] >= self._limits.connections_per_address:
            return self._evict(address)
        return len(self.tasks) < self._limits.connections or self._evict(None)

    def _evict(self, address: str | None) -> bool:
        oldest = next(
            (task for task, other in self._half_open.items() if address in (None, other)), None
        )
        if oldest is None:
            return False
        del self._half_open[oldest]
        return oldest.cancel()

    def add(self, task: asyncio.Task[None], address: str, *, half_open: bool) -> None:
        """Count the connection that `task` serves, until the task ends."""
        if half_open:
            self._half_open[task] = address
        self.tasks.add(task)
        self._addresses[address] += 1
        task.add_done_callback(lambda ended: self._remove(ended, address))

    def first_frame_came(self, task: asyncio.Task[None] | None) -> None:
        """The connection of `task` is no longer half-open."""
        if task is not None:
            self._half_open.pop(task, None)

    def _remove(self, task: asyncio.Task[None], address: str) -> None:
        self.tasks.discard(task)
        self._half_open.pop(task, None)
        count_down(self._addresses, address)


class JoinPace:
    """Limits how often one address joins one nameplate."""

    def __init__(self, limits: RelayServerSettings) -> None:
        self._min_entries = limits.connections
        self._max_entries = limits.connections
        self._joins: dict[tuple[str, str, bool], deque[float]] = {}

    def admits(self, address: str, nameplate: str, lane: bool, now: float) -> bool:
        """Count a join at the monotonic time `now`; False if it is one too many within a minute."""
        if len(self._joins) > self._max_entries:
            self._forget(now)
        most = MAX_LANES_PER_MINUTE if lane else MAX_JOINS_PER_MINUTE
        times = self._joins.setdefault((address, nameplate, lane), deque(maxlen=most))
        if len(times) == most and now - times[0] < 60:
            return False
        times.append(now)
        return True

    def _forget(self, now: float) -> None:
        """Drop entries older than a minute. In a flood most are fresh, so the next walk over all is
        due at twice the number that is left."""
        self._joins = {
            key: times for key, times in self._joins.items() if times and now - times[-1] < 60
        }
        self._max_entries = max(self._min_entries, 2 * len(self._joins))


def count_down(counter: Counter[str], key: str) -> None:
    """Subtract one; drop the key at zero."""
    counter[key] -= 1
    if not counter[key]:
        del counter[key]


def network_of(address: str) -> str:
    """The unit that limits count as one address: an IPv4 address, or the /64 of an IPv6 one."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    prefix = 32 if parsed.version == 4 else 64
    return str(ipaddress.ip_network((parsed, prefix), strict=False))
