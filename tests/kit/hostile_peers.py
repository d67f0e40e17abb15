"""Attackers, and the real program as their target.

`Program` is the target: `python -m tallow_core` in a process and a home of its own. `Line` is the
attacker's end of a connection: plain asyncio sockets under the sans-IO machines of
`tallow_core.protocol`, so that every byte is the attacker's choice. `listening` runs a listener of
the attacker, `Between` stands in the middle of a connection and records or changes what passes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import ssl
import sys
import unicodedata
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tallow_core.protocol.codec.frame import Frame, FrameType
from tallow_core.protocol.codec.wire import Writer, u32
from tallow_core.protocol.handshake.code import Code, parse_code
from tallow_core.protocol.handshake.guest_handshake import GuestHandshake
from tallow_core.protocol.handshake.handshake_machine import Established, Handshake, ProofDue
from tallow_core.protocol.handshake.host_handshake import HostHandshake
from tallow_core.protocol.handshake.join import Join, read_join
from tallow_core.protocol.handshake.key_schedule import MANIFEST_CONTEXT, RECEIPT_CONTEXT
from tallow_core.protocol.handshake.suite_offer import Drivers
from tallow_core.protocol.lanes.lane_join import (
    CONTROL_KEYS,
    LaneAcceptor,
    LaneDialler,
    LaneKeys,
    read_lane_hello,
)
from tallow_core.protocol.lanes.record import (
    FINAL,
    MAX_DATA_RECORD_BYTES,
    Opener,
    RecordType,
    Sealer,
)
from tallow_core.protocol.lanes.session_messages import Receipt, read_reason
from tallow_core.protocol.transfer.content_items import CHUNK, TRAILER, ItemType
from tallow_core.protocol.transfer.file_hash import FileHash
from tallow_core.protocol.transfer.manifest_entry import Entry
from tallow_core.protocol.transfer.offer_pages import OfferKind, pages
from tallow_core.secrets import system_rng
from tallow_core.types import Role
from tests.kit.machines import DEFAULT, no_veto

T = TypeVar("T")

CODE = "4821-stamp-daybreak-kindred"
WRONG = "4821-stamp-daybreak-kindling"
PATIENCE = 30.0
"""Seconds that any wait of these tests may take before the test fails."""

SEGMENT = 4 << 20

_dialled: list[Line] = []
"""What the running scenario has dialled: closed at its end, however it ends."""


def attack(scenario: Coroutine[Any, Any, T], within: float = 90.0) -> T:
    """Run a scenario to its end; one that hangs fails."""

    async def bounded() -> T:
        try:
            async with asyncio.timeout(within):
                return await scenario
        finally:
            lines = [_dialled.pop() for _ in range(len(_dialled))]
            for line in lines:
                line.abort()
            await asyncio.gather(*(line.aclose() for line in lines))

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        return runner.run(bounded())


async def eventually(holds: Callable[[], bool], what: str) -> None:
    """Wait until `holds`; a failure names `what`."""
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.01)
    assert holds(), what


# -- the target ----------------------------------------------------------------------------------


NO_REDIAL = "[session]\nreconnect = 0\n"


@dataclass
class Home:
    """The directories of one user; two homes never discover each other."""

    root: Path

    def environment(self) -> dict[str, str]:
        """The environment of a process that lives here."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("TALLOW_", "XDG_", "COV", "PYTEST"))
        }
        self.root.mkdir(parents=True, exist_ok=True)
        self.runtime.mkdir(mode=0o700, exist_ok=True)
        if not (self.root / "config").exists():
            self.configure("")
        places = {
            f"XDG_{name}_HOME": str(self.root / name.lower())
            for name in ("STATE", "CONFIG", "DATA")
        }
        return {
            **kept,
            **places,
            "HOME": str(self.root),
            "XDG_RUNTIME_DIR": str(self.runtime),
            "PYTHONUNBUFFERED": "1",
        }

    @property
    def runtime(self) -> Path:
        """XDG_RUNTIME_DIR."""
        return self.root / "run"

    @property
    def state(self) -> Path:
        """Tallow's state directory."""
        return self.root / "state" / "tallow"

    def configure(self, text: str) -> None:
        """Write the config file. A peer that is gone is not dialled again: most of these go away in
        the middle."""
        folder = self.root / "config" / "tallow"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.toml").write_text(
            text if "[session]" in text else f"{text}\n{NO_REDIAL}", "utf-8"
        )


