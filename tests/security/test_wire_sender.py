"""The sender against guests: those that know the code and misbehave (T-06, T-16, T-23, T-33), and
those that do not (T-31, T-32)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import ssl
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from tallow_core.errors import TallowError
from tallow_core.protocol.codec.frame import Frame, FrameType
from tallow_core.protocol.codec.wire import u32
from tallow_core.protocol.handshake.code import parse_code
from tallow_core.protocol.handshake.handshake_machine import ProofDue
from tallow_core.protocol.handshake.join import Join
from tallow_core.protocol.lanes.lane_join import LaneDialler, LaneHello, lane_tag
from tallow_core.protocol.lanes.record import RecordType
from tallow_core.protocol.lanes.session_messages import Rekey
from tallow_core.secrets import system_rng
from tests.kit.durations import ends_within
from tests.kit.hostile_peers import (
    CODE,
    WRONG,
    Gone,
    Home,
    Line,
    Peer,
    Program,
    as_guest,
    assert_harmless,
    attack,
    dial,
    eventually,
    prove,
    receipt,
    receiver,
    sender,
    tallow,
    tree,
    until_proof,
)

ESCAPES = "\x1b]0;owned\x07\x9b31m\u202e\nfake: done\r\x00\u2028"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.environment()
    (home.root / "file").write_bytes(b"secret content")
    return home


async def drained(lane: Line) -> bytes:
    """All of a data lane's content records up to its final one."""
    assert lane.opener is not None
    body = bytearray()
    while not lane.opener.finished:
        body += (await lane.open())[1]
    return bytes(body)


async def accepted(peer: Peer, port: int) -> Line:
    """Take the offer, accept it, and open the data lane."""
    assert (await peer.line.open())[0] == RecordType.OFFER_PAGE
    await peer.line.seal(RecordType.ACCEPT)
    return await peer.dial_lane(port)


# -- a guest that knows the code -----------------------------------------------------------------

Evil = Callable[[Peer, int], Awaitable[None]]


def _control(kind: int, body: bytes = b"", *, final: bool = False) -> Evil:
    async def evil(peer: Peer, port: int) -> None:
        await peer.line.open()
        await peer.line.seal(kind, body, final=final)

    return evil


async def _garbage(peer: Peer, port: int) -> None:
    await peer.line.put(u32(40) + os.urandom(40))


async def _accept_then_vanish(peer: Peer, port: int) -> None:
    await (await accepted(peer, port)).aclose()
    peer.line.abort()


async def _accept_and_no_lane(peer: Peer, port: int) -> None:
    await peer.line.open()
    await peer.line.seal(RecordType.ACCEPT)
    await peer.line.aclose()


def _receipt(make: Callable[[Peer], bytes]) -> Evil:
    async def evil(peer: Peer, port: int) -> None:
        lane = await accepted(peer, port)
        await drained(lane)
        await lane.seal(RecordType.CLOSE, final=True)
        await peer.line.seal(RecordType.RECEIVED, make(peer), final=True)

    return evil


async def _receipt_before_the_data(peer: Peer, port: int) -> None:
    await peer.line.open()
    await peer.line.seal(RecordType.RECEIVED, receipt(peer.established, files=1, size=14))


async def _close_instead_of_a_receipt(peer: Peer, port: int) -> None:
    lane = await accepted(peer, port)
    await drained(lane)
    await lane.seal(RecordType.CLOSE, final=True)
    await peer.line.seal(RecordType.CLOSE, final=True)


async def _data_upstream(peer: Peer, port: int) -> None:
    await (await accepted(peer, port)).seal(RecordType.DATA, b"\x01" + bytes(16))


async def _lane_garbage(peer: Peer, port: int) -> None:
    await (await accepted(peer, port)).put(u32(40) + os.urandom(40))


async def _too_long_on_control(peer: Peer, port: int) -> None:
    await peer.line.put(u32((64 << 10) + 1))


async def _too_long_on_a_lane(peer: Peer, port: int) -> None:
    await (await accepted(peer, port)).put(u32((1 << 20) + 65))


