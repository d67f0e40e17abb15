"""send a folder to yourself, directly and through a relay, and check it"""

from __future__ import annotations

import asyncio
import filecmp
import json
import os
import secrets
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tallow_core.cli import invocation
from tallow_core.cli.loop import run_loop
from tallow_core.cli.options import Common
from tallow_core.cli.report import size_text
from tallow_core.errors import BrokenOffError, FileSystemError, IntegrityError, PluginError
from tallow_core.hookspecs import hookimpl
from tallow_core.spi.command import Command

QUIET_SECONDS = 60.0
"""A process that says nothing for so long has failed: a transfer reports progress five times a second."""

_COMMON = Common()


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


def demo(path: str | None = None, /, *, common: Common = _COMMON) -> int:
    """Start a relay and both ends on this machine, send PATH directly and through the relay, and check what arrived.

    Parameters
    ----------
    path
        What to send; without it, a folder is made for the occasion.
    """
    context = invocation.context(common, {})

    def say(text: str) -> None:
        if not (common.json or common.quiet):
            print(text, flush=True)

    with tempfile.TemporaryDirectory(prefix="tallow-demo-") as folder:
        source = Path(os.path.abspath(path)) if path is not None else _sample(Path(folder) / "sample")
        if not source.exists():
            raise FileSystemError("there is nothing at that path to send; name a file or folder that exists")
        for run in run_loop(_runs(Path(folder), source, say)):
            context.event("demo", **run)
    say("Both arrived as they were sent. To send for real:  tallow send FILE   and, on the other machine,  tallow receive")
    return 0


def _sample(folder: Path) -> Path:
    """A folder with what a transfer must keep: a large file, a small and an empty one, an empty folder, a name beyond ASCII."""
    (folder / "empty folder").mkdir(parents=True)
    (folder / "large.bin").write_bytes(secrets.token_bytes(16 << 20))
    (folder / "grüße.txt").write_text("Hello from Tallow.\n", "utf-8")
    (folder / "empty.txt").touch()
    return folder


async def _runs(folder: Path, source: Path, say: Callable[[str], None]) -> list[dict[str, Any]]:
    ends = _Ends(folder)
    say(f"Sending {source.name} from one process to another on this machine.")
    direct = await _transfer(ends, source, "directly", say, ["--listen", "127.0.0.1:0"])
    async with ends.start("relay", "serve", "--bind", "127.0.0.1:0") as relay:
        url = str((await relay.event("relay"))["url"])
        say(f"Started a relay at {url[:60]}...")
        relayed = await _transfer(ends, source, "through the relay", say, ["--relay", url])
    return [direct, relayed]


async def _transfer(ends: _Ends, source: Path, how: str, say: Callable[[str], None], options: list[str]) -> dict[str, Any]:
    output = ends.folder / f"received {how}"
    async with ends.start("send", *options, "--", str(source)) as sender:
        code = await sender.event("code")
        if "--listen" in options:
            options = ["--at", str(code["listen"][0])]
        # The code goes through standard input: arguments and the environment of a process are seen by others.
        async with ends.start("receive", "--yes", "--output", str(output), *options, stdin=str(code["code"])) as receiver:
            peer, suite = await receiver.event("peer"), await receiver.event("suite")
            done = await receiver.event("done")
            sent = await sender.event("done")
            await receiver.ended()
        await sender.ended()
    left_out = {entry["path"] for entry in sent["skipped"]}
    if (different := next(_different(source, output / source.name, left_out), None)) is not None:
        raise IntegrityError(f"what arrived {how} is not what was sent: {different.name}")
    names = {kind: suite[kind] for kind in ("kem", "cipher", "hash", "authenticator")}
    seconds = float(done["seconds"])
    say(
        f"  {how}: {done['files']} files, {size_text(done['bytes'])} in {seconds:.2f} s"
        f" ({size_text(round(done['bytes'] / max(seconds, 1e-9)))}/s), compared byte for byte\n"
        f"    suite: {', '.join(f'{kind} {name}' for kind, name in names.items())}"
    )
    return {"path": peer["path"], "files": done["files"], "bytes": done["bytes"], "seconds": seconds, "suite": names}


def _different(left: Path, right: Path, left_out: set[str]) -> Iterator[Path]:
    """The paths below `left` that are missing or other below `right`; links and what the sender left out are passed over."""
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
            same = there.is_dir() if path.is_dir() else there.is_file() and filecmp.cmp(path, there, shallow=False)
            if not same:
                yield path


@dataclass
class _End:
    """One process of ours, and the events it prints."""

    process: Process
    what: str

    async def event(self, name: str) -> dict[str, Any]:
        """The next event called `name`; raises if an error comes first, or nothing for a minute."""
        assert self.process.stdout is not None
        while True:
            try:
                line = await asyncio.wait_for(self.process.stdout.readline(), QUIET_SECONDS)
            except TimeoutError:
                raise BrokenOffError(f"tallow {self.what} said nothing for {QUIET_SECONDS:g} s; run it by hand to see why") from None
            if not line:
                raise PluginError(f"tallow {self.what} ended before it said {name}; run it by hand to see why")
            event: dict[str, Any] = json.loads(line)
            if event["event"] == name:
                return event
            if event["event"] == "error":
                raise BrokenOffError(f"tallow {self.what}: {event['message']}")

    async def ended(self) -> None:
        """Wait for its end, which must be a good one."""
        # Whatever it still says is read, so that it cannot wait for us.
        await asyncio.wait_for(self.process.communicate(), QUIET_SECONDS)
        status = self.process.returncode
        if status:
            raise BrokenOffError(f"tallow {self.what} ended with exit status {status}; run it by hand to see why")


class _Ends:
    """Starts processes that share nothing but this machine: each with directories of its own below `folder`."""

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
        places = {f"XDG_{place}_HOME": str(home / place.lower()) for place in ("CONFIG", "STATE", "DATA")}
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TALLOW_")}
        environment |= places | {"XDG_RUNTIME_DIR": str(home / "run")}
        program = [sys.executable, "-P", "-m", "tallow_core"]
        cut = words.index("--") if "--" in words else len(words)
        options = [*words[:cut], "--json", "--config", str(self._config), *words[cut:]]
        process = await asyncio.create_subprocess_exec(*program, *options, stdin=PIPE, stdout=PIPE, env=environment)
        assert process.stdin is not None
        process.stdin.write(f"{stdin}\n".encode())
        process.stdin.close()
        try:
            yield _End(process, " ".join(word for word in words[:2] if not word.startswith("-")))
        finally:
            if process.returncode is None:
                process.terminate()
                try:
                    await asyncio.wait_for(process.wait(), 10)
                except TimeoutError:
                    process.kill()
                    await process.wait()
