"""Two processes in the middle of a transfer, over a wire that the test cuts."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.kit.hostile_peers import (
    Home,
    Line,
    Program,
    assert_harmless,
    dial,
    eventually,
    listening,
    receiver,
    sender,
    tree,
)

MEGABYTE = 1 << 20


SEGMENT = 4 * MEGABYTE


CONTENT = hashlib.shake_128(b"to be cut").digest(16 * MEGABYTE)


class Wire:
    """The network between the two: bytes pass while it is `up`. `limit`: how many of one
    connection's pass before all are cut."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._lines: list[Line] = []
        self.up = True
        self.limit = 1 << 62
        self.spoil = ""
        """What is changed in the next large piece that passes: "a bit" of it, or "a length" by way
        of all its bytes."""

    async def serve(self, line: Line) -> None:
        """One connection."""
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
                if self.spoil and len(data) > 4096:
                    data = (
                        data[:-1] + bytes([data[-1] ^ 1])
                        if self.spoil == "a bit"
                        else b"\xff" * len(data)
                    )
                    self.spoil = "" if self.spoil == "a bit" else self.spoil
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
        assert all(
            event["bytes"] >= SEGMENT for event in self.guest.events() if event["event"] == "resume"
        ), self.guest.said()

    def redialled(self) -> int:
        """How often the receiver says that it goes on."""
        return sum(event["event"] == "resume" for event in self.guest.events())


def progressed(program: Program, size: int) -> bool:
    """Whether it has so many bytes."""
    return any(
        event["event"] == "progress" and event["bytes"] >= size for event in program.events()
    )


@asynccontextmanager
async def running(
    tmp_path: Path, reconnect: float = 60, guest_reconnect: float | None = None
) -> AsyncIterator[Lost]:
    """Two programs in the middle of a transfer."""
    ann, bob = Home(tmp_path / "ann"), Home(tmp_path / "bob")
    ann.configure(f"[session]\nreconnect = {reconnect:g}\n")
    bob.configure(
        f"[session]\nreconnect = {reconnect if guest_reconnect is None else guest_reconnect:g}\n"
    )
    ann.environment()
    (ann.root / "file").write_bytes(CONTENT)
    async with sender(ann, "file", "--throttle", "8MB") as host:
        port = await host.port()
        wire = Wire(port)
        async with (
            listening(lambda line: wire.serve(line)) as middle,
            receiver(bob, middle) as guest,
        ):
            await eventually(lambda: progressed(guest, 6 * MEGABYTE), "progress")
            yield Lost(ann, bob, host, guest, wire, port)
