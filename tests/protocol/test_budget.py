"""Guess budgets: what is counted, and how fast."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallow_core.protocol.handshake.guess_budget import BURST, GUEST_PROOFS, Budget
from tallow_core.testing.fakes import FakeClock


class MemoryTally:
    """What a file would keep."""

    def __init__(self, count: int = 0) -> None:
        self.count = count

    def read(self) -> int:
        return self.count

    def write(self, count: int) -> None:
        self.count = count


@pytest.mark.parametrize("limit", [1, 10, 100])
def test_a_budget_is_void_when_it_is_spent(limit: int) -> None:
    budget = Budget(limit, MemoryTally())
    for _ in range(limit):
        assert not budget.void
        budget.charge()
    assert budget.void
    assert budget.spent == limit


def test_a_right_proof_costs_nothing() -> None:
    tally = MemoryTally()
    budget = Budget(10, tally)
    for _ in range(100):
        budget.charge()
        assert tally.count == 1
        budget.give_back()
    assert (budget.spent, tally.count) == (0, 0)


def test_t32_a_charge_is_kept_before_the_proof_is_compared() -> None:
    """A process that dies between the charge and the comparison has paid."""
    tally = MemoryTally()
    Budget(10, tally).charge()
    assert tally.count == 1
    assert Budget(10, tally).spent == 1


def test_t32_a_restart_resets_nothing() -> None:
    tally = MemoryTally()
    for _ in range(100):
        Budget(100, tally).charge()
    assert Budget(100, tally).void
    assert not Budget(101, tally).void


def test_a_tally_above_the_limit_is_void() -> None:
    assert Budget(10, MemoryTally(1000)).void


def test_clearing_forgets_what_was_charged() -> None:
    tally = MemoryTally(5)
    budget = Budget(10, tally)
    budget.clear()
    assert (budget.spent, tally.count) == (0, 0)


def test_ten_proofs_at_once_then_one_a_second() -> None:
    clock, budget = FakeClock(1000.0), Budget(100, MemoryTally())
    assert BURST == GUEST_PROOFS == 10
    assert [budget.delay(clock()) for _ in range(BURST)] == [0.0] * BURST
    for _ in range(20):
        wait = budget.delay(clock())
        assert wait == pytest.approx(1.0)
        clock.advance(wait)


def test_places_asked_for_at_once_follow_each_other() -> None:
    budget = Budget(100, MemoryTally())
    assert [budget.delay(5.0) for _ in range(13)] == [0.0] * 10 + [1.0, 2.0, 3.0]


def test_a_pause_gives_a_burst_and_no_more() -> None:
    budget = Budget(100, MemoryTally())
    for _ in range(BURST):
        budget.delay(0.0)
    assert [budget.delay(1e6) for _ in range(BURST)] == [0.0] * BURST
    assert budget.delay(1e6) == pytest.approx(1.0)


@settings(max_examples=200)
@given(st.lists(st.floats(0, 5), min_size=1, max_size=100))
def test_never_more_than_a_burst_and_one_a_second(pauses: list[float]) -> None:
    clock, budget = FakeClock(), Budget(1000, MemoryTally())
    checked = []
    for pause in pauses:
        clock.advance(pause)
        clock.advance(budget.delay(clock()))
        checked.append(clock())
    for first in range(len(checked)):
        for last in range(first, len(checked)):
            assert last - first + 1 <= BURST + (checked[last] - checked[first]) + 1e-6
