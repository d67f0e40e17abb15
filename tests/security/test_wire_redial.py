"""A connection that was lost and comes back: T-23, T-32, T-34 at the redial, where strangers, relays and proven peers misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tallow_core.errors import TallowError
from tallow_core.protocol.code import parse_code
from tallow_core.protocol.messages import write_reason
from tallow_core.protocol.records import RecordType
from tallow_core.protocol.resume import Proof, read_resume, write_resumed
from tallow_core.protocol.wire import u32
from tests.security.hostile_peers import (
    PATIENCE,
    WRONG,
    Gone,
    Home,
    HostileHost,
    Line,
    Peer,
    Program,
    as_guest,
    assert_harmless,
    attack,
    dial,
    eventually,
    listening,
    receiver,
    sender,
    tree,
    until_proof,
)

MEGABYTE = 1 << 20
SEGMENT = 4 * MEGABYTE
CONTENT = hashlib.shake_128(b"to be cut").digest(16 * MEGABYTE)


class Wire:
    """The network between the two: bytes pass while it is `up`. `limit`: how many of one connection's pass before all are cut."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._lines: list[Line] = []
        self.up = True
        self.limit = 1 << 62
        self.connections = 0

    async def serve(self, line: Line) -> None:
        """One connection."""
        self.connections += 1
        if not self.up:
            line.abort()
            return
        far = await dial(self._target)
        self._lines += [line, far]
        await asyncio.gather(self._pump(line, far), self._pump(far, line))

    async def _pump(self, source: Line, sink: Line) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := await source.reader.read(1 << 16):
                sink.writer.write(data)
                await sink.writer.drain()
                if (passed := passed + len(data)) > self.limit:
                    self.cut()
        with contextlib.suppress(OSError, RuntimeError):
            await sink.end()

    def cut(self) -> None:
        """Reset what there is."""
        lines, self._lines = self._lines, []
        for line in lines:
            line.abort()


@dataclass
class Lost:
    """Two programs in the middle of a transfer, each waiting for the other to come back."""

    ann: Home
    bob: Home
    host: Program
    guest: Program
    wire: Wire
    port: int
    """Of the sender's own listener."""

    async def finished(self) -> None:
        """Mend the wire: both go on, and all arrives."""
        self.wire.up = True
        assert await self.guest.wait(60) == 0, self.guest.said()
        assert await self.host.wait() == 0, self.host.said()
        for program in (self.host, self.guest):
            assert_harmless(program)
        assert (self.bob.root / "out" / "file").read_bytes() == CONTENT
        assert tree(self.bob.root / "out") == ["file"]
        assert all(event["bytes"] >= SEGMENT for event in self.guest.events() if event["event"] == "resume"), self.guest.said()

    def redialled(self) -> int:
        """How often the receiver says that it goes on."""
        return sum(event["event"] == "resume" for event in self.guest.events())


def progressed(program: Program, size: int) -> bool:
    """Whether it has so many bytes."""
    return any(event["event"] == "progress" and event["bytes"] >= size for event in program.events())


@asynccontextmanager
async def running(tmp_path: Path, reconnect: float = 60, guest_reconnect: float | None = None) -> AsyncIterator[Lost]:
    """Two programs in the middle of a transfer."""
    ann, bob = Home(tmp_path / "ann"), Home(tmp_path / "bob")
    ann.configure(f"[session]\nreconnect = {reconnect:g}\n")
    bob.configure(f"[session]\nreconnect = {reconnect if guest_reconnect is None else guest_reconnect:g}\n")
    ann.environment()
    (ann.root / "file").write_bytes(CONTENT)
    async with sender(ann, "file", "--throttle", "8MB") as host:
        port = await host.port()
        wire = Wire(port)
        async with listening(lambda line: wire.serve(line)) as middle, receiver(bob, middle) as guest:
            await eventually(lambda: progressed(guest, 6 * MEGABYTE), "progress")
            yield Lost(ann, bob, host, guest, wire, port)


@asynccontextmanager
async def lost(tmp_path: Path, reconnect: float = 60, guest_reconnect: float | None = None) -> AsyncIterator[Lost]:
    """The same, and the wire has gone down."""
    async with running(tmp_path, reconnect, guest_reconnect) as both:
        both.wire.up = False
        both.wire.cut()
        await both.host.event("reconnect")
        await both.guest.event("reconnect")
        yield both


# -- strangers at the redial --------------------------------------------------------------------------------------------------


async def _named(peer: Peer) -> list[Proof]:
    kind, body = await peer.line.open()
    assert kind == RecordType.RESUME, "something else was said before the receiver of before had proved itself"
    return read_resume(body)


def _answers(make: Callable[[list[Proof]], bytes]) -> Callable[[Peer], Awaitable[None]]:
    async def answer(peer: Peer) -> None:
        await peer.line.seal(RecordType.RESUMED, make(await _named(peer)))

    return answer


def _says(kind: int, body: bytes = b"", *, final: bool = False) -> Callable[[Peer], Awaitable[None]]:
    async def say(peer: Peer) -> None:
        await _named(peer)
        await peer.line.seal(kind, body, final=final)

    return say


async def _nothing(peer: Peer) -> None:
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
    """Strangers who know the code come first. None hears a name, or stops what they are no part of."""

    async def scenario() -> None:
        async with lost(tmp_path) as both:
            for name, stranger in STRANGERS.items():
                async with asyncio.timeout(PATIENCE):
                    while True:
                        with contextlib.suppress(Gone, TallowError):  # the one before is still being seen off
                            peer = await as_guest(both.port)
                            break
                        await asyncio.sleep(0.05)
                with contextlib.suppress(Gone):
                    await stranger(peer)
                    while True:  # a last word, if any, and the end
                        kind, _ = await peer.line.open()
                        assert kind in (RecordType.ERROR, RecordType.REFUSE), f"{name}: told {kind:#04x}"
                assert both.host.process.returncode is None, f"{name}: {both.host.said()}"
                await peer.line.aclose()
            await both.finished()
            assert both.redialled() == 1

    attack(scenario(), 150)


def test_a_stranger_who_holds_on_is_let_go(tmp_path: Path) -> None:
    """One that knows the code and says nothing but that it is there keeps the place of the right one for ten seconds, not for ever."""

    async def scenario() -> None:
        async with lost(tmp_path) as both:
            peer = await as_guest(both.port)
            both.wire.up = True
            began = time.monotonic()
            with contextlib.suppress(Gone):
                while True:
                    await peer.line.seal(RecordType.PING)
                    await asyncio.sleep(0.2)
                    assert time.monotonic() - began < 20, "it holds on"
            await both.finished()

    attack(scenario())


def test_t32_guesses_at_the_redial_count_with_those_before(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with lost(tmp_path) as both:
            for number in range(1, 4):
                with contextlib.suppress(Gone, TallowError):
                    await as_guest(both.port, WRONG)
                await eventually(lambda number=number: f"({number} of 100 guesses)" in both.host.said(), "a guess that counts")  # type: ignore[misc]
            both.wire.up = True
            await eventually(lambda: both.redialled() == 1, "the redial")
            both.wire.cut()
            await eventually(lambda: len([e for e in both.host.events() if e["event"] == "reconnect"]) == 2, "the second loss")
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
    """It shakes hands with both, and gives each what the other says: a proof is of use in one session only."""
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
