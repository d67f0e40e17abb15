"""When chunks are packed: the controller against links that exist in these tests only, with a clock
of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import pytest

from tallow_core.files.source.compression import (
    MAX_HOLD_BYTES,
    MAX_UNSAMPLED_FILES,
    MIN_CHUNK_BYTES,
    MIN_HOLD_BYTES,
    MIN_TRANSFER_BYTES,
    RESAMPLE_BYTES,
    SAMPLE_BYTES,
    Balance,
    Compression,
)
from tallow_core.types import ReadBuffer, WriteBuffer

MIB = 1 << 20
TEXT, MEDIA = 0, 1
"""The first byte of a chunk says what the compressor of these tests makes of it."""


@dataclass
class Clock:
    """Seconds, which pass when somebody works or waits."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


class Paper:
    """A compressor that makes chunks of text shorter by `ratio`, and takes `cost` seconds a
    byte."""

    def __init__(self, clock: Clock, ratio: float = 0.25, cost: float = 3e-9) -> None:
        self.clock, self.ratio, self.cost = clock, ratio, cost
        self.packed: list[int] = []

    def pack(self, data: ReadBuffer, /) -> ReadBuffer:
        self.packed.append(len(data))
        self.clock.now += len(data) * self.cost
        return frame_of(int(len(data) * (self.ratio if data[0] == TEXT else 1.0)))

    def unpack_into(self, packed: ReadBuffer, out: WriteBuffer, /) -> None:
        raise AssertionError("a sender unpacks nothing")


@dataclass
class Link:
    """A link that takes `rate` bytes a second and holds `room` bytes; sealing and copying cost a
    little. `content` is what the far end does with a byte of content, in seconds, before it takes
    the next record."""

    clock: Clock
    rate: float
    room: int = 4 * MIB
    content: float = 0.0
    copy: float = 0.5e-9
    free_at: float = 0.0

    def send(self, size: int, content: int) -> None:
        self.clock.now += size * self.copy
        self.free_at = max(self.free_at, self.clock.now) + max(
            size / self.rate, content * self.content
        )
        self.clock.now = max(self.clock.now, self.free_at - self.room / self.rate)


class Sender:
    """Sends chunks of a MiB, each a record, and keeps what became of them."""

    def __init__(
        self,
        rate: float,
        *,
        ratio: float = 0.25,
        cost: float = 3e-9,
        room: int = 4 * MIB,
        content: float = 0.0,
    ) -> None:
        self.clock = Clock()
        self.paper = Paper(self.clock, ratio, cost)
        self.packing = Compression(self.paper, self.clock)  # type: ignore[arg-type]
        self.link = Link(self.clock, rate, room, content)
        self.went: list[bool] = []
        self.bytes = 0
        self.packing.file(None)

    def send(self, count: int, kind: int = TEXT, size: int = MIB) -> float:
        """Send `count` chunks; the seconds it took until the link had them all."""
        began = self.clock.now
        chunk = chunk_of(kind, size)
        for _ in range(count):
            frame = self.packing.pack(chunk)
            self.went.append(frame is not None)
            travels = size if frame is None else len(frame)
            self.bytes += travels
            self.packing.sending()
            self.link.send(travels, size)
            self.packing.sent()
        self.clock.now = max(self.clock.now, self.link.free_at)
        return self.clock.now - began


@cache
def frame_of(size: int) -> bytes:
    """Something to send in place of a chunk."""
    return bytes(size)


@cache
def chunk_of(kind: int, size: int) -> memoryview:
    """A chunk of text or media."""
    return memoryview(bytes([kind]) + bytes(size - 1))


def raw_seconds(count: int, rate: float, content: float = 0.0) -> float:
    """The same without a compressor."""
    clock = Clock()
    link = Link(clock, rate, content=content)
    for _ in range(count):
        link.send(MIB, MIB)
    return max(clock.now, link.free_at)


@pytest.mark.parametrize("rate", [1e9, 3e9, 10e9])
def test_a_fast_link_gets_what_it_gets_without_after_a_few_mib(rate: float) -> None:
    sender = Sender(rate)
    seconds = sender.send(1024)
    assert sum(sender.went) <= 6, "MiB that were packed"
    assert not any(sender.went[8:])
    assert seconds < 1.03 * raw_seconds(1024, rate) + 6 * MIB * 3e-9


@pytest.mark.parametrize("rate", [1e5, 1e6, 1e7, 1e8])
@pytest.mark.parametrize("room", [64 << 10, 4 * MIB])
def test_a_slow_link_carries_packed_chunks_from_the_first(rate: float, room: int) -> None:
    sender = Sender(rate, room=room)
    seconds = sender.send(256)
    assert sender.went[0]
    assert sum(sender.went) >= 0.9 * 256
    assert seconds < 0.6 * raw_seconds(256, rate)


def test_where_packing_hardly_counts_nothing_is_tried() -> None:
    """On a slow link a trial would cost seconds and could win nothing."""
    sender = Sender(1e6, room=64 << 10)
    sender.send(300)
    assert all(sender.went)


@pytest.mark.parametrize("room", [64 << 10, 4 * MIB])
def test_a_link_that_becomes_slow_is_noticed_and_one_that_becomes_fast_too(room: int) -> None:
    sender = Sender(3e9, room=room)
    sender.send(200)
    assert not any(sender.went[-100:])
    sender.link.rate = 1e7
    sender.send(200)
    assert sum(sender.went[-150:]) >= 140
    sender.link.rate = 3e9
    sender.send(600)
    assert not any(sender.went[-100:])


