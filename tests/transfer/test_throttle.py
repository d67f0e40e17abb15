"""The limit on the rate: exact over seconds, with a clock of our own and with the real one."""

from __future__ import annotations

import asyncio
import time

import pytest

from tallow_core.cli.args.rates import parse_rate
from tallow_core.errors import UsageError
from tallow_core.files.record_buffer import PAYLOAD_BYTES
from tallow_core.transfer.throttle import CREDIT_SECONDS, Throttle


class Clock:
    """Time that passes when somebody sleeps, and a little too much then, as it does."""

    def __init__(self, late: float = 0.0) -> None:
        self.now = 1000.0
        self.sleeps = 0
        self._late = late

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds + self._late
        self.sleeps += 1


@pytest.mark.parametrize("rate", [1, 1000, 1_000_000, 3_333_333_333])
@pytest.mark.parametrize("share", [0.001, 0.1, 1.7])
@pytest.mark.parametrize("late", [0.0, 0.003])
def test_it_is_exact_over_seconds(rate: int, share: float, late: float) -> None:
    clock = Clock(late)
    throttle = Throttle(rate, clock, clock.sleep)
    count, began, moved = max(1, int(rate * share)), clock(), 0

    async def move() -> None:
        nonlocal moved
        while clock() - began < 10:
            await throttle.spend(count)
            moved += count

    asyncio.run(move())
    assert moved / (clock() - began) == pytest.approx(rate, rel=0.03)
    assert clock.sleeps <= moved / count


def test_what_was_not_used_is_not_saved_up() -> None:
    clock = Clock()
    throttle = Throttle(1000, clock, clock.sleep)

    async def move() -> None:
        await throttle.spend(1000)
        clock.now += 3600
        began = clock()
        await throttle.spend(1000)
        assert clock() - began == pytest.approx(1 - CREDIT_SECONDS)

    asyncio.run(move())


def test_no_limit_never_sleeps() -> None:
    clock = Clock()
    throttle = Throttle(0, clock, clock.sleep)
    asyncio.run(throttle.spend(1 << 60))
    assert clock.sleeps == 0
    assert throttle.portion == PAYLOAD_BYTES


@pytest.mark.parametrize(
    ("rate", "portion"), [(1, 4096), (100_000, 12_500), (1 << 40, PAYLOAD_BYTES)]
)
def test_portions(rate: int, portion: int) -> None:
    assert Throttle(rate).portion == portion


@pytest.mark.timing
def test_with_the_real_clock_it_is_close_and_not_busy() -> None:
    async def move() -> tuple[float, float]:
        throttle = Throttle(1_000_000)
        began, used = time.monotonic(), time.process_time()
        for _ in range(150):
            await throttle.spend(10_000)
        return time.monotonic() - began, time.process_time() - used

    wall, cpu = asyncio.run(move())
    assert wall == pytest.approx(1.5, rel=0.1)
    assert cpu < 0.5


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("1", 1),
        ("500k", 500_000),
        ("500kB", 500_000),
        ("2.5MB", 2_500_000),
        ("1G", 10**9),
        ("1 GB", 10**9),
        ("3m", 3_000_000),
        ("7B", 7),
    ],
)
def test_rates_as_they_are_typed(text: str, rate: int) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "fast", "1T", "1KiB", "1e6", "0.1", "1 000", "k", "\u0661k", "9" * 16]
)
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(UsageError, match="--throttle"):
        parse_rate(text)


def test_none_is_none() -> None:
    assert parse_rate(None) is None
