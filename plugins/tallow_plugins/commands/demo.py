"""send a folder to yourself, directly and through a relay, and check it"""

from __future__ import annotations

import asyncio
import filecmp
import json
import os
import secrets
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from tallow_core.cli.args.options import CommonOptions
from tallow_core.cli.entry import invocation
from tallow_core.cli.entry.event_loop import run_loop
from tallow_core.cli.views.output import put
from tallow_core.cli.views.reporters import size_text
from tallow_core.errors import BrokenOffError, FileSystemError, IntegrityError, PluginError
from tallow_core.events import DemoDone, SuiteAgreed
from tallow_core.registry.hookspecs import hookimpl
from tallow_core.spi.command import Command

MAX_LINE_BYTES = 1 << 28
"""The most bytes of one event. The event `done` lists all entries that were left out."""
QUIET_SECONDS = 60.0
"""A process in which nothing moves for so long has failed: a transfer reports progress five times a
second."""

_COMMON = CommonOptions()


class Demo(Command):
    """`tallow demo [PATH]`."""

    name = "demo"

    @classmethod
    def function(cls) -> Callable[..., Any]:
        """The command."""
        return demo


@hookimpl
def tallow_offer_command() -> list[type[Command]]:
    """Hand over the command."""
    return [Demo]


def demo(path: str | None = None, /, *, common: CommonOptions = _COMMON) -> int:
    """Start a relay and both ends on this machine, send PATH directly and through the relay, and
    check what arrived.

    Parameters
    ----------
    path
        What to send; without it, a folder is made for the occasion.
    """
    context = invocation.context(common, {})

    def say(text: str) -> None:
        if not (common.json or common.quiet):
            put(text)

    with tempfile.TemporaryDirectory(prefix="tallow-demo-") as folder:
        source = (
            Path(os.path.abspath(path)) if path is not None else _sample(Path(folder) / "sample")
        )
        if not source.exists():
            raise FileSystemError(
                "there is nothing at that path to send; name a file or folder that exists"
            )
        for run in run_loop(_runs(Path(folder), source, say)):
            context.report(run)
    say(
        "Both arrived as they were sent. To send for real:  tallow send FILE   and, on the other"
        " machine,  tallow receive"
    )
    return 0


def _sample(folder: Path) -> Path:
    """A folder with what a transfer must keep: a large file, a small and an empty one, an empty
    folder, a name beyond ASCII."""
    (folder / "empty folder").mkdir(parents=True)
    (folder / "large.bin").write_bytes(secrets.token_bytes(16 << 20))
    (folder / "grüße.txt").write_text("Hello from Tallow.\n", "utf-8")
    (folder / "empty.txt").touch()
    return folder


async def _runs(folder: Path, source: Path, say: Callable[[str], None]) -> list[DemoDone]:
    ends = _Ends(folder)
    say(f"Sending {source.name} from one process to another on this machine.")
    direct = await _transfer(ends, source, "directly", say, ["--listen", "127.0.0.1:0"])
    async with ends.start("relay", "serve", "--bind", "127.0.0.1:0") as relay:
        url = str((await relay.event("relay"))["url"])
        say(f"Started a relay at {url[:60]}...")
        relayed = await _transfer(
            ends, source, "through the relay", say, ["--relay", url, "--relay-only"]
        )
    return [direct, relayed]


async def _transfer(
    ends: _Ends, source: Path, how: str, say: Callable[[str], None], options: list[str]
) -> DemoDone:
    output = ends.folder / f"received {how}"
    async with ends.start("send", *options, "--", str(source)) as sender:
        code = await sender.event("code")
        if "--listen" in options:
            options = ["--at", str(code["listen"][0])]
        # The code goes through standard input: arguments and the environment of a process are seen
        # by others.
        async with ends.start(
            "receive", "--yes", "--output", str(output), *options, stdin=str(code["code"])
        ) as receiver:
            peer, suite = await receiver.event("peer"), await receiver.event("suite")
            done = await receiver.event("done")
            sent = await sender.event("done")
            await receiver.ended()
        await sender.ended()
    left_out = {entry["path"] for entry in sent["skipped"]}
    if (different := next(_different(source, output / source.name, left_out), None)) is not None:
        raise IntegrityError(f"what arrived {how} is not what was sent: {different.name}")
    names = {kind: suite[kind] for kind in ("kem", "cipher", "hash", "authenticator", "compressor")}
    seconds = float(done["seconds"])
    say(
        f"  {how}: {done['files']} files, {size_text(done['bytes'])} in {seconds:.2f} s"
        f" ({size_text(round(done['bytes'] / max(seconds, 1e-9)))}/s), compared byte for byte\n"
        f"    suite: {', '.join(f'{kind} {name}' for kind, name in names.items())}"
    )
    return DemoDone(peer["path"], done["files"], done["bytes"], seconds, SuiteAgreed(**names))