def test_a_receiver_that_is_slow_by_itself_is_no_slow_link() -> None:
    """Its disk takes 400 MB/s, packed or not: packing would not help, and costs little where both
    ends work side by side."""
    sender = Sender(3e9, content=2.5e-9, cost=9e-9)
    seconds = sender.send(512)
    assert not any(sender.went[-256:])
    assert seconds < 1.1 * raw_seconds(512, 3e9, content=2.5e-9)


def test_a_compressor_slower_than_the_link_is_left_alone() -> None:
    sender = Sender(1e8, cost=50e-9)
    seconds = sender.send(512)
    assert sum(sender.went) < 0.1 * 512
    assert seconds < 1.1 * raw_seconds(512, 1e8)


@pytest.mark.parametrize("seed", range(5))
def test_noise_does_not_make_it_swing(seed: int) -> None:
    """One record in ten meets a stall of some milliseconds, as on a busy machine."""
    sender = Sender(3e9)
    for number in range(1024):
        whether, how_long, *_ = hashlib.sha256(b"%d %d" % (seed, number)).digest()
        if whether < 26:
            sender.link.free_at = sender.clock.now + how_long / 255 * 0.02
        sender.send(1)
    assert sum(sender.went) < 100


def test_media_are_sampled_and_left_alone() -> None:
    sender = Sender(1e7)
    sender.send(64, MEDIA)
    assert not any(sender.went)
    assert sum(sender.paper.packed[1:]) <= SAMPLE_BYTES * (64 * MIB // RESAMPLE_BYTES + 1)


def test_a_file_whose_content_changes_is_sampled_again() -> None:
    sender = Sender(1e7)
    sender.send(20, MEDIA)
    sender.send(40, TEXT)
    assert all(sender.went[40:])
    sender.send(40, MEDIA)
    sender.packing.file(None)
    sender.send(1, TEXT)
    assert sender.went[-1], "a new file is sampled at once"


def test_each_file_has_a_sample_of_its_own() -> None:
    sender = Sender(1e6, room=64 << 10)
    for kind in (TEXT, MEDIA) * 20:
        sender.packing.file(None)
        sender.send(1, kind, 200_000)
    assert sender.went == [True, False] * 20


def test_small_things_are_left_alone() -> None:
    sender = Sender(1e4)
    sender.send(10, TEXT, MIN_TRANSFER_BYTES // 10 - 1)
    assert sender.paper.packed == [], "a transfer that ends here imports no library"
    sender.send(100, TEXT, MIN_CHUNK_BYTES - 1)
    assert not any(sender.went)
    sender.packing.file(None)
    sender.send(1, TEXT, MIN_CHUNK_BYTES)
    assert sender.went[-1]


def record(balance: Balance, count: int, seconds: Callable[[bool], float]) -> list[bool]:
    """`count` records of a MiB, each in the way that the balance asks for."""
    ways = []
    for _ in range(count):
        ways.append(balance.packing)
        if balance.packing:
            balance.packed(MIB, 0.003)
        balance.record(balance.packing, MIB, seconds(balance.packing))
    return ways


def test_trials_become_rarer_and_come_back_after_a_change() -> None:
    """Where packing is a little faster, sending as it is is tried after 4, 8, 16 ... MiB, never
    after more than the most."""
    balance = Balance()
    ways = record(balance, 2048, lambda packed: 0.006 if packed else 0.009)
    runs, run = [], 0
    for packed in ways:
        if packed:
            run += 1
        elif run:
            runs.append(run)
            run = 0
    assert runs[0] == MIN_HOLD_BYTES // MIB
    assert runs == sorted(runs)
    assert runs[-1] == MAX_HOLD_BYTES // MIB
    assert ways.count(False) < 0.02 * len(ways)


def _small(sender: Sender, kinds: Sequence[int]) -> list[bool]:
    for kind in kinds:
        sender.packing.file(MIN_CHUNK_BYTES)
        sender.send(1, kind, MIN_CHUNK_BYTES)
    return sender.went[-len(kinds) :]


def test_small_files_that_do_not_shrink_are_sampled_more_rarely() -> None:
    sender = Sender(1e6, room=64 << 10)
    sender.send(1, TEXT, MIN_TRANSFER_BYTES)
    before = len(sender.paper.packed)
    _small(sender, [MEDIA] * 1000)
    assert (
        1000 / MAX_UNSAMPLED_FILES
        <= len(sender.paper.packed) - before
        < 1000 / MAX_UNSAMPLED_FILES + 2 * MAX_UNSAMPLED_FILES
    )
    found = _small(sender, [TEXT] * 20)
    assert found.index(True) < MAX_UNSAMPLED_FILES
    assert all(found[found.index(True) :]), (
        "one that shrinks is enough to look at all of them again"
    )


def test_small_files_of_both_kinds_are_all_sampled() -> None:
    sender = Sender(1e6, room=64 << 10)
    sender.send(1, TEXT, MIN_TRANSFER_BYTES)
    assert _small(sender, [TEXT, MEDIA] * 50) == [True, False] * 50


def test_a_larger_file_has_its_sample_whatever_the_small_ones_were() -> None:
    sender = Sender(1e6, room=64 << 10)
    sender.send(1, TEXT, MIN_TRANSFER_BYTES)
    _small(sender, [MEDIA] * 100)
    sender.packing.file(SAMPLE_BYTES + 1)
    sender.send(1, TEXT, SAMPLE_BYTES + 1)
    assert sender.went[-1]
