"""Data over several lanes at once: both ends of a session in this process, and ends that
misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path as FilePath

import pytest

from tallow_core.config.schema import SessionSettings
from tallow_core.errors import RemoteProtocolError, TallowError, TransportError
from tallow_core.files.record_buffer import RecordBuffer
from tallow_core.paths import record_receiver as inflow
from tallow_core.paths import record_sender as outflow
from tallow_core.paths import throughput as pace
from tallow_core.paths.lane_pool import FAR_LANES, FAR_SECONDS
from tallow_core.protocol.codec.wire import u32
from tallow_core.protocol.lanes.lane_join import LaneHello
from tallow_core.protocol.lanes.record import RecordType
from tallow_core.protocol.lanes.session_messages import Further, write_lane, write_wanted
from tallow_core.session.lane import Lane
from tallow_core.types import ReadBuffer
from tests.kit.flow import Ends, refused, run


async def spread(both: Ends, count: int, start: int = 0, address: str = "") -> int:
    """Send and receive one record after another until the data goes by `count` lanes to `address`;
    returns the next number."""
    async with asyncio.timeout(10):
        while (
            len(both.into._lanes) < count
            or both.into._turn
            or both.into._lanes[0].address != address
        ):
            await both.send(start)
            assert await both.receive(1) == [start]
            start += 1
    assert len(both.out._lanes) == len(both.into._lanes) == count
    return start


def lanes(count: int) -> SessionSettings:
    """Settings with so many lanes."""
    return SessionSettings(lanes=count)


@pytest.mark.parametrize("count", [1, 2, 3, 16])
def test_records_keep_their_order(count: int, tmp_path: FilePath) -> None:
    """However they arrive: many are sent before any is read."""

    async def scenario(both: Ends) -> None:
        begun = await spread(both, count)
        ours = [lane.sealer.total for lane in both.out._lanes]
        await both.send(*range(begun, begun + 100))
        each = [
            lane.sealer.total - before for lane, before in zip(both.out._lanes, ours, strict=True)
        ]
        assert max(each) - min(each) <= 5, "one record to each in turn"
        assert await both.receive(100) == list(range(begun, begun + 100))
        await both.send(1, 2, 3, final=True)
        assert await both.receive() == [1, 2, 3]
        await both.into.close()
        used = list(both.out._lanes)
        async with asyncio.timeout(5):
            while not all(lane.opener.finished and lane.sealer.finished for lane in used):
                await asyncio.sleep(0.01)

    run(tmp_path, scenario, lanes(count))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_final_record_may_be_on_any_lane(count: int, tmp_path: FilePath) -> None:
    """Also on one that has carried nothing before."""

    async def scenario(both: Ends) -> None:
        begun = await spread(both, 5)
        await both.send(*range(begun, begun + count), final=True)
        assert await both.receive() == list(range(begun, begun + count))
        await both.into.close()

    run(tmp_path, scenario, lanes(5))


@pytest.mark.parametrize(
    ("host", "guest", "used"), [(0, 3, 3), (3, 0, 3), (2, 4, 4), (4, 2, 4), (1, 0, 1), (0, 0, 1)]
)
def test_the_greater_wish_counts(host: int, guest: int, used: int, tmp_path: FilePath) -> None:
    """Zero is no wish; on a short way it is one lane then."""

    async def scenario(both: Ends) -> None:
        begun = await spread(both, used)
        await asyncio.sleep(0.2)
        await both.send(begun)
        await both.receive(1)
        assert len(both.out._lanes) == used

    run(tmp_path, scenario, lanes(host), lanes(guest))


def test_a_long_way_takes_several(tmp_path: FilePath) -> None:
    async def scenario(both: Ends) -> None:
        both.first.rtt = FAR_SECONDS
        await spread(both, FAR_LANES)

    run(tmp_path, scenario)


@pytest.mark.parametrize("by_guest", [True, False])
def test_the_data_moves_with_all_its_lanes(by_guest: bool, tmp_path: FilePath) -> None:
    """Those of the new path are opened by the end that opened its first; the old ones end, each
    with a record that says so."""

    async def scenario(both: Ends) -> None:
        begun = await spread(both, 3)
        old = list(both.out._lanes)
        await both.send(*range(begun, begun + 8))
        await both.spare(by_guest=by_guest)
        await both.send(*range(begun + 8, begun + 20))
        assert await both.receive(20) == list(range(begun, begun + 20))
        begun = await spread(both, 3, begun + 20, "beside")
        assert all(lane.address == "beside" for lane in (*both.into._lanes, *both.out._lanes))
        async with asyncio.timeout(5):
            while any(lane in both.host.lanes for lane in old):
                await asyncio.sleep(0.01)
        assert all(lane.sealer.finished and lane.opener.finished for lane in old)
        sending = asyncio.create_task(both.send(*range(begun, begun + 100), final=True))
        assert await both.receive() == list(range(begun, begun + 100))
        await sending
        await both.into.close()

    run(tmp_path, scenario, lanes(3))


@pytest.mark.parametrize("after", [0, 1, 2, 9, 31, 32, 60])
@pytest.mark.parametrize("side", [0, 1])
def test_one_lane_of_a_path_beside_breaks(after: int, side: int, tmp_path: FilePath) -> None:
    """Nothing is lost, nothing comes twice; and by the session's own path it goes by several lanes
    again."""

    async def scenario(both: Ends) -> None:
        begun = await spread(both, 3)
        await both.spare()
        begun = await spread(both, 3, begun, "beside")
        sending = asyncio.create_task(both.send(*range(110)))
        assert await both.receive(after) == list(range(after))
        broken: Lane = both.into._lanes[1] if side == 0 else both.out._lanes[1]
        await broken.stream.aclose()
        assert await both.receive(110 - after) == list(range(after, 110))
        await sending
        assert both.into._lanes[0].address == both.out._lanes[0].address == ""
        begun = await spread(both, 3)
        await both.send(1, 2, 3, 4, final=True)
        assert await both.receive() == [1, 2, 3, 4]

    run(tmp_path, scenario, lanes(3))


@pytest.mark.parametrize("after", [80, 97, 98, 99, 100])
@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("which", [0, 1])
def test_one_lane_of_a_path_beside_breaks_near_the_end(
    after: int, side: int, which: int, tmp_path: FilePath
) -> None:
    """Whatever it is that is missing then, a record or an end."""

    async def scenario(both: Ends) -> None:
        begun = await spread(both, 3)
        await both.spare()
        await spread(both, 3, begun, "beside")
        sending = asyncio.create_task(both.send(*range(100), final=True))
        assert await both.receive(after) == list(range(after))
        await (both.into if side == 0 else both.out)._lanes[which].stream.aclose()
        assert await both.receive() == list(range(after, 100))
        await sending
        await both.into.close()

    run(tmp_path, scenario, lanes(3))


@pytest.mark.parametrize("side", [0, 1])
def test_one_lane_of_the_sessions_own_path_breaks(side: int, tmp_path: FilePath) -> None:
    """That ends the connection: resuming takes over."""

    async def scenario(both: Ends) -> None:
        await spread(both, 3)
        await both.streams[2 * 1 + side].aclose()

        async def on() -> None:
            for number in range(50):
                await both.send(number)
                await both.receive(1)

        with pytest.raises(TransportError):
            async with asyncio.timeout(10):
                await both.host.guard(on())

    run(tmp_path, scenario, lanes(3))


def test_fresh_keys_on_every_lane(tmp_path: FilePath) -> None:
    """Rekeys go on while lanes join, carry and change."""

    async def scenario(both: Ends) -> None:
        async def send() -> None:
            buffer = RecordBuffer.for_data()
            for number in range(90):
                buffer.plain[0] = RecordType.DATA
                buffer.plain[1:5] = u32(number)
                if number == 40:
                    await both.spare()
                await both.out.transmit(buffer, 1 << 19)
                await both.host.key_renewal.if_due()
                await asyncio.sleep(0.002)
            await both.send(90, final=True)

        sending = asyncio.create_task(send())
        received = []
        while (body := await both.guest.guard(both.into.record())) is not None:
            received.append(int.from_bytes(body[:4], "big"))
        await sending
        assert received == list(range(91))
        assert both.host.key_renewal.count == both.guest.key_renewal.count > 5
        assert len(both.out._lanes) == 4

    run(tmp_path, scenario, SessionSettings(rekey_bytes=1 << 20, lanes=4))


# -- ends that misbehave -------------------------------------------------------------------------


def test_t33_a_lane_that_nobody_asked_for(tmp_path: FilePath) -> None:
    """It is turned away, proof or not; the session goes on."""

    async def scenario(both: Ends) -> None:
        begun = await spread(both, 2)
        with pytest.raises(TallowError):
            await both.guest.lanes._dial(await both.dial(), 99, both.dial, "", None)
        await both.send(begun, final=True)
        assert await both.receive() == [begun]
        assert len(both.out._lanes) == 2

    run(tmp_path, scenario, lanes(2))


def test_t33_a_lane_id_used_twice(tmp_path: FilePath) -> None:
    async def scenario(both: Ends) -> None:
        await spread(both, 2)
        both.host.lanes.expect(1)
        for used in both.into._lanes:
            with pytest.raises(RemoteProtocolError, match="used before"):
                await both.host.lanes._accept(
                    both.streams[0], LaneHello(both.host.lanes.tag, used.keys.lane, bytes(32))
                )

    run(tmp_path, scenario, lanes(2))


async def _again(both: Ends) -> None:
    await both.out._lanes[0].put(RecordType.SPREAD, write_lane(both.out._lanes[1].keys.lane))


async def _unknown(both: Ends) -> None:
    await both.out._lanes[0].put(RecordType.SPREAD, write_lane(77))


async def _control(both: Ends) -> None:
    await both.out._lanes[0].put(RecordType.SPREAD, write_lane(0))


async def _beside(both: Ends) -> None:
    lane, _ = await both.spare()
    await both.out._lanes[0].put(RecordType.SPREAD, write_lane(lane.keys.lane))


async def _last(both: Ends) -> None:
    await both.out._lanes[0].put(RecordType.SPREAD, write_lane(77), final=True)


async def _early(both: Ends) -> None:
    """A lane ends before the others have."""
    await both.out._lanes[0].put(RecordType.CLOSE, final=True)


async def _final_twice(both: Ends) -> None:
    buffer = RecordBuffer.for_data()
    for lane in both.out._lanes:
        await lane.put(RecordType.DATA, u32(1), final=True)
        buffer.plain[0] = RecordType.DATA


async def _more(both: Ends) -> None:
    """Data on another lane after the final record."""
    await both.out._lanes[0].put(RecordType.DATA, u32(1), final=True)
    await both.out._lanes[1].put(RecordType.DATA, u32(2))


async def _moved_on(both: Ends) -> None:
    """A lane goes on after the data has moved away."""
    lane, _ = await both.spare()
    await both.out._lanes[0].put(RecordType.MOVED, write_lane(lane.keys.lane), final=True)
    await both.out._lanes[1].put(RecordType.DATA, u32(2))


@pytest.mark.parametrize(
    "attack", [_again, _unknown, _control, _beside, _last, _early, _final_twice, _more, _moved_on]
)
def test_t33_records_that_have_no_place(
    attack: Callable[[Ends], Awaitable[None]], tmp_path: FilePath
) -> None:
    async def scenario(both: Ends) -> None:
        await spread(both, 2)
        await attack(both)
        await refused(both.receive(), "lane")

    run(tmp_path, scenario, lanes(2))


def test_t23_a_record_on_another_lane_than_its_own(tmp_path: FilePath) -> None:
    """What was sealed for one lane does not open on another: it cannot be moved there on its
    way."""

    async def scenario(both: Ends) -> None:
        await spread(both, 2)
        one, other = both.out._lanes
        one.stream, other.stream = other.stream, one.stream
        await both.send(7, 8)
        with pytest.raises(TallowError, match=r"forged|did not verify|changed"):
            await both.receive(2)

    run(tmp_path, scenario, lanes(2))


def test_t23_a_lane_that_is_cut_where_only_its_end_is_missing(tmp_path: FilePath) -> None:
    """All data has come, but one lane ends without its final record: never silently a whole
    transfer."""

    async def scenario(both: Ends) -> None:
        await spread(both, 2)
        await both.out._lanes[0].put(RecordType.DATA, u32(1), final=True)
        await both.out._lanes[1].stream.aclose()
        assert int.from_bytes(await both.into.record() or b"", "big") == 1
        with pytest.raises(TransportError):
            await both.guest.guard(both.into.record())

    run(tmp_path, scenario, lanes(2))


@pytest.mark.parametrize("count", [0, 17, 255])
def test_t16_a_wish_out_of_bounds(count: int, tmp_path: FilePath) -> None:
    async def scenario(both: Ends) -> None:
        await both.guest.post(RecordType.LANES_WANTED, write_wanted(count))
        await refused(both.host.next_message(), "wish for")

    run(tmp_path, scenario)


def test_t16_a_second_wish(tmp_path: FilePath) -> None:
    async def scenario(both: Ends) -> None:
        for _ in range(2):
            await both.guest.post(RecordType.LANES_WANTED, write_wanted(2))
        await refused(both.host.next_message(), "second wish")

    run(tmp_path, scenario)


@pytest.mark.parametrize(
    ("further", "what"),
    [
        ((0, 0), "0 further"),
        ((0, 16), "16 further"),
        ((0, 255), "255"),
        ((2, 1), "lane 2"),
        ((9, 1), "lane 9"),
    ],
)
def test_t16_lanes_asked_for_out_of_bounds(
    further: tuple[int, int], what: str, tmp_path: FilePath
) -> None:
    async def scenario(both: Ends) -> None:
        await both.host.post(RecordType.LANES, Further(*further).encoded())
        await refused(both.guest.next_message(), what)

    run(tmp_path, scenario)


def test_t16_lanes_asked_for_again_and_again(tmp_path: FilePath) -> None:
    async def scenario(both: Ends) -> None:
        for _ in range(18):
            await both.host.post(RecordType.LANES, Further(0, 15).encoded())
        await refused(both.guest.next_message(), "times asked")
        assert len(both.guest.lanes) <= 40

    run(tmp_path, scenario)


# -- a path that is slower -----------------------------------------------------------------------


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is decided in seconds is decided in tenths."""
    for name, value in {
        "MIN_WINDOW_SECONDS": 0.2,
        "SOURCE_SECONDS": 0.1,
        "PATH_SECONDS": 1.0,
        "FAIR_SECONDS": 0.5,
        "CLEAR_SECONDS": 0.3,
    }.items():
        monkeypatch.setattr(pace, name, value)
    monkeypatch.setattr(pace, "SILENCE_SECONDS", 0.2)
    monkeypatch.setattr(pace, "MAX_WINDOW_SECONDS", 2.0)
    monkeypatch.setattr(outflow, "JUDGE_SECONDS", 0.05)
    monkeypatch.setattr(inflow, "ACK_SECONDS", 0.02)


