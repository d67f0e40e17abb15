"""A connection that was lost and comes back: T-23, T-32, T-34 at the redial, where strangers,
relays and proven peers misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from tallow_core.errors import TallowError
from tallow_core.protocol.codec.alert import Alert
from tallow_core.protocol.codec.frame import FrameType
from tallow_core.protocol.codec.wire import u32
from tallow_core.protocol.handshake.code import parse_code
from tallow_core.protocol.handshake.guess_budget import GUEST_PROOFS
from tallow_core.protocol.lanes.record import RecordType
from tallow_core.protocol.lanes.session_messages import write_reason
from tallow_core.protocol.transfer.manifest_entry import Entry, EntryKind
from tallow_core.protocol.transfer.resumption import Proof, read_resume, write_resume, write_resumed
from tests.kit.cut_wire import CONTENT, MEGABYTE, SEGMENT, Lost, progressed, running
from tests.kit.durations import ends_within
from tests.kit.hostile_peers import (
    PATIENCE,
    WRONG,
    Between,
    Change,
    Gone,
    Home,
    HostileHost,
    Line,
    Peer,
    as_guest,
    assert_harmless,
    attack,
    dial,
    eventually,
    listening,
    offer,
    receiver,
    sender,
    tree,
    until_proof,
)


@asynccontextmanager
async def lost(
    tmp_path: Path, reconnect: float = 60, guest_reconnect: float | None = None
) -> AsyncIterator[Lost]:
    """The same, and the wire has gone down."""
    async with running(tmp_path, reconnect, guest_reconnect) as both:
        both.wire.up = False
        both.wire.cut()
        await both.host.event("reconnect")
        await both.guest.event("reconnect")
        yield both


# -- strangers at the redial ---------------------------------------------------------------------


async def _named(peer: Peer) -> list[Proof]:
    kind, body = await peer.line.open()
    assert kind == RecordType.RESUME, (
        "something else was said before the receiver of before had proved itself"
    )
    return read_resume(body)


def _answers(make: Callable[[list[Proof]], bytes]) -> Callable[[Peer], Awaitable[None]]:
    async def answer(peer: Peer) -> None:
        await peer.line.seal(RecordType.RESUMED, make(await _named(peer)))

    return answer


def _says(
    kind: int, body: bytes = b"", *, final: bool = False
) -> Callable[[Peer], Awaitable[None]]:
    async def say(peer: Peer) -> None:
        await _named(peer)
        await peer.line.seal(kind, body, final=final)

    return say


async def _nothing(peer: Peer) -> None:
    await _named(peer)  # else it might be read from what had come before the end
    peer.line.abort()


async def _garbage(peer: Peer) -> None:
    await _named(peer)
    await peer.line.put(u32(40) + os.urandom(40))


async def _a_length_above_the_cap(peer: Peer) -> None:
    await _named(peer)
    await peer.line.put(u32(1 << 31))


STRANGERS: dict[str, Callable[[Peer], Awaitable[None]]] = {
    "knows nothing": _answers(lambda named: write_resumed(None)),
    "a guess": _answers(lambda named: write_resumed(Proof(named[0].transfer_id, bytes(32)))),
    "reflection": _answers(lambda named: write_resumed(named[0])),
    "another transfer": _answers(lambda named: write_resumed(Proof(bytes(16), named[0].mac))),
    "cut short": _answers(lambda named: write_resumed(named[0])[:-1]),
    "too long": _answers(lambda named: write_resumed(named[0]) + b"\0"),
    "accept": _says(RecordType.ACCEPT),
    "have": _says(RecordType.HAVE, b"\0"),
    "receipt": _says(RecordType.RECEIVED, bytes(44), final=True),
    "an unknown record": _says(0x6F),
    "refuses": _says(RecordType.REFUSE, write_reason(6, "no"), final=True),
    "stops": _says(RecordType.ERROR, write_reason(130, "it was interrupted there"), final=True),
    "ends": _says(RecordType.CLOSE, final=True),
    "garbage": _garbage,
    "too much": _a_length_above_the_cap,
    "leaves": _nothing,
}


def test_t34_the_code_alone_lets_nobody_in_and_ends_nothing(tmp_path: Path) -> None:
    """Strangers who know the code come first. None hears a name, or stops what they are no part
    of."""

    async def scenario() -> None:
        async with lost(tmp_path) as both:
            for name, stranger in STRANGERS.items():
                async with asyncio.timeout(PATIENCE):
                    while True:
                        with contextlib.suppress(
                            Gone, TallowError
                        ):  # the one before is still being seen off
                            peer = await as_guest(both.port)
                            break
                        await asyncio.sleep(0.05)
                with contextlib.suppress(Gone):
                    await stranger(peer)
                    while True:  # a last word, if any, and the end
                        kind, _ = await peer.line.open()
                        assert kind in (RecordType.ERROR, RecordType.REFUSE), (
                            f"{name}: told {kind:#04x}"
                        )
                assert both.host.process.returncode is None, f"{name}: {both.host.said()}"
                await peer.line.aclose()
            await both.finished()
            assert both.redialled() == 1

    attack(scenario(), 150)


def test_a_stranger_who_holds_on_is_let_go(tmp_path: Path) -> None:
    """One that knows the code and says nothing but that it is there keeps the place of the right
    one for ten seconds, not for ever."""

    async def scenario() -> None:
        async with lost(tmp_path) as both:
            peer = await as_guest(both.port)
            both.wire.up = True
            async with ends_within(20):
                with contextlib.suppress(Gone):
                    while True:
                        await peer.line.seal(RecordType.PING)
                        await asyncio.sleep(0.2)
            await both.finished()

    attack(scenario())


def test_t32_guesses_at_the_redial_count_with_those_before(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with lost(tmp_path) as both:
            for number in range(1, 4):
                with contextlib.suppress(Gone, TallowError):
                    await as_guest(both.port, WRONG)
                counted = f"({number} of 100 guesses)"
                await eventually(partial(both.host.says, counted), "a guess that counts")
            both.wire.up = True
            await eventually(lambda: both.redialled() == 1, "the redial")
            both.wire.cut()
            await eventually(
                lambda: len([e for e in both.host.events() if e["event"] == "reconnect"]) == 2,
                "the second loss",
            )
            with contextlib.suppress(Gone, TallowError):
                await as_guest(both.port, WRONG)
            await eventually(lambda: "(4 of 100 guesses)" in both.host.said(), "the count goes on")
            await both.finished()

    attack(scenario())


def test_t31_a_flood_at_the_redial_keeps_nobody_out(tmp_path: Path) -> None:
    """Strangers come all the time, and stop before they prove anything."""

    async def scenario() -> None:
        async with lost(tmp_path) as both:

            async def one() -> None:
                while True:
                    with contextlib.suppress(Gone, OSError):
                        line = await dial(both.port)
                        await until_proof(line, parse_code(WRONG))
                        await line.closed()
                    await asyncio.sleep(0.1)

            crowd = [asyncio.create_task(one()) for _ in range(16)]
            await asyncio.sleep(1)
            try:
                await both.finished()
            finally:
                for each in crowd:
                    each.cancel()
                await asyncio.gather(*crowd, return_exceptions=True)

    attack(scenario())


def test_t34_somebody_between_who_knows_the_code_passes_no_proof_on(tmp_path: Path) -> None:
    """It shakes hands with both, and gives each what the other says: a proof is of use in one
    session only."""
    told: list[bytes] = []

    async def scenario() -> None:
        async with running(tmp_path) as both:

            async def between(peer: Peer) -> None:
                ours = await as_guest(both.port)
                kind, body = await ours.line.open()
                assert kind == RecordType.RESUME
                await peer.line.seal(RecordType.RESUME, body)
                kind, answer = await peer.line.open()
                assert kind == RecordType.RESUMED
                told.append(answer)
                with contextlib.suppress(Gone):
                    await ours.line.seal(RecordType.RESUMED, answer)
                    kind, _ = await ours.line.open()
                    assert kind in (RecordType.ERROR, RecordType.REFUSE)
                peer.line.abort()

            evil = HostileHost(between)
            serve, both.wire.serve = both.wire.serve, evil.serve  # type: ignore[method-assign]
            both.wire.cut()
            async with asyncio.timeout(PATIENCE):
                while len(told) < 2:
                    await asyncio.sleep(0.05)
            both.wire.serve = serve  # type: ignore[method-assign]
            await both.finished()

    attack(scenario())
    assert set(told) == {b""}


# -- who answers in the sender's place -----------------------------------------------------------


def _alerts(number: int) -> Callable[[Line], Awaitable[None]]:
    async def serve(line: Line) -> None:
        await line.frame()
        await line.put_frame(FrameType.ALERT, bytes([number]))

    return serve


async def _noise(line: Line) -> None:
    await line.put(os.urandom(600))
    await line.closed()


async def _another_code(line: Line) -> None:
    with contextlib.suppress(TallowError):
        await HostileHost(_silent_peer, WRONG).serve(line)


async def _silent_peer(peer: Peer) -> None:
    await peer.line.closed()


IMPOSTORS: dict[str, Callable[[Line], Awaitable[None]]] = {
    "noise": _noise,
    "void": _alerts(Alert.VOID),
    "vetoed": _alerts(Alert.VETOED),
    "another code": _another_code,
}


def test_who_answers_at_the_redial_in_the_senders_place_ends_nothing(tmp_path: Path) -> None:
    """What is said before Done is anybody's word: the receiver says so and looks on, as long as it
    would for nobody at all."""

    async def scenario() -> None:
        async with running(tmp_path) as both:
            serve, turns = (
                both.wire.serve,
                iter([IMPOSTORS[name] for name in ("noise", "void", "another code")]),
            )

            async def first_others(line: Line) -> None:
                await (next(turns, None) or serve)(line)

            both.wire.serve = first_others  # type: ignore[method-assign]
            both.wire.cut()
            await both.finished()
            assert next(turns, None) is None, "not all of them were met"
            assert "void after too many wrong guesses); still looking" in both.guest.said()

    attack(scenario(), 150)


def test_an_impostor_alone(tmp_path: Path) -> None:
    """When the time is over it is the loss that ends it, and what is here is kept."""

    async def scenario() -> None:
        async with running(tmp_path, 60, 4) as both:
            both.wire.serve = IMPOSTORS["vetoed"]  # type: ignore[assignment, method-assign]
            both.wire.cut()
            assert await both.guest.wait() == 7, both.guest.said()
            assert "to go on" in both.guest.said()
            assert both.host.process.returncode is None

    attack(scenario())


def test_t32_proofs_at_redials_count_against_the_ten(tmp_path: Path) -> None:
    """Somebody who does not know the code answers each redial, and what comes after: ten proofs it
    gets, over all runs."""
    proofs = 0

    async def serve(line: Line) -> None:
        nonlocal proofs
        await _another_code(line)
        proofs += 1

    async def scenario() -> None:
        async with running(tmp_path, 60, 5) as both:
            both.wire.serve = serve  # type: ignore[method-assign]
            both.wire.cut()
            assert await both.guest.wait() == 7, both.guest.said()
            assert proofs >= 3, "there were no redials"
            for _ in range(GUEST_PROOFS + 1):
                async with listening(serve) as port, receiver(both.bob, port) as again:
                    status = await again.wait()
                    if "ask the sender for a new code" in again.said():
                        assert status == 4
                        return
            raise AssertionError("there is no end of it")

    attack(scenario())
    assert proofs == GUEST_PROOFS


async def _resume_of_nothing(peer: Peer) -> None:
    await peer.line.seal(RecordType.RESUME, write_resume([Proof(bytes(16), bytes(32))]))
    assert await peer.line.open() == (RecordType.RESUMED, b"")
    await _offer(peer)


async def _offer(peer: Peer) -> None:
    for body in offer(peer.established, [Entry(EntryKind.FILE, ("file",), 0o644, 0, len(CONTENT))]):
        await peer.line.seal(RecordType.OFFER_PAGE, body)
    kind, _ = await peer.line.open()
    assert kind == RecordType.ERROR, "it was accepted"


@pytest.mark.parametrize("how", [_resume_of_nothing, _offer], ids=["proves nothing", "offers"])
def test_t34_a_sender_that_only_knows_the_code_is_not_gone_on_with(
    how: Callable[[Peer], Awaitable[None]], tmp_path: Path
) -> None:
    """Nothing of what is here is told, nothing is taken, and nobody's answer of before counts for
    it."""

    async def scenario() -> None:
        async with running(tmp_path) as both:
            both.wire.serve = HostileHost(how).serve  # type: ignore[method-assign]
            both.wire.cut()
            assert await both.guest.wait() == 7, both.guest.said()
            assert "began anew" in both.guest.said()
            assert [
                name for name in tree(both.bob.root / "out") if not name.startswith(".tallow-")
            ] == []
            assert both.host.process.returncode is None

    attack(scenario())


def test_a_sender_that_only_says_that_it_is_there_is_let_go(tmp_path: Path) -> None:
    async def pinging(peer: Peer) -> None:
        with contextlib.suppress(Gone):
            while True:
                await peer.line.seal(RecordType.PING)
                await asyncio.sleep(0.2)

    async def scenario() -> None:
        async with running(tmp_path) as both:
            serve, turns = both.wire.serve, iter([HostileHost(pinging).serve])

            async def first_another(line: Line) -> None:
                await (next(turns, None) or serve)(line)

            both.wire.serve = first_another  # type: ignore[method-assign]
            both.wire.cut()
            await both.finished()

    attack(scenario())


# -- relays that cut -----------------------------------------------------------------------------


def test_cuts_at_every_moment_of_a_redial(tmp_path: Path) -> None:
    """Each message of a session is cut once, in both directions; then the wire holds.

    Those of the handshake alternate with later ones, because pauses double while nobody is found.
    Not cut is the receipt: it was handed over, so the receiver is done, and a sender that never
    hears of it is not.
    """
    ann, bob = Home(tmp_path / "ann"), Home(tmp_path / "bob")
    cuts: list[tuple[str, int]] = []
    words = "g5 g0 h3 h0 g3 g1 h4 h1 g4 g2 h5 h2 g6 h6 g7"
    plan = [("host" if word[0] == "h" else "guest", int(word[1:])) for word in words.split()]

    def change(to: str) -> Change:
        def each(connection: int, number: int, message: bytes) -> list[bytes] | None:
            if (
                armed
                and len(cuts) < len(plan)
                and plan[len(cuts)][0] == to
                and number >= plan[len(cuts)][1]
            ):
                cuts.append((to, number))
                return None
            return [message]

        return each

    armed: list[bool] = []

    async def scenario() -> None:
        for home in (ann, bob):
            home.configure("[session]\nreconnect = 60\n")
        ann.environment()
        (ann.root / "file").write_bytes(CONTENT)
        async with sender(ann, "file", "--throttle", "5MB") as host:
            between = Between(await host.port(), change("host"), change("guest"))
            async with listening(between.serve) as middle, receiver(bob, middle) as guest:
                await eventually(lambda: progressed(guest, 6 * MEGABYTE), "progress")
                armed.append(True)
                assert await guest.wait(120) == 0, guest.said()
                assert await host.wait() == 0, host.said()
                assert_harmless(guest)
                assert_harmless(host)
        assert (bob.root / "out" / "file").read_bytes() == CONTENT
        assert tree(bob.root / "out") == ["file"]
        print(cuts)

    attack(scenario(), 170)
    assert len(cuts) == len(plan)


def test_a_relay_that_lets_nothing_through_does_not_keep_them_dialling(tmp_path: Path) -> None:
    """Every session is cut before a segment came: the time for coming back is not counted anew, and
    both end."""

    async def scenario() -> None:
        async with running(tmp_path, 6) as both:
            both.wire.limit = MEGABYTE
            async with ends_within(25):
                assert await both.guest.wait() == 7, both.guest.said()
                assert await both.host.wait() == 7, both.host.said()
            assert both.redialled() >= 2, "the redials did not come through"
            assert "to go on" in both.guest.said()
            assert "to go on" in both.host.said()

    attack(scenario())


@pytest.mark.parametrize(
    ("ours", "theirs"), [(3, 3), (2, 6), (6, 2)], ids=["both", "sender first", "receiver first"]
)
def test_the_time_for_coming_back_ends(ours: float, theirs: float, tmp_path: Path) -> None:
    """Each end gives up by itself, says how to go on, and what was verified is there for the next
    run."""

    async def scenario() -> None:
        async with lost(tmp_path, ours, theirs) as both:
            if ours != theirs:  # the wire comes back when one end has gone
                first = both.host if ours < theirs else both.guest
                assert await first.wait() == 7, first.said()
                both.wire.up = True
            for program in (both.host, both.guest):
                assert await program.wait() == 7, program.said()
                assert "to go on" in program.said()
        async with (
            sender(both.ann, "file", anew=False) as host,
            receiver(both.bob, await host.port()) as guest,
        ):
            assert await guest.wait() == 0, guest.said()
            assert await host.wait() == 0, host.said()
            assert (
                next(event for event in guest.events() if event["event"] == "resume")["bytes"]
                >= SEGMENT
            )
        assert (both.bob.root / "out" / "file").read_bytes() == CONTENT
        assert tree(both.bob.root / "out") == ["file"]

    attack(scenario())


# -- sources that change meanwhile ---------------------------------------------------------------


@pytest.mark.parametrize("seen", [True, False], ids=["another time", "the same facts"])
def test_a_source_that_changes_while_the_connection_is_lost(seen: bool, tmp_path: Path) -> None:
    """A change that shows is refused with the choice there is; of one that does not, the mixture
    gets no name."""

    async def scenario() -> None:
        async with lost(tmp_path) as both:
            file = both.ann.root / "file"
            facts = file.stat()
            with file.open("r+b") as changed:
                changed.write(b"changed")
            if not seen:
                os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))
            both.wire.up = True
            assert await both.guest.wait() == (7 if seen else 8), both.guest.said()
            assert await both.host.wait() == (9 if seen else 7), both.host.said()
            assert ("--anew" in both.host.said()) == seen
            assert [
                name for name in tree(both.bob.root / "out") if not name.startswith(".tallow-")
            ] == []
            if not seen:
                assert "did not arrive as it was sent" in both.guest.said()
                assert tree(both.bob.root / "out") == [], "what cannot be right is not gone on with"

    attack(scenario())