@dataclass
class Program:
    """A running `tallow`. `out` and `err` grow while it runs."""

    process: asyncio.subprocess.Process
    out: bytearray = field(default_factory=bytearray)
    err: bytearray = field(default_factory=bytearray)
    _readers: list[asyncio.Task[None]] = field(default_factory=list)

    def events(self) -> list[dict[str, Any]]:
        """The JSON events so far, whole lines only."""
        return [
            json.loads(line) for line in bytes(self.out).split(b"\n")[:-1] if line.startswith(b"{")
        ]

    async def event(self, name: str) -> dict[str, Any]:
        """Wait for an event; fails at once if the program ends without it."""
        async with asyncio.timeout(PATIENCE):
            while True:
                for event in self.events():
                    if event["event"] == name:
                        return event
                ended = all(reader.done() for reader in self._readers)
                assert not ended or any(event["event"] == name for event in self.events()), (
                    f"no {name}: {self.said()}"
                )
                await asyncio.sleep(0.01)

    async def port(self) -> int:
        """The port of the first listener of a sender."""
        return int((await self.event("code"))["listen"][0].rpartition(":")[2])

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs. `Process.terminate` would reap a process that has just
        ended, and asyncio then takes its exit status for 255."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, number)

    async def wait(self, within: float = PATIENCE) -> int:
        """The exit status. A traceback or a reported bug fails, whatever the test expects."""
        async with asyncio.timeout(within):
            status = await self.process.wait()
            await asyncio.gather(*self._readers)
        assert b"Traceback" not in self.out + self.err, self.said()
        assert b"bug in Tallow" not in self.out + self.err, self.said()
        assert b"never retrieved" not in self.err, self.said()
        assert b"was never awaited" not in self.err, self.said()
        assert status != 70, self.said()
        return status

    def type(self, text: str) -> None:
        """Write to its standard input, which stays open; needs `typing=True`."""
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode())

    def says(self, text: str) -> bool:
        """Whether it has printed `text`."""
        return text in self.said()

    def said(self) -> str:
        """All that it wrote, for a failing test."""
        return (
            f"--- out\n{self.out.decode(errors='replace')}\n---"
            f" err\n{self.err.decode(errors='replace')}"
        )

    def peak_kib(self) -> int:
        """Its peak resident memory so far, in KiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(
            int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")
        )


@asynccontextmanager
async def tallow(
    home: Home,
    *words: str,
    env: dict[str, str] | None = None,
    stdin: bytes | None = None,
    typing: bool = False,
) -> AsyncIterator[Program]:
    """Run the program; it is killed at the end of the block if it has not ended by itself. Without
    `stdin` or `typing`: no input."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tallow_core",
        *words,
        env={**home.environment(), **(env or {})},
        cwd=home.root,
        stdin=asyncio.subprocess.DEVNULL
        if stdin is None and not typing
        else asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    program = Program(process)
    assert process.stdout is not None
    assert process.stderr is not None
    program._readers += [asyncio.create_task(_collect(process.stdout, program.out))]
    program._readers += [asyncio.create_task(_collect(process.stderr, program.err))]
    try:
        if stdin is not None:
            assert process.stdin is not None
            process.stdin.write(stdin)
            process.stdin.close()
        yield program
    finally:
        with contextlib.suppress(ProcessLookupError):
            if process.returncode is None:
                process.kill()
        await process.wait()
        await asyncio.gather(*program._readers, return_exceptions=True)
        process._transport.close()  # type: ignore[attr-defined]


async def _collect(stream: asyncio.StreamReader, into: bytearray) -> None:
    while data := await stream.read(1 << 16):
        into += data


def sender(
    home: Home, *words: str, code: str = CODE, anew: bool = True, **more: Any
) -> AbstractAsyncContextManager[Program]:
    """`tallow send WORDS` that listens on loopback; `anew`: it does not go on with what an attack
    before this one has broken off."""
    words = words if "-" in words or "--text" in words or not anew else (*words, "--anew")
    env = {"TALLOW_CODE": code, **more.pop("env", {})}
    return tallow(
        home,
        "send",
        *words,
        "--json",
        "--transport",
        "tcp",
        "--listen",
        "127.0.0.1:0",
        env=env,
        **more,
    )