def hold(lane: Lane, rate: float) -> None:
    """Let only so many bytes a second through to the other end."""
    send = lane.stream.send

    async def slowly(*buffers: ReadBuffer) -> None:
        size = sum(len(memoryview(buffer)) for buffer in buffers)
        if size > 1000:
            await asyncio.sleep(size / rate)
        await send(*buffers)

    lane.stream.send = slowly  # type: ignore[method-assign]


async def carry(
    both: Ends, count: int, own: float, beside: float, *, throttle: float = 0.0
) -> list[tuple[str, str]]:
    """Send and receive records of 64 KiB by paths of such rates; what was told of the path."""
    told: list[tuple[str, str]] = []
    shown = both.host_pool.show_path

    def show(lane: Lane, reason: str) -> None:
        told.append((lane.address, reason))
        shown(lane, reason)

    both.host_pool.show_path = show  # type: ignore[method-assign]
    both.out._own_rate, both.guest_pool.searches = 0.0, True
    hold(both.first, own)

    async def send() -> None:
        buffer = RecordBuffer.for_data()
        held: set[Lane] = {both.first}
        for number in range(count):
            buffer.plain[0] = RecordType.DATA | (0x80 if number + 1 == count else 0)
            buffer.plain[1:5] = u32(number)
            await both.out.transmit(buffer, 1 << 16)
            await asyncio.sleep(throttle)
            for lane in both.out._lanes:
                if lane not in held:
                    held.add(lane)
                    hold(lane, beside if lane.address else own)
        await both.out.finish()

    await both.spare()
    sending = asyncio.create_task(send())
    received = []
    while (body := await both.guest.guard(both.into.record())) is not None:
        received.append(int.from_bytes(body[:4], "big"))
    await sending
    await both.into.close()
    assert received == list(range(count))
    return told


