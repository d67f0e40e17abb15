"""`tallow_core.api` inside one process: what is accepted, refused, cancelled and gone on with."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tallow_core import api
from tallow_core.directories import Directories
from tallow_core.errors import RefusedError, TallowError, UsageError
from tallow_core.events import (
    CodeReady,
    Event,
    ProgressMade,
    TextReceived,
    TransferDone,
    TransferResumed,
)

pytestmark = pytest.mark.sockets


def settings_of(home: Path, *, throttle: int = 0) -> api.Settings:
    """Settings of a user of their own; all on one machine, so that `local` finds the other."""
    folders = (*(home / name for name in ("config", "state", "data")), home.parent / "run")
    base = api.Settings(directories=Directories(*folders))
    return api.Settings(
        directories=base.directories,
        send=base.send._replace(throttle=throttle),
        session=base.session._replace(reconnect=0),
    )


class Sending:
    """A call of `send` under way; `code` comes with its first event."""

    def __init__(self, home: Path, *paths: Path, throttle: int = 0, **payload: Any) -> None:
        self.events: list[Event] = []
        self._code: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(
            api.send(
                paths,
                settings=settings_of(home / "ann", throttle=throttle),
                on_event=self._on_event,
                **payload,
            )
        )

    def _on_event(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, CodeReady) and not self._code.done():
            self._code.set_result(event.code)

    async def code(self) -> str:
        """The code, as soon as it is ready; raises what ended the call before."""
        either: list[asyncio.Future[Any]] = [self.task, self._code]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        return self._code.result() if self._code.done() else str(self.task.result())


def run(work: Awaitable[None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(60):
            await work

    asyncio.run(limited())


async def receive(home: Path, sending: Sending, accept: Any, **more: Any) -> TransferDone:
    return await api.receive(
        await sending.code(), accept=accept, settings=settings_of(home / "bob"), **more
    )


def everything_into(folder: Path) -> Callable[[api.IncomingOffer], api.Accept]:
    return lambda offer: api.Accept(into=folder)


def test_a_selection_goes_into_a_folder(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "tree"
    source.mkdir()
    for name in ("a.txt", "b.bin", "c.txt"):
        (source / name).write_text(name, "utf-8")

    async def accept(offer: api.IncomingOffer) -> api.Accept:
        assert (offer.kind, offer.files, offer.bytes, offer.resumable) == ("files", 3, 15, False)
        return api.Accept(
            offer.only(lambda _, entry: entry.components[-1].endswith(".txt")), tmp_path
        )

    async def scenario() -> None:
        sending = Sending(tmp_path, source)
        (tmp_path / "out").mkdir()
        done = await receive(tmp_path, sending, accept)
        assert (done.files, done.bytes) == (2, 10)
        assert (await sending.task).files == 2

    source = source.rename(tmp_path / "sent")
    run(scenario())
    assert sorted(path.name for path in (tmp_path / "sent (1)").iterdir()) == ["a.txt", "c.txt"]
    assert capfd.readouterr() == ("", ""), "nothing is printed"


def test_a_refusal_reaches_both(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    async def scenario() -> None:
        sending = Sending(tmp_path, tmp_path / "file")
        with pytest.raises(RefusedError, match="not today"):
            await receive(tmp_path, sending, lambda _: api.Refuse("not today"))
        with pytest.raises(RefusedError, match="not today"):
            await sending.task

    run(scenario())


@pytest.mark.parametrize("to_descriptor", [False, True])
def test_a_text(tmp_path: Path, to_descriptor: bool) -> None:
    got: list[Event] = []
    read, write = os.pipe()

    async def scenario() -> None:
        sending = Sending(tmp_path, text="hello\n\x1b")
        answer = api.Accept(into=write if to_descriptor else None)
        await receive(tmp_path, sending, lambda _: answer, on_event=got.append)
        await sending.task

    run(scenario())
    os.close(write)
    with open(read, "rb") as pipe:
        assert pipe.read() == (b"hello\n\x1b" if to_descriptor else b"")
    texts = [event.text for event in got if isinstance(event, TextReceived)]
    assert texts == ([] if to_descriptor else ["hello\n\\x1b"])


def test_a_stream_goes_to_a_descriptor(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"stream" * 1000)

    async def scenario() -> None:
        with open(tmp_path / "in", "rb") as source, open(tmp_path / "out", "wb") as target:
            sending = Sending(tmp_path, stream=source.fileno())
            await receive(tmp_path, sending, lambda _: api.Accept(into=target.fileno()))
            await sending.task

    run(scenario())
    assert (tmp_path / "out").read_bytes() == b"stream" * 1000


def test_what_was_cancelled_goes_on(tmp_path: Path) -> None:
    source, output = tmp_path / "large", tmp_path / "out"
    source.write_bytes(os.urandom(24 << 20))
    moved = asyncio.Event()
    warnings: list[str] = []

    def watch(event: Event) -> None:
        if isinstance(event, ProgressMade) and event.bytes > 12 << 20:
            moved.set()

    async def scenario() -> None:
        sending = Sending(tmp_path, source, throttle=16 << 20)
        receiving = asyncio.create_task(
            receive(
                tmp_path,
                sending,
                everything_into(output),
                on_event=watch,
                on_warning=warnings.append,
            )
        )
        await moved.wait()
        receiving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await receiving
        with pytest.raises(Exception, match="interrupted there"):
            await sending.task
        again = Sending(tmp_path, source)
        events: list[Event] = []
        await receive(tmp_path, again, everything_into(output), on_event=events.append)
        await again.task
        assert any(isinstance(event, TransferResumed) and event.bytes for event in events)

    run(scenario())
    assert any("what was verified is kept" in text for text in warnings)
    assert (output / "large").read_bytes() == source.read_bytes()


def test_a_cancelled_send_goes_on(tmp_path: Path) -> None:
    source, output = tmp_path / "large", tmp_path / "out"
    source.write_bytes(os.urandom(24 << 20))
    moved = asyncio.Event()

    def watch(event: Event) -> None:
        if isinstance(event, ProgressMade) and event.bytes > 12 << 20:
            moved.set()

    async def scenario() -> None:
        sending = Sending(tmp_path, source, throttle=16 << 20)
        receiving = asyncio.create_task(
            receive(tmp_path, sending, everything_into(output), on_event=watch)
        )
        await moved.wait()
        sending.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending.task
        with pytest.raises(TallowError, match="interrupted there"):
            await receiving
        assert not (output / "large").exists()
        again = Sending(tmp_path, source)
        events: list[Event] = []
        await receive(tmp_path, again, everything_into(output), on_event=events.append)
        assert (await again.task).files == 1
        assert any(isinstance(event, TransferResumed) and event.bytes for event in events)
        assert any(isinstance(event, TransferResumed) and event.bytes for event in again.events)

    run(scenario())
    assert (output / "large").read_bytes() == source.read_bytes()


def test_one_payload_at_a_time(tmp_path: Path) -> None:
    for wrong in ({}, {"paths": [tmp_path], "text": "a"}):
        with pytest.raises(UsageError, match="one of them only"):
            asyncio.run(api.send(**wrong, settings=settings_of(tmp_path)))  # type: ignore[arg-type]
