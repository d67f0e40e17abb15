"""Whether a path is the one that holds the data up, on a clock of the test's own."""

from __future__ import annotations

import pytest

from tallow_core.paths.throughput import (
    CLEARLY,
    FAIR_SECONDS,
    MAX_WINDOW_SECONDS,
    PATH_SECONDS,
    SLOWER,
    SOURCE_SECONDS,
    Throughput,
)

MB = 1_000_000


class Course:
    """A path on which so much arrives a second, each end waiting for a part of the time."""

    def __init__(self) -> None:
        self.now = 100.0
        self.throughput = Throughput(lambda: self.now)
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
            with self.throughput.sending():
                self.now += step * held
            self.now += step * (1 - held)
            self._starved += step * starved
            self.throughput.arrived(round(rate * step), self._starved)
        return self


def tried(rate: float, seconds: float = 10.0, **waiting: float) -> Throughput:
    """A new path after its trial."""
    course = Course()
    course.throughput.begin()
    return course.runs(seconds, rate, **waiting).throughput


@pytest.mark.parametrize("rate", [1 * MB, 20 * MB, 500 * MB])
def test_the_rate_is_what_arrived(rate: int) -> None:
    assert Course().runs(3, rate).throughput.best == pytest.approx(rate, rel=0.01)


def test_the_best_rate_stays() -> None:
    assert Course().runs(4, 20 * MB).runs(20, 2 * MB).throughput.best == pytest.approx(
        20 * MB, rel=0.01
    )


def test_what_a_path_gives_at_least_is_known_sooner() -> None:
    """It may be left after half a second, and then what it gave is what the next one must give."""
    course = Course().runs(SOURCE_SECONDS, 4 * MB, held=0.1)
    assert course.throughput.settled
    assert course.throughput.best == 0
    assert course.throughput.rate == pytest.approx(4 * MB, rel=0.01)
    assert Course().throughput.rate == 0


def test_no_rate_from_less_than_a_second() -> None:
    assert Course().runs(1, 20 * MB).throughput.best == 0


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
    assert tried(MB * SLOWER * 0.9, MAX_WINDOW_SECONDS + 1).slower_than(MB)


def test_it_begins_when_the_receiver_does() -> None:
    """While what went by the former path is still on its way, nothing can arrive by the new one."""
    course = Course()
    with course.throughput.sending():
        course.now += 10
    assert not course.throughput.slower_than(20 * MB)
    course.throughput.begin()
    assert not course.runs(4, 20 * MB).throughput.slower_than(20 * MB)


def test_a_path_by_which_nothing_comes() -> None:
    course = Course()
    course.throughput.begin()
    with course.throughput.sending():
        course.now += 4
        assert course.throughput.slower_than(20 * MB)


def test_a_path_that_becomes_slow() -> None:
    course = Course()
    course.throughput.begin()
    assert not course.runs(10, 20 * MB).throughput.slower_than(20 * MB)
    assert course.runs(10, 2 * MB).throughput.slower_than(20 * MB)


def test_when_a_path_is_known_well_enough_to_be_left() -> None:
    course = Course()
    assert not course.throughput.settled
    assert not course.runs(SOURCE_SECONDS - 0.25, MB, held=0).throughput.settled
    assert course.runs(0.25, MB, held=0).throughput.settled
    held = Course()
    assert not held.runs(1, MB).throughput.settled
    assert held.runs(0.25, MB).throughput.settled
    silent = Course()
    with silent.throughput.sending():
        silent.now += PATH_SECONDS - 0.1
        assert not silent.throughput.settled
        silent.now += 0.2
        assert silent.throughput.settled