MISCHIEF: dict[str, tuple[Evil, int]] = {
    "garbage": (_garbage, 8),
    "an offer": (_control(RecordType.OFFER_PAGE, bytes(40)), 8),
    "data": (_control(RecordType.DATA, bytes(40)), 8),
    "an unknown record": (_control(0x6F), 8),
    "a rekey from the wrong end": (_control(RecordType.REKEY, Rekey(1, bytes(1600)).encoded()), 8),
    "a rekey answer unasked": (
        _control(RecordType.REKEY_ANSWER, Rekey(1, bytes(1600)).encoded()),
        8,
    ),
    "an epoch unasked": (_control(RecordType.EPOCH, u32(1)), 8),
    "a refusal": (_control(RecordType.REFUSE, b"\x06\x00\x02no", final=True), 6),
    "a reason cut short": (_control(RecordType.REFUSE, b"\x06\x00\x09no", final=True), 8),
    "a reason above its cap": (
        _control(RecordType.REFUSE, b"\x06\x02\x01" + b"n" * 513, final=True),
        8,
    ),
    "a receipt before the data": (_receipt_before_the_data, 8),
    "Accept, then gone": (_accept_then_vanish, 7),
    "Accept, no lane, gone": (_accept_and_no_lane, 7),
    "data upstream": (_data_upstream, 8),
    "garbage on a lane": (_lane_garbage, 8),
    "a length above the cap on control": (_too_long_on_control, 8),
    "a length above the cap on a lane": (_too_long_on_a_lane, 8),
    "CLOSE for a receipt": (_close_instead_of_a_receipt, 8),
    "a receipt of nothing": (_receipt(lambda peer: receipt(peer.established)), 8),
    "a receipt of another hash": (
        _receipt(lambda peer: receipt(peer.established, bytes(32), size=14)),
        8,
    ),
    "a receipt of too many": (
        _receipt(lambda peer: receipt(peer.established, files=(1 << 32) - 1, size=14)),
        8,
    ),
    "a receipt cut short": (_receipt(lambda peer: receipt(peer.established)[:-1]), 8),
    "a receipt too long": (_receipt(lambda peer: receipt(peer.established) + b"\0"), 8),
    "an empty receipt": (_receipt(lambda _: b""), 8),
}


@pytest.mark.parametrize("some", range(6))
def test_t16_t23_a_guest_that_misbehaves_never_makes_the_sender_believe(
    some: int, home: Home
) -> None:
    async def scenario() -> None:
        for name in list(MISCHIEF)[some::6]:
            evil, expected = MISCHIEF[name]
            async with sender(home, "file") as program:
                port = await program.port()
                peer = await as_guest(port)
                with contextlib.suppress(Gone):
                    await evil(peer, port)
                status = await program.wait(80)
                await peer.line.aclose()
                assert status == expected, (name, program.said())
                assert not any(event["event"] == "done" for event in program.events()), name
                assert_harmless(program)

    attack(scenario())


@pytest.mark.parametrize("kind", [RecordType.REFUSE, RecordType.ERROR])
@pytest.mark.parametrize("late", [False, True])
def test_t04_reasons_of_a_guest_are_harmless(kind: RecordType, late: bool, home: Home) -> None:
    async def scenario() -> None:
        async with sender(home, "file", "-vvv") as program:
            port = await program.port()
            peer = await as_guest(port)
            if late:
                await accepted(peer, port)
            text = ESCAPES.encode()
            await peer.line.seal(kind, b"\x06" + len(text).to_bytes(2, "big") + text, final=True)
            if kind == RecordType.ERROR and not late:
                # Before Accept, a guest that stops is no more than a guest that left.
                await eventually(lambda: b"fake: done" in program.err, "the warning")
                program.signal(signal.SIGTERM)
                assert await program.wait() == 130
            else:
                assert await program.wait() == (6 if kind == RecordType.REFUSE else 7), (
                    program.said()
                )
            await peer.line.aclose()
            assert_harmless(program)
            assert b"fake: done" in program.out + program.err

    attack(scenario())