@pytest.mark.parametrize("count", [1, 3])
def test_it_goes_back_from_a_slower_path_and_stays(
    count: int, soon: None, tmp_path: FilePath
) -> None:
    async def scenario(both: Ends) -> None:
        assert await carry(both, 500, 8e6, 4e5) == [("beside", "found"), ("", "slower")]
        assert both.host_pool.stay
        assert both.guest_pool.stay
        assert not both.host_pool.wanted

    run(tmp_path, scenario, lanes(count))


def test_it_stays_on_a_faster_path(soon: None, tmp_path: FilePath) -> None:
    async def scenario(both: Ends) -> None:
        assert await carry(both, 300, 2e6, 16e6) == [("beside", "found")]

    run(tmp_path, scenario)


def test_it_stays_where_both_paths_are_fast_enough(soon: None, tmp_path: FilePath) -> None:
    """What is held up by a throttle is as fast by either."""

    async def scenario(both: Ends) -> None:
        assert await carry(both, 120, 64e6, 8e6, throttle=0.02) == [("beside", "found")]

    run(tmp_path, scenario)


@pytest.mark.parametrize("number", [0, 1, 77])
def test_t19_a_path_given_up_that_never_was(number: int, tmp_path: FilePath) -> None:
    async def scenario(both: Ends) -> None:
        await both.host.post(RecordType.GIVEN_UP, write_lane(number))
        await refused(both.guest.next_message(), "given up")

    run(tmp_path, scenario)


def test_a_path_given_up_before_the_receiver_came_to_it(tmp_path: FilePath) -> None:
    """The receiver has yet to read that the data moved: it is sent by the session's own path all
    the same."""

    async def scenario(both: Ends) -> None:
        await both.spare()
        await both.send(1, 2, 3)
        await both.host.post(RecordType.GIVEN_UP, write_lane(both.out._number))
        await asyncio.sleep(0.1)
        sending = asyncio.create_task(both.send(4, 5, final=True))
        assert await both.receive() == [1, 2, 3, 4, 5]
        await sending
        assert both.into._lanes[0].address == both.out._lanes[0].address == ""

    run(tmp_path, scenario)
