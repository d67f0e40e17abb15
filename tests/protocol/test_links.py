"""Machines over links that lose: whatever a link does to the bytes, there is a whole session or
none, a whole transfer or none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeAlias

import pytest

from tallow_core.directories import user_directories
from tallow_core.errors import BrokenOffError, TallowError, UnreachableError
from tallow_core.plugin_settings import DriverSettings
from tallow_core.protocol.lanes.lane_join import CONTROL_KEYS
from tallow_core.protocol.lanes.record import RecordType
from tallow_core.session.frame_io import read_frame
from tallow_core.session.lane import Lane
from tallow_core.spi.transport import ByteStream
from tallow_core.testing.checks.stream_checks import pair
from tallow_core.testing.fakes import seeded_rng
from tallow_core.testing.links import DatagramLink, LossyStream, StreamFaults
from tallow_core.testing.memory_transport import MemoryTransport
from tallow_core.types import Role
from tests.kit.machines import DONE, PROVE, End, converse, established, guest, host

PATIENCE = 30.0
Faults: TypeAlias = StreamFaults


@asynccontextmanager
async def linked(to_host: Faults, to_guest: Faults) -> Any:
    """The two ends of a stream in memory, each behind its half of the link."""
    async with pair(MemoryTransport, DriverSettings(user_directories())) as (_, client, server):
        yield LossyStream(server, to_host), LossyStream(client, to_guest)


def run(work: Any) -> Any:
    return asyncio.run(asyncio.wait_for(work, PATIENCE))


async def speak(end: End, stream: ByteStream) -> int:
    """Feed the machine from the stream until it is over; returns how many bytes it was given."""
    given, buffer = 0, bytearray(4096)
    while True:
        await stream.send(*(frame.encoded for frame in end.take()))
        if end.over:
            return given
        count = await stream.receive_into(buffer)
        if count == 0:
            return given
        given += count
        end.feed(bytes(buffer[:count]))


async def meet(to_host: Faults, to_guest: Faults) -> tuple[End, End, int, int]:
    """A handshake over a link; also how many bytes each end was given. An end that gives up closes
    its stream."""
    a, b = host(), guest()
    async with linked(to_host, to_guest) as (left, right):

        async def one(end: End, stream: ByteStream) -> int:
            try:
                return await speak(end, stream)
            except BrokenOffError:
                return 0
            finally:
                await stream.aclose()

        counts = await asyncio.gather(one(a, left), one(b, right))
    return a, b, *counts


CLEAN = StreamFaults()
_, _, TO_HOST, TO_GUEST = run(meet(CLEAN, CLEAN))
"""Bytes that an undisturbed handshake sends each way."""


def flipped(at: int) -> Faults:
    return StreamFaults(flip=8 * at + at % 8, step=64)


def cut_off(at: int) -> Faults:
    return StreamFaults(cut=at)


def both(a: End, b: End) -> bool:
    return a.established is not None and b.established is not None


@pytest.mark.parametrize("step", [1, 2, 7, 1000])
def test_a_link_that_only_splits_does_no_harm(step: int) -> None:
    a, b, *_ = run(meet(StreamFaults(step=step), StreamFaults(step=step)))
    assert both(a, b)


def test_the_plain_link_changes_nothing() -> None:
    a, b, *_ = run(meet(CLEAN, CLEAN))
    assert both(a, b)
    assert min(TO_HOST, TO_GUEST) > 100


@pytest.mark.parametrize(
    ("size", "turned"), [(TO_HOST, False), (TO_GUEST, True)], ids=["to host", "to guest"]
)
@pytest.mark.parametrize(
    "fault",
    [lambda at: StreamFaults(flip=8 * at + at % 8, step=64), lambda at: StreamFaults(cut=at)],
    ids=["flip", "cut"],
)
def test_t23_no_session_comes_over_a_link_that_corrupts_or_cuts(
    size: int, turned: bool, fault: Callable[[int], Faults]
) -> None:
    """At every 13th byte, and at the last one: never do both ends believe in a session."""

    async def everywhere() -> None:
        for at in {*range(0, size, 13), size - 1}:
            try:
                async with asyncio.timeout(1):
                    a, b, *_ = await meet(*((CLEAN, fault(at)) if turned else (fault(at), CLEAN)))
            except TimeoutError:
                continue  # a length that grew is waited for, until the program's clock ends it
            assert not both(a, b), f"byte {at}"

    run(everywhere())


def test_a_link_that_stalls_ends_at_the_deadline() -> None:
    async def stall() -> None:
        async with linked(StreamFaults(stall=3), CLEAN) as (left, right):
            await right.send(*(frame.encoded for frame in host().take()))
            with pytest.raises(UnreachableError, match="did not answer within"):
                await read_frame(left, 0.05)
            assert left.received == 3

    run(stall())


RECORDS = [bytes([number]) * size for number, size in enumerate((0, 1, 100, 3000, 17))]


async def transfer(faults: Faults) -> tuple[list[bytes], bool, TallowError | None]:
    """Records through a lane, the last one final: what came, whether the receiver took it for all,
    and what went wrong."""
    sending, receiving = established()
    got: list[bytes] = []
    async with linked(CLEAN, faults) as (left, right), AsyncExitStack() as stack:
        source, target = (
            Lane(left, CONTROL_KEYS, sending, Role.HOST),
            Lane(right, CONTROL_KEYS, receiving, Role.GUEST),
        )
        stack.push_async_callback(source.aclose)
        stack.push_async_callback(target.aclose)
        for number, body in enumerate(RECORDS):
            await source.put(RecordType.DATA, body, final=number == len(RECORDS) - 1)
        await left.send_eof()
        try:
            while not target.opener.finished:
                got.append(bytes((await target.next_record())[1]))
        except TallowError as error:
            return got, target.opener.finished, error
    return got, True, None


def test_t23_records_over_a_cut_link_are_never_a_short_file() -> None:
    """Cut after every 11th byte: what came is a beginning, and it is not taken for the whole."""
    size = sum(4 + 1 + len(body) + 16 for body in RECORDS)

    async def everywhere() -> None:
        assert await transfer(StreamFaults(cut=size + 1)) == (
            RECORDS,
            True,
            None,
        )  # the byte that `pair` sends counts
        for at in range(1, size, 11):
            got, finished, error = await transfer(StreamFaults(cut=at))
            assert got == RECORDS[: len(got)]
            assert (finished, type(error)) == (False, BrokenOffError), f"byte {at}"

    run(everywhere())


def test_t23_records_over_a_corrupting_link_are_refused() -> None:
    async def everywhere() -> None:
        for at in range(5, 3000, 97):
            got, finished, error = await transfer(StreamFaults(flip=8 * at + at % 8, step=500))
            assert got == RECORDS[: len(got)]
            assert not finished
            assert isinstance(error, TallowError)

    run(everywhere())


def packets(count: int) -> list[bytes]:
    return [bytes([number]) for number in range(count)]


def test_a_datagram_link_repeats_with_its_seed() -> None:
    def carried(seed: bytes) -> list[bytes]:
        link = DatagramLink(seeded_rng(seed), loss=40, duplication=40, reordering=40)
        return link.carry(packets(200)) + link.settle()

    assert carried(b"one") == carried(b"one") != carried(b"two")


@pytest.mark.parametrize(
    ("chances", "fits"),
    [
        ({}, lambda came: came == packets(200)),
        ({"loss": 64}, lambda came: 100 < len(came) < 200 and came == sorted(set(came))),
        (
            {"duplication": 64},
            lambda came: 200 < len(came) < 300 and came == sorted(came) and len(set(came)) == 200,
        ),
        (
            {"reordering": 64},
            lambda came: len(came) == 200 and sorted(came) == packets(200) != came,
        ),
        ({"loss": 256}, lambda came: came == []),
    ],
    ids=["nothing", "loss", "duplication", "reordering", "all"],
)
def test_what_a_datagram_link_does(
    chances: dict[str, int], fits: Callable[[list[bytes]], bool]
) -> None:
    link = DatagramLink(seeded_rng(b"seed"), **chances)
    assert fits(link.carry(packets(200)) + link.settle())


def test_t23_a_handshake_over_datagrams_is_whole_or_none() -> None:
    """Frames that vanish, come twice or change places: a session exactly where every frame came
    once and in order."""
    sessions = 0
    for seed in range(60):
        link = DatagramLink(seeded_rng(bytes([seed])), loss=12, duplication=12, reordering=12)
        touched = False

        def wire(frame: Any, link: DatagramLink = link) -> list[bytes]:
            nonlocal touched
            came = link.carry([frame.encoded])
            # The last message to either end, come twice, finds its machine done: there is nothing
            # left to disturb.
            touched |= came not in [
                [frame.encoded] * times
                for times in ((1, 2) if frame.type in (PROVE, DONE) else (1,))
            ]
            return came

        a, b = converse(host(), guest(), wire)
        assert both(a, b) is not touched
        sessions += both(a, b)
    assert 0 < sessions < 60
