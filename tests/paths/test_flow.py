"""Data that moves between lanes: both ends of a session in this process, on streams that the test
may break."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path as FilePath

import pytest

from tallow_core.config.schema import SessionSettings
from tallow_core.errors import TallowError
from tallow_core.files.record_buffer import RecordBuffer
from tallow_core.paths import record_receiver as inflow
from tallow_core.paths import record_sender as outflow
from tallow_core.paths.lane_pool import MAX_SPARE_LANES
from tallow_core.protocol.codec.wire import u32
from tallow_core.protocol.lanes.record import RecordType
from tallow_core.protocol.lanes.session_messages import Arrived, Lost, write_lane
from tests.kit.flow import Ends, refused, run


@pytest.mark.parametrize("by_guest", [True, False])
def test_records_keep_their_order(by_guest: bool, tmp_path: FilePath) -> None:
    """Those on the new lane may come before those on the old one were read."""

    async def scenario(both: Ends) -> None:
        await both.send(*range(10))
        lane, _ = await both.spare(by_guest=by_guest)
        await both.send(*range(10, 40))  # nothing was received yet
        assert await both.receive(40) == list(range(40))
        assert both.into._lanes == [lane]
        sending = asyncio.create_task(both.send(*range(40, 200), final=True))
        assert await both.receive() == list(range(40, 200))
        await sending
        await both.into.close()

    run(tmp_path, scenario)


BREAKS = [0, 1, 7, 8, 9, 31, 32, 33, 60, 99]


@pytest.mark.parametrize("after", BREAKS)
@pytest.mark.parametrize("side", [0, 1])
def test_nothing_is_lost_or_doubled_when_the_lane_breaks(
    after: int, side: int, tmp_path: FilePath
) -> None:
    """It breaks after so many of its hundred records were received, the final one included."""

    async def scenario(both: Ends) -> None:
        await both.send(1000)
        _, streams = await both.spare()
        sending = asyncio.create_task(both.send(*range(100), final=True))
        assert await both.receive(1 + after) == [1000, *range(after)]
        await streams[side].aclose()
        assert await both.receive() == list(range(after, 100))
        await sending
        await both.into.close()

    run(tmp_path, scenario)


def test_it_moves_again_after_it_fell_back(tmp_path: FilePath) -> None:
    async def scenario(both: Ends) -> None:
        expected = 0
        for _ in range(3):
            lane, streams = await both.spare()
            sending = asyncio.create_task(both.send(*range(expected, expected + 50)))
            assert await both.receive(20) == list(range(expected, expected + 20))
            assert both.into._lanes == [lane]
            await streams[1].aclose()
            assert await both.receive(30) == list(range(expected + 20, expected + 50))
            await both.send(expected + 50)
            await sending
            assert await both.receive(1) == [expected + 50]
            assert both.into._lanes[0].address == ""
            expected += 51

    run(tmp_path, scenario)


def test_a_silent_lane_is_given_up(tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that are sent and never arrive: what the receiver does not hear it has sent again."""
    monkeypatch.setattr(inflow, "SILENT_SECONDS", 1.0)

    async def scenario(both: Ends) -> None:
        lane, streams = await both.spare()
        sending = asyncio.create_task(both.send(*range(60), final=True))
        assert await both.receive(10) == list(range(10))

        async def swallow(*_buffers: object) -> None:
            """As when a cable is pulled: the system takes the bytes, and nobody gets them."""

        streams[1].send = swallow  # type: ignore[method-assign]
        rest = await both.receive()
        assert rest == list(range(10, 60))
        assert both.into._lanes != [lane]
        await sending

    run(tmp_path, scenario)


