"""Whether a path is the one that holds the data up, on a clock of the test's own."""

from __future__ import annotations

import pytest

from tallow_core.paths.throughput import (
    CLEARLY,
    FAIR_SECONDS,
    PATH_SECONDS,
    SLOWER,
    SOURCE_SECONDS,
    WINDOW,
    Pace,
)

MB = 1_000_000


class Course:
    """A path on which so much arrives a second, each end waiting for a part of the time."""

    def __init__(self) -> None:
        self.now = 100.0
        self.pace = Pace(lambda: self.now)
        self._starved = 0.0

    def runs(
        self,
        seconds: float,
        rate: float,
        *,
        held: float = 1.0,
        starved: float = 1.0,
        step: float = 0.25,
    ) -> Course:
        """Let it run on."""
        for _ in range(round(seconds / step)):
            with self.pace.sending():
                self.now += step * held
            self.now += step * (1 - held)
            self._starved += step * starved
            self.pace.arrived(round(rate * step), self._starved)
        return self


def tried(rate: float, seconds: float = 10.0, **waiting: float) -> Pace:
    """A new path after its trial."""
    course = Course()
    course.pace.begin()
    return course.runs(seconds, rate, **waiting).pace


@pytest.mark.parametrize("rate", [1 * MB, 20 * MB, 500 * MB])
def test_the_rate_is_what_arrived(rate: int) -> None:
    assert Course().runs(3, rate).pace.best == pytest.approx(rate, rel=0.01)


def test_the_best_rate_stays() -> None:
    assert Course().runs(4, 20 * MB).runs(20, 2 * MB).pace.best == pytest.approx(20 * MB, rel=0.01)


def test_what_a_path_gives_at_least_is_known_sooner() -> None:
    """It may be left after half a second, and then what it gave is what the next one must give."""
    course = Course().runs(SOURCE_SECONDS, 4 * MB, held=0.1)
    assert course.pace.settled
    assert course.pace.best == 0
    assert course.pace.rate == pytest.approx(4 * MB, rel=0.01)
    assert Course().pace.rate == 0


def test_no_rate_from_less_than_a_second() -> None:
    assert Course().runs(1, 20 * MB).pace.best == 0


@pytest.mark.parametrize(
    ("part", "slower"), [(0.1, True), (0.7, True), (0.9, False), (1.0, False), (10.0, False)]
)
def test_a_path_is_judged_by_what_it_gives(part: float, slower: bool) -> None:
    assert tried(part * 20 * MB).slower_than(20 * MB) is slower


def test_nothing_is_slower_than_nothing() -> None:
    """Where the rate of the former path is not known the new one stays."""
    assert not tried(1000).slower_than(0)


@pytest.mark.parametrize(
    ("held", "starved"), [(0.1, 1.0), (1.0, 0.1), (0.1, 0.1)], ids=["source", "receiver", "both"]
)
def test_what_is_held_up_by_something_else_is_not_slower(held: float, starved: float) -> None:
    assert not tried(1 * MB, held=held, starved=starved).slower_than(20 * MB)


def test_a_trial_is_fair() -> None:
    """Very slow is seen soon; a little slower takes some seconds and some bytes, or many
    seconds."""
    rate = 20 * MB
    assert not tried(0, 1.5).slower_than(rate)
    assert tried(rate * CLEARLY * 0.9, 2.5).slower_than(rate)
    assert not tried(rate * SLOWER * 0.9, 2.5).slower_than(rate)
    assert tried(rate * SLOWER * 0.9, FAIR_SECONDS + 0.5).slower_than(rate)
    assert not tried(MB * SLOWER * 0.9, FAIR_SECONDS + 0.5).slower_than(MB)
    assert tried(MB * SLOWER * 0.9, WINDOW + 1).slower_than(MB)


def test_it_begins_when_the_receiver_does() -> None:
    """While what went by the former path is still on its way, nothing can arrive by the new one."""
    course = Course()
    with course.pace.sending():
        course.now += 10
    assert not course.pace.slower_than(20 * MB)
    course.pace.begin()
    assert not course.runs(4, 20 * MB).pace.slower_than(20 * MB)


def test_a_path_by_which_nothing_comes() -> None:
    course = Course()
    course.pace.begin()
    with course.pace.sending():
        course.now += 4
        assert course.pace.slower_than(20 * MB)


def test_a_path_that_becomes_slow() -> None:
    course = Course()
    course.pace.begin()
    assert not course.runs(10, 20 * MB).pace.slower_than(20 * MB)
    assert course.runs(10, 2 * MB).pace.slower_than(20 * MB)


def test_when_a_path_is_known_well_enough_to_be_left() -> None:
    course = Course()
    assert not course.pace.settled
    assert not course.runs(SOURCE_SECONDS - 0.25, MB, held=0).pace.settled
    assert course.runs(0.25, MB, held=0).pace.settled
    held = Course()
    assert not held.runs(1, MB).pace.settled
    assert held.runs(0.25, MB).pace.settled
    silent = Course()
    with silent.pace.sending():
        silent.now += PATH_SECONDS - 0.1
        assert not silent.pace.settled
        silent.now += 0.2
        assert silent.pace.settled