def test_a_guest_that_leaves_before_accept_does_not_end_the_sender(
    home: Home, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with sender(home, "file") as program:
            port = await program.port()
            for times in range(1, 4):
                peer = await as_guest(port)
                await peer.line.open()
                peer.line.abort()
                await eventually(
                    partial(_has_warned, program, times),
                    "the warning",
                )
            await _right_guest_succeeds(program, port, tmp_path)

    attack(scenario())


def test_lanes_that_do_not_prove_the_session_are_turned_away(home: Home, tmp_path: Path) -> None:
    """Wrong tags, right tags with forged MACs, used, reserved and wrong ids; then the true lane
    still works."""

    async def scenario() -> None:
        async with sender(home, "file") as program:
            port = await program.port()
            peer = await as_guest(port)
            await peer.line.open()
            await peer.line.seal(RecordType.ACCEPT)
            tag = lane_tag(peer.established.schedule)
            for hello in [
                LaneHello(bytes(16), 1, bytes(32)),
                *(LaneHello(tag, lane, bytes(32)) for lane in (0, 2, 1 << 16, (1 << 32) - 1)),
            ]:
                line = await dial(port)
                await line.put(Join("4821", lane=True).frame().encoded + hello.frame().encoded)
                assert FrameType.LANE_ACCEPT not in (await line.closed())[:1]
                await line.aclose()
            forged = await dial(port)
            await forged.put(
                Join("4821", lane=True).frame().encoded
                + LaneHello(tag, 1, bytes(32)).frame().encoded
            )
            assert (await forged.frame()).type == FrameType.LANE_ACCEPT
            await forged.put_frame(FrameType.LANE_READY, bytes(32))
            assert b"secret content" not in await forged.closed()
            await forged.aclose()
            lane = await peer.dial_lane(port, 1)
            assert b"secret content" in await drained(lane)
            with pytest.raises(Gone):
                await peer.dial_lane(port, 1)
            await lane.aclose()
            await peer.line.aclose()
            assert await program.wait() == 7

    attack(scenario())


def test_t26_a_lane_on_a_path_whose_rule_forbids_the_suite_is_turned_away(
    home: Home, tmp_path: Path
) -> None:
    """The session began over tcp, where a rule admits its cipher; the guest opens its data lane
    over tls, where none does."""
    home.configure(
        '[[policy.rule]]\nwhen = { transport = "tls" }\nciphers = ["chacha20-poly1305"]\n'
    )

    async def scenario() -> None:
        words = (
            "--cipher",
            "aes-256-gcm",
            "--listen",
            "tcp://127.0.0.1:0",
            "--listen",
            "tls://127.0.0.1:0",
            "--json",
        )
        async with tallow(home, "send", "file", *words, env={"TALLOW_CODE": CODE}) as program:
            ports = {
                url.partition(":")[0]: int(url.rpartition(":")[2])
                for url in (await program.event("code"))["listen"]
            }
            peer = await as_guest(ports["tcp"])
            await peer.line.open()
            await peer.line.seal(RecordType.ACCEPT)
            cover = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            cover.check_hostname, cover.verify_mode = False, ssl.CERT_NONE
            line = Line(*await asyncio.open_connection("127.0.0.1", ports["tls"], ssl=cover))
            machine = LaneDialler(peer.established.schedule, 1, system_rng)
            await line.put(Join("4821", lane=True).frame().encoded + machine.data_to_send())
            assert await line.closed() == b""
            await line.aclose()
            lane = await peer.dial_lane(ports["tcp"], 3)
            assert b"secret content" in await drained(lane)
            await lane.aclose()
            await peer.line.aclose()
            assert await program.wait() == 7

    attack(scenario())


def test_many_lanes_of_one_guest_are_bounded(home: Home) -> None:
    async def scenario() -> None:
        async with sender(home, "file") as program:
            port = await program.port()
            peer = await as_guest(port)
            lines = []
            with contextlib.suppress(Gone):
                for lane in range(1, 201, 2):
                    lines.append(await peer.dial_lane(port, lane))
            assert len(lines) < 40
            assert len(os.listdir(f"/proc/{program.process.pid}/fd")) < 80
            peer.line.abort()
            for line in lines:
                line.abort()
            await eventually(lambda: b"still waiting" in program.err, "the sender waits again")

    attack(scenario())


def test_a_flood_of_pings_costs_no_memory(home: Home) -> None:
    async def scenario() -> None:
        async with sender(home, "file") as program:
            peer = await as_guest(await program.port())
            await peer.line.open()
            before = program.peak_kib()
            for _ in range(100):
                await peer.line.put(b"".join(peer.line.sealed(RecordType.PING) for _ in range(200)))
            assert program.peak_kib() - before < 4 << 10
            await peer.line.seal(RecordType.REFUSE, b"\x06\x00\x02no", final=True)
            assert await program.wait() == 6
            await peer.line.aclose()

    attack(scenario())


def test_t06_a_link_that_points_out_of_the_tree_is_not_read(home: Home, tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"OUTSIDE")
    (home.root / "t").mkdir()
    (home.root / "t" / "a").write_bytes(b"a")
    (home.root / "t" / "leaf").symlink_to(tmp_path / "outside")
    (home.root / "t" / "up").symlink_to(tmp_path)

    async def scenario() -> None:
        async with sender(home, "t") as program:
            port = await program.port()
            assert b"OUTSIDE" not in await _content_of(program, port)
            assert not any(
                "leaf" in event.get("path", "")
                for event in program.events()
                if event["event"] == "file"
            )

    attack(scenario())


@pytest.mark.parametrize("swapped", ["file", "folder"])
def test_t06_a_file_swapped_for_a_link_after_the_offer_is_not_read(
    swapped: str, home: Home, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "b").write_bytes(b"OUTSIDE")
    folder = home.root / "t" / "f"
    folder.mkdir(parents=True)
    (folder / "b").write_bytes(b"INSIDE!")

    def swap() -> None:
        if swapped == "file":
            (folder / "b").unlink()
            (folder / "b").symlink_to(outside / "b")
        else:
            folder.rename(home.root / "moved")
            folder.symlink_to(outside)

    async def scenario() -> None:
        async with sender(home, "t") as program:
            body = await _content_of(program, await program.port(), swap)
            assert b"OUTSIDE" not in body
            assert b"INSIDE!" not in body

    attack(scenario())


async def _content_of(
    program: Program, port: int, before_accept: Callable[[], None] = lambda: None
) -> bytes:
    peer = await as_guest(port)
    await peer.line.open()
    before_accept()
    await peer.line.seal(RecordType.ACCEPT)
    lane = await peer.dial_lane(port)
    body = await drained(lane)
    await lane.aclose()
    await peer.line.aclose()
    assert await program.wait() in (7, 8, 9)
    return body


# -- strangers -----------------------------------------------------------------------------------


def _has_warned(program: Program, times: int) -> bool:
    """Whether the sender has said so often that it still waits."""
    return program.err.count(b"still waiting") == times


async def _right_guest_succeeds(program: Program, port: int, tmp_path: Path) -> None:
    friend = Home(tmp_path / "friend")
    async with receiver(friend, port, "--wait", "40") as right:
        assert await right.wait(60) == 0, right.said()
    assert await program.wait() == 0, program.said()
    assert (friend.root / "out" / "file").read_bytes() == b"secret content"


def _spent(home: Home) -> int:
    path = home.state / "guesses" / "host-4821"
    return int(path.read_text()) if path.exists() else 0


def test_t31_a_thousand_guests_that_stop_before_prove(home: Home, tmp_path: Path) -> None:
    async def stop(port: int, at: int) -> None:
        line = await dial(port)
        try:
            if at % 4:
                await line.put(Join("4821").frame().encoded)
            if at % 4 > 1:
                await line.frame()
            if at % 4 > 2:
                await line.put_frame(FrameType.ANSWER, os.urandom(300))
            line.abort()
        except Gone:
            line.abort()

    async def scenario() -> None:
        async with sender(home, "file") as program:
            port = await program.port()
            await until_proof(line := await dial(port), parse_code(WRONG))
            line.abort()
            for start in range(0, 1000, 50):
                await asyncio.gather(*(stop(port, at) for at in range(start, start + 50)))
            assert _spent(home) == 0
            assert b"wrong code" not in program.err
            await _right_guest_succeeds(program, port, tmp_path)

    attack(scenario())


def test_t31_eight_that_hold_on_cannot_keep_the_right_guest_out(home: Home, tmp_path: Path) -> None:
    """Places are for 2 s; then the one who has held one for the longest has to go, and is told
    so."""

    async def scenario() -> None:
        async with sender(home, "file") as program:
            port = await program.port()
            held = []
            for _ in range(8):
                held.append(await dial(port))
                await held[-1].put(Join("4821").frame().encoded)
                assert (await held[-1].frame()).type == FrameType.HELLO
            ninth = await dial(port)
            assert (await ninth.frame()) == Frame(FrameType.ALERT, b"\x08")
            async with ends_within(25):
                await _right_guest_succeeds(program, port, tmp_path)
            assert (await held[0].frame()) == Frame(FrameType.ALERT, b"\x08")
            for line in [*held, ninth]:
                await line.aclose()

    attack(scenario())


def test_t31_a_guest_that_stalls_is_dropped_after_ten_seconds(home: Home) -> None:
    async def scenario() -> None:
        async with sender(home, "file") as program:
            port = await program.port()
            silent, slow = await dial(port), await dial(port)

            async def drip() -> None:
                with contextlib.suppress(Gone):
                    for byte in Join("4821").frame().encoded[:-1]:
                        await slow.put(bytes([byte]))
                        await asyncio.sleep(1)

            dripping = asyncio.create_task(drip())
            async with ends_within(25, after=8):
                await asyncio.gather(silent.closed(), slow.closed())
            dripping.cancel()
            await asyncio.gather(dripping, return_exceptions=True)
            await silent.aclose()
            await slow.aclose()

    attack(scenario())


async def _guess(port: int, code: str = WRONG) -> Frame | None:
    """One wrong proof over the listener; what came back."""
    try:
        line = await dial(port)
    except Gone:
        return None
    try:
        machine = await until_proof(line, parse_code(code))
        machine.prove()
        await line.put(machine.data_to_send())
        return await line.frame()
    except (Gone, TallowError):
        return None
    finally:
        await line.aclose()


def test_t32_wrong_proofs_count_over_restarts_and_void_the_code(home: Home) -> None:
    """A custom secret stands ten; three are spent before a restart, seven after it."""
    code = "4821-not from the list at all"
    wrong = "4821-not from the list at ALL"

    async def scenario() -> None:
        async with sender(home, "file", code=code) as program:
            port = await program.port()
            for _ in range(3):
                assert await _guess(port, wrong) == Frame(FrameType.ALERT, b"\x01")
            program.signal(signal.SIGKILL)
            await program.process.wait()
        assert _spent(home) == 3
        async with sender(home, "file", code=code) as program:
            port = await program.port()
            for _ in range(7):
                assert await _guess(port, wrong) == Frame(FrameType.ALERT, b"\x01")
            assert await program.wait() == 4, program.said()
            assert b"10 of 10" in program.err
        async with sender(home, "file", code=code) as program:
            assert await program.wait() == 4, program.said()

    attack(scenario())


def test_t32_a_right_proof_costs_nothing_and_a_wrong_code_ends_with_four(
    home: Home, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with sender(home, "file") as program:
            port = await program.port()
            async with receiver(Home(tmp_path / "mistaken"), port, code=WRONG) as mistaken:
                assert await mistaken.wait() == 4, mistaken.said()
            assert _spent(home) == 1
            peer = await as_guest(port)
            assert _spent(home) == 1
            peer.line.abort()
            await _right_guest_succeeds(program, port, tmp_path)

    attack(scenario())


def test_t32_the_pace_is_a_burst_of_ten_then_one_a_second_and_the_right_guest_is_not_displaced(
    home: Home, tmp_path: Path
) -> None:
    """Wrong proofs in line fill the places; the right guest, in line too, keeps its place until its
    turn."""

    async def scenario() -> None:
        async with sender(home, "file") as program:
            port = await program.port()
            for _ in range(10):
                await _guess(port)
            async with ends_within(20, after=2.5):
                await asyncio.gather(*(_guess(port) for _ in range(4)))
            flood = [asyncio.create_task(_guess(port)) for _ in range(5)]
            await asyncio.sleep(0.3)
            line = await dial(port)
            machine = await until_proof(line, parse_code(CODE))
            machine.prove()
            await line.put(machine.data_to_send())
            strangers = []
            for _ in range(30):  # for 3 s, more than 2 s after the right guest came
                strangers.append(await dial(port))
                await asyncio.sleep(0.1)
            frame = await line.frame()
            assert frame.type == FrameType.DONE, frame
            await asyncio.gather(*flood)
            for each in [line, *strangers]:
                each.abort()

    attack(scenario())


def test_t32_a_new_code_does_not_inherit_the_guesses_of_its_number(home: Home) -> None:
    """A relay chooses the number of a new code: it must not be able to choose a void one."""
    from tests.kit.hostile_peers import listening

    folder = home.state / "guesses"
    folder.mkdir(parents=True)
    (folder / "host-7777").write_text("100")

    async def relay(line: Line) -> None:
        await line.frame()
        await line.put_frame(FrameType.RELAY_OPENED, b"\x047777" + bytes(32))
        await line.closed()

    async def scenario() -> None:
        from tests.kit.hostile_peers import tallow

        async with (
            listening(relay) as port,
            tallow(home, "send", "file", "--json", "--relay", f"tcp://127.0.0.1:{port}") as program,
        ):
            event = await program.event("code")
            assert event["code"].startswith("7777-")
            await asyncio.sleep(0.5)
            assert [event["event"] for event in program.events()] == ["code"]
            assert program.process.returncode is None

    attack(scenario())


def test_t23_flipping_any_byte_of_prove_or_answer_is_one_dead_handshake_and_no_crash(
    home: Home, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with sender(home, "file") as program:
            port = await program.port()
            for at in range(0, 1800, 150):
                line = await dial(port)
                await line.put(Join("4821").frame().encoded)
                from tallow_core.protocol.handshake.guest_handshake import GuestHandshake
                from tallow_core.secrets import system_rng
                from tests.kit.machines import DEFAULT, no_veto

                machine = GuestHandshake(parse_code(CODE), DEFAULT, system_rng, no_veto)
                with contextlib.suppress(Gone, TallowError):
                    while not isinstance(machine.next_event(), ProofDue):
                        if data := bytearray(machine.data_to_send()):
                            data[5 + at % (len(data) - 5)] ^= 1
                            await line.put(bytes(data))
                        machine.receive(await line.take(machine.wants))
                    machine.prove()
                    await line.put(machine.data_to_send())
                    assert (await line.frame()).type == FrameType.ALERT
                await line.aclose()
            assert _spent(home) <= 12
            await _right_guest_succeeds(program, port, tmp_path)

    attack(scenario())


def test_garbage_and_oversized_frames_before_anything_is_proved(home: Home, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with sender(home, "file") as program:
            port = await program.port()
            before = program.peak_kib()
            join = Join("4821").frame().encoded
            for garbage in [
                os.urandom(64),
                b"GET / HTTP/1.1\r\n\r\n",
                b"\x16\x03\x01\x02\x00\x01",
                b"\x01" + u32(16385) + bytes(1 << 20),
                b"\x01" + b"\xff" * 4,
                join[:-1],
                join + b"\x03" + u32(16385),
                join + b"\x05" + u32(32) + bytes(32),
                Join("9999").frame().encoded,
                join + b"\x07" + u32(1) + b"\x01",
                join + b"\x07" + u32(0),
                join * 3,
                b"\x01" + u32(0),
            ]:
                line = await dial(port)
                with contextlib.suppress(Gone):
                    await line.put(garbage)
                line.writer.write_eof() if not line.writer.is_closing() else None
                await line.closed()
                await line.aclose()
            assert program.peak_kib() - before < 3 << 10
            assert _spent(home) == 0
            await _right_guest_succeeds(program, port, tmp_path)

    attack(scenario())


def test_t04_what_strangers_say_is_harmless_at_every_level_of_detail(home: Home) -> None:
    async def scenario() -> None:
        async with sender(home, "file", "-vvv") as program:
            port = await program.port()
            line = await dial(port)
            await line.put_frame(
                FrameType.JOIN,
                b"tallow\x01\x00" + bytes(4) + bytes([len(ESCAPES.encode())]) + ESCAPES.encode(),
            )
            await line.closed()
            await line.aclose()
            program.signal(signal.SIGTERM)
            assert await program.wait() == 130
            assert_harmless(program)

    attack(scenario())


def test_the_sender_can_be_proved_to_twice_only_one_gets_it(home: Home) -> None:
    async def scenario() -> None:
        async with sender(home, "file") as program:
            port = await program.port()
            first = await as_guest(port)
            line = await dial(port)
            with pytest.raises((TallowError, Gone)):
                await prove(line)
            await line.aclose()
            first.line.abort()

    attack(scenario())
    assert tree(home.root / "out") == []