def test_a_lane_on_which_nothing_is_said_stays(
    tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sender whose input pauses is not silent: its pings are heard."""
    monkeypatch.setattr(inflow, "SILENT_SECONDS", 1.5)
    monkeypatch.setattr(outflow, "ALIVE_SECONDS", 0.3)

    async def scenario(both: Ends) -> None:
        lane, _ = await both.spare()
        receiving = asyncio.create_task(both.receive())
        await both.send(1, 2)
        await asyncio.sleep(4)
        await both.send(3, final=True)
        assert await receiving == [1, 2, 3]
        assert both.into._lanes == [lane]

    run(tmp_path, scenario)


def test_fresh_keys_before_and_after_every_move(tmp_path: FilePath) -> None:
    async def scenario(both: Ends) -> None:
        async def send() -> None:
            buffer = RecordBuffer.for_data()
            for number in range(60):
                buffer.plain[0] = RecordType.DATA
                buffer.plain[1:5] = u32(number)
                if number == 20:
                    await both.spare()
                await both.out.transmit(buffer, 1 << 19)
                await both.host.key_renewal.if_due()
            await both.send(60, final=True)

        sending = asyncio.create_task(send())
        received = [int.from_bytes(body[:4], "big") async for body in _bodies(both)]
        await sending
        assert received == list(range(61))
        assert both.host.key_renewal.count == both.guest.key_renewal.count > 10

    run(tmp_path, scenario, SessionSettings(rekey_bytes=1 << 20))


async def _bodies(both: Ends) -> AsyncIterator[memoryview]:
    while (body := await both.into.record()) is not None:
        yield body


# -- ends that misbehave -------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["unknown", "control", "itself", "used"])
def test_t19_a_move_to_a_lane_that_did_not_join(target: str, tmp_path: FilePath) -> None:
    async def scenario(both: Ends) -> None:
        number = {"unknown": 77, "control": 0, "itself": 1, "used": 3}[target]
        lane = both.first
        if target == "used":
            spare, streams = await both.spare()
            assert spare.keys.lane == number
            await both.send(1)
            assert await both.receive(1) == [1]
            await streams[0].aclose()
            sending = asyncio.create_task(both.send(2))
            assert await both.receive(1) == [2]
            await sending
            lane = both.out._lanes[0]
            assert lane.address == ""
        await lane.put(RecordType.MOVED, write_lane(number), final=True)
        await refused(both.receive(1), "moved to lane")

    run(tmp_path, scenario)


def test_t19_a_move_back_and_a_move_that_does_not_end_the_lane(tmp_path: FilePath) -> None:
    async def back(both: Ends) -> None:
        await both.spare()
        await both.send(1)
        assert await both.receive(1) == [1]
        await both.out._lanes[0].put(RecordType.MOVED, write_lane(1), final=True)
        await refused(both.receive(1), "on a data lane")

    async def unfinished(both: Ends) -> None:
        lane, _ = await both.spare()
        await both.first.put(RecordType.MOVED, write_lane(lane.keys.lane))
        await refused(both.receive(1), "on a data lane")

    run(tmp_path, back)
    run(tmp_path, unfinished)


def test_t19_data_on_two_lanes_at_once(tmp_path: FilePath) -> None:
    """Data on a lane that the data was not moved to waits there unread; the transfer ends without
    it."""

    async def scenario(both: Ends) -> None:
        await both.spare()
        aside = next(iter(both.host_pool._idle.values())).lane
        await aside.put(RecordType.DATA, u32(666))
        both.host_pool._ready.clear()
        await both.send(1, 2, final=True)
        assert await both.receive() == [1, 2]

    run(tmp_path, scenario)


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        (RecordType.ACK, Arrived(1, 99)),
        (RecordType.LOST, Lost(1, 0, 5)),
        (RecordType.ACK, Arrived(3, 3)),
        (RecordType.LOST, Lost(3, 1 << 63, 5)),
        (RecordType.LOST, Lost(0, 0, 5)),
        (RecordType.ACK, Arrived(77, 1)),
    ],
    ids=str,
)
def test_t19_a_receiver_that_claims_what_it_cannot_have(
    kind: RecordType, word: Arrived | Lost, tmp_path: FilePath
) -> None:
    async def scenario(both: Ends) -> None:
        spare, _ = await both.spare()
        assert spare.keys.lane == 3
        await both.send(1, 2)
        await both.guest.post(kind, word.encoded())
        await refused(both.host.next_message(), "a word on a lane|never sent")

    run(tmp_path, scenario)


def test_t19_words_before_anything_moved(tmp_path: FilePath) -> None:
    async def scenario(both: Ends) -> None:
        await both.send(1)
        await both.guest.post(RecordType.LOST, Lost(1, 0, 5).encoded())
        await refused(both.host.next_message(), "does not carry the data")

    run(tmp_path, scenario)


def test_t19_too_many_lanes_that_carry_nothing(tmp_path: FilePath) -> None:
    async def scenario(both: Ends) -> None:
        for _ in range(MAX_SPARE_LANES):
            await both.spare()
        with pytest.raises(TallowError):
            await both.spare()

    run(tmp_path, scenario)