def receiver(
    home: Home,
    port: int,
    *words: str,
    code: str = CODE,
    yes: bool = True,
    json: bool = True,
    out: str = "out",
    **more: Any,
) -> AbstractAsyncContextManager[Program]:
    """`tallow receive` that dials the attacker."""
    env = {"TALLOW_CODE": code, **more.pop("env", {})}
    options = [
        *(["--yes"] if yes else []),
        *(["--json"] if json else []),
        "--at",
        f"127.0.0.1:{port}",
        "-o",
        out,
    ]
    return tallow(home, "receive", *options, *words, env=env, **more)


# -- the attacker's connections ------------------------------------------------------------------


class Gone(Exception):
    """The other end closed the connection."""


class Line:
    """The attacker's end of one connection: raw bytes, frames, and after a handshake or a lane's
    joining, sealed records."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.sealer: Sealer | None = None
        self.opener: Opener | None = None
        self.padded = False
        self.got = bytearray()
        """All that was read."""

    async def take(self, size: int) -> bytes:
        """Exactly `size` bytes, or `Gone`."""
        try:
            async with asyncio.timeout(PATIENCE):
                data = await self.reader.readexactly(size)
        except (asyncio.IncompleteReadError, OSError) as error:
            raise Gone from error
        self.got += data
        return data

    async def put(self, data: bytes) -> None:
        """Send; `Gone` if nobody takes it."""
        try:
            async with asyncio.timeout(PATIENCE):
                self.writer.write(data)
                await self.writer.drain()
        except OSError as error:
            raise Gone from error

    async def frame(self) -> Frame:
        """The next frame."""
        head = await self.take(5)
        return Frame(head[0], await self.take(int.from_bytes(head[1:], "big")))

    async def put_frame(self, kind: int, body: bytes = b"") -> None:
        """Send a frame."""
        await self.put(Frame(kind, body).encoded)

    async def seal(self, kind: int, body: bytes = b"", *, final: bool = False) -> None:
        """Send one sealed record."""
        await self.put(self.sealed(kind, body, final=final))

    def sealed(self, kind: int, body: bytes = b"", *, final: bool = False) -> bytes:
        """One sealed record, not yet sent."""
        assert self.sealer is not None
        raw = memoryview(
            bytearray(
                1 + len(body) + self.sealer.overhead + (MAX_DATA_RECORD_BYTES if self.padded else 0)
            )
        )
        raw[0] = kind | (FINAL if final else 0)
        raw[1 : 1 + len(body)] = body
        length = self.sealer.seal(raw, 1 + len(body))
        return u32(length) + bytes(raw[:length])

    async def open(self) -> tuple[int, bytes]:
        """The next sealed record that is no ping: its type without the final flag, its body."""
        assert self.opener is not None
        while True:
            length = int.from_bytes(await self.take(4), "big")
            plain = self.opener.open(memoryview(bytearray(await self.take(length))))
            if plain[0] & ~FINAL != RecordType.PING:
                return plain[0] & ~FINAL, bytes(plain[1:])

    async def last_words(self) -> str:
        """The sentence of the REFUSE or ERROR that ends the session from the other end; other
        records before it are passed over."""
        while True:
            kind, body = await self.open()
            if kind in (RecordType.REFUSE, RecordType.ERROR):
                return read_reason(body)[1]

    async def closed(self) -> bytes:
        """Wait until the other end has closed; what it still sent."""
        rest = bytearray()
        with contextlib.suppress(OSError):
            async with asyncio.timeout(PATIENCE):
                while data := await self.reader.read(1 << 16):
                    rest += data
        return bytes(rest)

    async def end(self) -> None:
        """End our direction. TLS has no half that could be closed: what still comes gets a
        moment."""
        with contextlib.suppress(OSError, RuntimeError):
            if self.writer.can_write_eof():
                self.writer.write_eof()
            else:
                await asyncio.sleep(0.5)
                self.writer.close()

    async def aclose(self) -> None:
        """Close."""
        self.writer.close()
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            async with asyncio.timeout(5):
                await self.writer.wait_closed()

    def abort(self) -> None:
        """Reset the connection."""
        self.writer.transport.abort()


async def dial(port: int) -> Line:
    """Connect to loopback."""
    try:
        line = Line(*await asyncio.open_connection("127.0.0.1", port))
    except OSError as error:
        raise Gone from error
    _dialled.append(line)
    return line


Serve = Callable[[Line], Awaitable[None]]


@asynccontextmanager
async def listening(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A listener of the attacker on loopback, `serve` for each connection; gives the port. Errors
    in `serve` fail the block."""
    tasks: set[asyncio.Task[None]] = set()
    problems: list[BaseException] = []

    async def handle(line: Line) -> None:
        try:
            await serve(line)
        except Gone:
            pass
        except Exception as error:
            problems.append(error)
        finally:
            await line.aclose()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(handle(Line(reader, writer)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, backlog=1024, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed() if sys.version_info < (3, 12) else None
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if problems:
        raise problems[0]


# -- handshakes ----------------------------------------------------------------------------------


async def _shake(line: Line, machine: Handshake) -> Established:
    while True:
        if data := machine.data_to_send():
            await line.put(data)
        event = machine.next_event()
        if isinstance(event, Established):
            return event
        if isinstance(event, ProofDue):
            assert isinstance(machine, HostHandshake | GuestHandshake)
            machine.check() if isinstance(machine, HostHandshake) else machine.prove()
            continue
        machine.receive(await line.take(machine.wants))


def _control(line: Line, established: Established, role: Role) -> None:
    _keys(line, established, role, CONTROL_KEYS)


def _keys(line: Line, established: Established, role: Role, keys: LaneKeys) -> None:
    kdf, cipher, line.padded = established.schedule.kdf, established.cipher, established.padded
    line.sealer = Sealer(
        cipher, kdf, keys.lane, role, keys.secret(established.schedule, role), padded=line.padded
    )
    line.opener = Opener(
        cipher,
        kdf,
        keys.lane,
        role.peer,
        keys.secret(established.schedule, role.peer),
        padded=line.padded,
    )


@dataclass
class Peer:
    """The attacker as one end of a session whose code it knows: it proved itself, and misbehaves
    afterwards."""

    line: Line
    established: Established
    role: Role

    async def dial_lane(self, port: int, lane: int = 1, nameplate: str = "4821") -> Line:
        """As the guest: open a lane at a sender's listener."""
        line = await dial(port)
        await line.put(Join(nameplate, lane=True).frame().encoded)
        machine = LaneDialler(self.established.schedule, lane, system_rng)
        await line.put(machine.data_to_send())
        while machine.keys is None:
            machine.receive(await line.take(machine.wants))
        await line.put(machine.data_to_send())
        _keys(line, self.established, self.role, machine.keys)
        return line

    async def accept_lane(self, line: Line) -> Line:
        """As the host: let a lane join, its Join already read."""
        machine = LaneAcceptor(
            self.established.schedule, read_lane_hello(await line.frame()), system_rng
        )
        await line.put(machine.data_to_send())
        while machine.keys is None:
            machine.receive(await line.take(machine.wants))
        _keys(line, self.established, self.role, machine.keys)
        return line


async def as_guest(
    port: int, code: str = CODE, drivers: Drivers = DEFAULT, nameplate: str | None = None
) -> Peer:
    """Join a sender and prove the code."""
    line = await dial(port)
    try:
        return await prove(line, code, drivers, nameplate)
    except BaseException:
        await line.aclose()
        raise


async def prove(
    line: Line, code: str = CODE, drivers: Drivers = DEFAULT, nameplate: str | None = None
) -> Peer:
    """Join on a connection and prove the code."""
    parsed = parse_code(code)
    await line.put(Join(nameplate or parsed.nameplate, 10).frame().encoded)
    machine = GuestHandshake(parsed, drivers, system_rng, no_veto)
    while (first := await line.frame()).type == FrameType.RELAY_WAITING:
        pass
    machine.receive(first.encoded)
    established = await _shake(line, machine)
    _control(line, established, Role.GUEST)
    return Peer(line, established, Role.GUEST)


async def until_proof(line: Line, code: Code) -> GuestHandshake:
    """Join and go on until the proof is due: the machine holds it, nothing was proved."""
    await line.put(Join(code.nameplate).frame().encoded)
    machine = GuestHandshake(code, DEFAULT, system_rng, no_veto)
    while not isinstance(machine.next_event(), ProofDue):
        if data := machine.data_to_send():
            await line.put(data)
        machine.receive(await line.take(machine.wants))
    return machine


Evil = Callable[[Peer], Awaitable[None]]


class HostileHost:
    """A sender that knows the code. `after` is what it does once a guest has proved itself; `lanes`
    are those that then joined."""

    def __init__(self, after: Evil, code: str = CODE, drivers: Drivers = DEFAULT) -> None:
        self._after = after
        self._code = parse_code(code)
        self._drivers = drivers
        self._peer: Peer | None = None
        self._lanes: asyncio.Queue[Line] = asyncio.Queue()

    async def serve(self, line: Line) -> None:
        """One connection."""
        join = read_join(await line.frame())
        if join.lane:
            assert self._peer is not None
            await self._lanes.put(await self._peer.accept_lane(line))
            await asyncio.sleep(PATIENCE)
            return
        established = await _shake(
            line, HostHandshake(self._code, self._drivers, system_rng, no_veto)
        )
        _control(line, established, Role.HOST)
        self._peer = Peer(line, established, Role.HOST)
        await self._after(self._peer)

    async def lane(self) -> Line:
        """The next lane that joined."""
        async with asyncio.timeout(PATIENCE):
            return await self._lanes.get()


async def at_receiver(
    home: Home, evil: Callable[[Peer, HostileHost], Awaitable[None]], *words: str, **more: Any
) -> tuple[int, Program]:
    """Let the evil sender at a receiver; its exit status, and the receiver, which did no harm."""

    async def after(peer: Peer) -> None:
        try:
            await evil(peer, host)
            await peer.line.closed()
        except Gone:
            pass

    host = HostileHost(after)
    async with listening(host.serve) as port, receiver(home, port, *words, **more) as program:
        status = await program.wait(80)
        assert_harmless(program)
        return status, program


# -- what is offered and sent --------------------------------------------------------------------


def offer(
    established: Established,
    entries: Iterable[Entry],
    kind: OfferKind = OfferKind.FILES,
    segment: int = SEGMENT,
) -> list[bytes]:
    """The pages of an offer."""
    return [body for body, _ in pages(kind, bytes(16), established.hash, entries, segment)]


def raw_entry(
    components: Sequence[bytes], kind: int = 2, mode: int = 0o644, size: int = 1, mtime_ns: int = 0
) -> bytes:
    """An entry that no honest writer would write."""
    writer = Writer().u8(kind).u16(mode).i64(mtime_ns).u64(size).u8(len(components) & 0xFF)
    for component in components:
        writer.u8(len(component) & 0xFF).raw(component)
    return writer.done()


def raw_offer(
    established: Established,
    entries: Sequence[bytes],
    *,
    files: int | None = None,
    directories: int = 0,
    links: int = 0,
    size: int | None = None,
    segment: int = SEGMENT,
    kind: int = 0,
    number: int = 0,
    last: int = 1,
    count: int | None = None,
) -> bytes:
    """One page of which every field is the attacker's choice; the manifest's hash is right."""
    hasher = established.hash.hasher(MANIFEST_CONTEXT)
    for entry in entries:
        hasher.update(entry)
    writer = Writer().u32(number).u8(last).u8(kind).raw(bytes(16)).u32(segment)
    writer.u16(len(entries) if count is None else count).raw(b"".join(entries))
    writer.u32(len(entries) - directories - links if files is None else files).u32(directories).u32(
        links
    )
    return writer.u64(len(entries) if size is None else size).raw(hasher.digest()).done()


def chunk(number: int, offset: int, data: bytes) -> bytes:
    """A chunk item."""
    return CHUNK.pack(ItemType.CHUNK, number, offset, len(data)) + data


def content(established: Established, number: int, data: bytes) -> bytes:
    """A whole small file, chunk and trailer."""
    running = FileHash(established.hash, SEGMENT)
    if data:
        running.update(data)
    return (chunk(number, 0, data) if data else b"") + TRAILER.pack(
        ItemType.TRAILER, number, len(data), running.digest()
    )


def receipt(
    established: Established, *digests: bytes, files: int | None = None, size: int = 0
) -> bytes:
    """The body of RECEIVED."""
    hasher = established.hash.hasher(RECEIPT_CONTEXT)
    for digest in digests:
        hasher.update(digest)
    return Receipt(len(digests) if files is None else files, size, hasher.digest()).encoded()


# -- in the middle -------------------------------------------------------------------------------

Change = Callable[[int, int, bytes], list[bytes] | None]
"""(connection, message number, message) -> what goes on instead; None cuts the connection."""


class Between:
    """A proxy that sees whole messages: frames until Done or LaneReady has passed, then records. It
    records every byte."""

    def __init__(
        self, target: int, to_host: Change | None = None, to_guest: Change | None = None
    ) -> None:
        self._target = target
        self._changes = {"host": to_host, "guest": to_guest}
        self._connections = 0
        self.seen = bytearray()
        self.messages: list[tuple[str, int, int, int]] = []
        """(to whom, connection, number, length) of every message that came."""
        self.records: list[tuple[str, int, int]] = []
        """(to whom, connection, length) of those that were sealed."""

    async def serve(self, line: Line) -> None:
        """One connection through the middle."""
        far = await dial(self._target)
        number = self._connections
        self._connections += 1
        pumps = [
            asyncio.create_task(self._pump("host", number, line, far)),
            asyncio.create_task(self._pump("guest", number, far, line)),
        ]
        try:
            await asyncio.wait(pumps)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            await far.aclose()

    async def _pump(self, to: str, connection: int, source: Line, sink: Line) -> None:
        change = self._changes[to]
        sealed, number = False, 0
        try:
            while True:
                head = await source.take(4 if sealed else 5)
                message = head + await source.take(int.from_bytes(head[-4:], "big"))
                self.seen += message
                self.messages.append((to, connection, number, len(message)))
                if sealed:
                    self.records.append((to, connection, len(message)))
                parts = [message] if change is None else change(connection, number, message)
                sealed = sealed or _seals(to, head[0])
                number += 1
                if parts is None:
                    source.abort()
                    sink.abort()
                    return
                for part in parts:
                    await sink.put(part)
        except Gone:
            await sink.end()


def _seals(to: str, kind: int) -> bool:
    """Whether records follow this frame in its direction."""
    last = (
        (FrameType.PROVE, FrameType.LANE_READY)
        if to == "host"
        else (FrameType.DONE, FrameType.LANE_ACCEPT)
    )
    return kind in last


# -- looking at the outcome ----------------------------------------------------------------------


def tree(root: Path) -> list[str]:
    """All paths below `root`, sorted; [] if it is not there."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*")) if root.exists() else []


def steers(text: str, lines: bool = False) -> bool:
    """Whether `text` holds a character that moves, hides or reorders what is shown; with `lines`,
    line feeds and tabs may."""
    hidden = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    return any(
        unicodedata.category(char) in hidden and not (lines and char in "\n\t") for char in text
    )


def assert_harmless(program: Program) -> None:
    """T-04: nothing that could steer a terminal is among what the program wrote, nor in the events
    once they are decoded."""
    for stream in (program.out, program.err):
        assert not steers(stream.decode(), lines=True), program.said()
    for event in program.events():
        assert not any(steers(text, lines=event["event"] == "text") for text in _texts(event)), (
            program.said()
        )


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for key, item in value.items() for text in (*_texts(key), *_texts(item))]
    return [text for item in value for text in _texts(item)] if isinstance(value, list) else []


class Tap:
    """A wire with somebody listening: passes bytes on and records them."""

    def __init__(self, target: int) -> None:
        self._target = target
        self.seen = bytearray()

    async def serve(self, line: Line) -> None:
        """One connection."""
        far = await dial(self._target)
        await asyncio.gather(self._pump(line, far), self._pump(far, line))

    async def _pump(self, source: Line, sink: Line) -> None:
        with contextlib.suppress(OSError):
            while data := await source.reader.read(1 << 16):
                self.seen += data
                sink.writer.write(data)
                await sink.writer.drain()
        await sink.end()


@asynccontextmanager
async def relay_server(home: Home) -> AsyncIterator[tuple[Program, int]]:
    """`tallow relay serve` without TLS, so that tests can speak to it as they like; gives it and
    its port."""
    async with tallow(home, "relay", "serve", "--bind", "tcp://127.0.0.1:0", "--json") as program:
        yield program, int((await program.event("relay"))["url"].rpartition(":")[2])
