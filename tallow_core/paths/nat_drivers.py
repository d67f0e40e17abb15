"""Runs the nat drivers of one session: they gather addresses and make mappings, within deadlines. A
driver that fails is left out, with a warning."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack

from tallow_core.aio import Scope
from tallow_core.errors import TallowError, UnreachableError
from tallow_core.events import Reporter
from tallow_core.protocol.lanes.candidates import KINDS, MAX_DRIVER_DATA_BYTES, refusal
from tallow_core.spi.nat import Maps, Nat, Punches, Reach
from tallow_core.text import printable
from tallow_core.types import SocketAddress

GATHER_SECONDS = 2.0
SOON_SECONDS = 0.25
"""The time after which the results of the quick drivers are used without those of the slow ones."""
GRACE_SECONDS = 0.5
"""The time that a driver may take beyond its deadline."""
MAP_SECONDS = 5.0
"""The time limit to make a mapping. Taking it back may last one second."""
MAPPING_LIFETIME_SECONDS = 600.0
MAX_REACHES = 64
"""The most addresses that one gathering takes from one driver."""
MAX_MAPPED_BASES = 4


class NatDrivers:
    """The nat drivers of one session. `drivers` are in the order of policy. `changed` is called
    when a mapping is made or removed."""

    def __init__(
        self, drivers: Sequence[Nat], scope: Scope, reporter: Reporter, changed: Callable[[], None]
    ) -> None:
        self._drivers = list(drivers)
        self._scope = scope
        self._reporter = reporter
        self._changed = changed
        self._mapped: dict[tuple[Nat, SocketAddress], Reach] = {}
        self._mapping: dict[tuple[Nat, SocketAddress], asyncio.Task[None]] = {}

    @property
    def punching(self) -> list[tuple[Nat, Punches]]:
        """The drivers that can punch."""
        return [(driver, driver) for driver in self._drivers if isinstance(driver, Punches)]

    def leave_out(self, driver: Nat, why: BaseException | str) -> None:
        """Use `driver` no more in this session."""
        if driver in self._drivers:
            self._drivers.remove(driver)
            text = why if isinstance(why, str) else str(why) or type(why).__name__
            self._reporter.warn(f"the nat driver {driver.name} is left out: {printable(text)}")

    async def gather(self, bases: Sequence[SocketAddress]) -> AsyncIterator[list[Reach]]:
        """Yield the addresses that the drivers find, in the order of the drivers, and the mappings
        that stand. There is an early result if a driver takes longer than `SOON_SECONDS`."""
        found: dict[Nat, list[Reach]] = {driver: [] for driver in self._drivers}
        tasks = [
            self._scope.task(self._gather_one(driver, bases, into))
            for driver, into in found.items()
        ]
        try:
            pending = set(tasks)
            if tasks:
                _, pending = await asyncio.wait(tasks, timeout=SOON_SECONDS)
            if pending:
                yield self._all(found)
                await asyncio.wait(pending)
            yield self._all(found)
        finally:
            for task in tasks:
                task.cancel()

    def _all(self, found: dict[Nat, list[Reach]]) -> list[Reach]:
        return [reach for each in found.values() for reach in each] + list(self._mapped.values())

    async def _gather_one(
        self, driver: Nat, bases: Sequence[SocketAddress], into: list[Reach]
    ) -> None:
        deadline = asyncio.get_running_loop().time() + GATHER_SECONDS
        try:
            async with asyncio.timeout_at(deadline + GRACE_SECONDS):
                async for reach in driver.gather(tuple(bases), deadline, relay_view=None):
                    if len(into) < MAX_REACHES and _is_usable(reach):
                        into.append(reach)
        except TimeoutError:
            self.leave_out(driver, f"it went on for longer than {GATHER_SECONDS:g} s")
        except Exception as error:  # a plugin's: the session goes on
            self.leave_out(driver, error)

    # -- mappings --------------------------------------------------------------------------------

    def keep_mapped(self, bases: Sequence[SocketAddress]) -> None:
        """Map `bases` with every driver that can, and take all other mappings back."""
        wanted = {
            (driver, base)
            for driver in self._drivers
            if isinstance(driver, Maps)
            for base in bases[:MAX_MAPPED_BASES]
        }
        for key in [key for key in self._mapping if key not in wanted]:
            self._mapping.pop(key).cancel()
        for driver, base in wanted - self._mapping.keys():
            self._mapping[driver, base] = self._scope.task(self._hold(driver, base))

    async def _hold(self, driver: Nat, base: SocketAddress) -> None:
        assert isinstance(driver, Maps)
        stack = AsyncExitStack()
        try:
            async with asyncio.timeout(MAP_SECONDS):
                reach = await stack.enter_async_context(driver.map(base, MAPPING_LIFETIME_SECONDS))
            if _is_usable(reach):
                self._mapped[driver, base] = reach
                self._changed()
            await asyncio.Event().wait()
        except (UnreachableError, TimeoutError) as error:
            self._reporter.note(f"{driver.name} maps no port: {error or 'no answer in time'}", 2)
        except Exception as error:
            self.leave_out(driver, error)
        finally:
            self._mapped.pop((driver, base), None)
            await self._take_back(driver, stack)

    async def _take_back(self, driver: Nat, stack: AsyncExitStack) -> None:
        try:
            async with asyncio.timeout(1):
                await stack.aclose()
        except TimeoutError:
            self._reporter.note(f"{driver.name} did not take a mapping back in time", 2)
        except (TallowError, OSError) as error:
            self._reporter.note(f"{driver.name} did not take a mapping back: {error}", 2)
        except Exception as error:
            self.leave_out(driver, error)


def _is_usable(reach: Reach) -> bool:
    """Whether the core may list this address as a candidate. Any other is ignored."""
    try:
        address = ipaddress.ip_address(reach.address)
        ipaddress.ip_address(reach.base.host)
    except ValueError:
        return False
    return (
        reach.kind in KINDS
        and reach.protocol in ("tcp", "udp")
        and 0 <= reach.port <= 65535
        and bool(reach.port) is bool(reach.base.port)
        and len(reach.data) <= MAX_DRIVER_DATA_BYTES
        and not refusal(address)
    )