def _different(left: Path, right: Path, left_out: set[str]) -> Iterator[Path]:
    """The paths below `left` that are missing or other below `right`; links and what the sender
    left out are passed over."""
    if left.is_file():
        if not right.is_file() or not filecmp.cmp(left, right, shallow=False):
            yield left
        return
    for folder, folders, files in os.walk(left):
        for name in folders + files:
            path = Path(folder, name)
            there = right / path.relative_to(left)
            if path.is_symlink() or str(path.relative_to(left.parent)) in left_out:
                continue
            same = (
                there.is_dir()
                if path.is_dir()
                else there.is_file() and filecmp.cmp(path, there, shallow=False)
            )
            if not same:
                yield path


class _End:
    """One process of ours. Its output is read at once, so that it never waits for us. The events
    that matter are kept in order."""

    def __init__(self, process: Process, what: str) -> None:
        self.process = process
        self._what = what
        self._events: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._moved_at = asyncio.get_running_loop().time()
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        moved = 0
        async for line in self.process.stdout:
            event: dict[str, Any] = json.loads(line)
            if event["event"] != "progress" or event["bytes"] > moved:
                self._moved_at = asyncio.get_running_loop().time()
            if event["event"] == "progress":
                moved = event["bytes"]
            elif event["event"] != "file":
                self._events.put_nowait(event)
        self._events.put_nowait(None)

    async def event(self, name: str) -> dict[str, Any]:
        """The next event called `name`; raises if an error or the end comes first, or nothing moves
        for a minute."""
        while True:
            event = await self._next()
            if event is None:
                raise PluginError(
                    f"tallow {self._what} ended before it said {name}; run it by hand to see why"
                )
            if event["event"] == "error":
                raise BrokenOffError(f"tallow {self._what}: {event['message']}")
            if event["event"] == name:
                return event

    async def _next(self) -> dict[str, Any] | None:
        while True:
            try:
                return await asyncio.wait_for(self._events.get(), 1)
            except TimeoutError:
                if asyncio.get_running_loop().time() - self._moved_at > QUIET_SECONDS:
                    raise BrokenOffError(
                        f"tallow {self._what} stood still for {QUIET_SECONDS:g} s; run it by hand"
                        " to see why"
                    ) from None

    async def ended(self) -> None:
        """Wait for its end, which must be a good one; an error that it reports first is raised."""
        while (event := await self._next()) is not None:
            if event["event"] == "error":
                raise BrokenOffError(f"tallow {self._what}: {event['message']}")
        status = await asyncio.wait_for(self.process.wait(), QUIET_SECONDS)
        if status:
            raise BrokenOffError(
                f"tallow {self._what} ended with exit status {status}; run it by hand to see why"
            )

    def _signal(self, number: signal.Signals) -> None:
        """Send a signal. `Process.terminate` would reap a process that has just ended, and asyncio
        then takes its exit status for 255."""
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, number)

    async def stop(self) -> None:
        """End it, if it still runs."""
        if self.process.returncode is None:
            self._signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self.process.wait(), 10)
            except TimeoutError:
                self._signal(signal.SIGKILL)
                await self.process.wait()
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)


class _Ends:
    """Starts processes that share nothing but this machine: each with directories of its own below
    `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._config = folder / "config.toml"
        self._config.touch()
        self._count = 0

    @asynccontextmanager
    async def start(self, *words: str, stdin: str = "") -> AsyncIterator[_End]:
        """Run `tallow WORDS`; it is ended when the block is left."""
        self._count += 1
        home = self.folder / f"end-{self._count}"
        places = {
            f"XDG_{place}_HOME": str(home / place.lower()) for place in ("CONFIG", "STATE", "DATA")
        }
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("TALLOW_")
        }
        environment |= places | {"XDG_RUNTIME_DIR": str(home / "run")}
        program = [sys.executable, "-P", "-m", "tallow_core"]
        cut = words.index("--") if "--" in words else len(words)
        options = [*words[:cut], "--json", "--config", str(self._config), *words[cut:]]
        process = await asyncio.create_subprocess_exec(
            *program, *options, stdin=PIPE, stdout=PIPE, env=environment, limit=MAX_LINE_BYTES
        )
        assert process.stdin is not None
        process.stdin.write(f"{stdin}\n".encode())
        process.stdin.close()
        end = _End(process, " ".join(word for word in words[:2] if not word.startswith("-")))
        try:
            yield end
        finally:
            await end.stop()
