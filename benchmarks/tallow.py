"""Runs of Tallow as it is installed for this interpreter, and of the plain copy beside it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from benchmarks.processes import PLAIN, TALLOW, Child, Failed
from benchmarks.samples import Run, Sample, sample

CODE = "482917-stamp-daybreak-kindred"
LOOPBACK = "127.0.0.1"
Prefix = tuple[str, ...]


def plain(source: Path, *, buffer: str = "bytearray") -> Run:
    """The plain copy over loopback."""
    return lambda work: plain_between(source, work, LOOPBACK, buffer)


def plain_between(
    source: Path,
    work: Path,
    host: str,
    buffer: str = "bytearray",
    at: tuple[Prefix, Prefix] = ((), ()),
) -> Sample:
    """The plain copy: the receiver listens at `host`; `at` is put in front of the commands of the
    sender and the receiver."""
    target = work / "copy"
    with Child((*at[1], *PLAIN, "receive", str(target), host, buffer), work / "b") as receiver:
        port = str(receiver.event("listening")[1]["port"])
        with Child((*at[0], *PLAIN, "send", str(source), host, buffer, port), work / "a") as sender:
            seconds = receiver.event("done")[1]["seconds"]
            measured = sample({"sender": sender, "receiver": receiver}, seconds)
    same_size(source, target)
    return measured


def direct(source: Path, transport: str, *options: str) -> Run:
    """Tallow, the receiver dialling the sender's listener on loopback; `options` are for both
    ends."""
    return lambda work: direct_between(source, work, LOOPBACK, transport, options)


def direct_between(
    source: Path,
    work: Path,
    host: str,
    transport: str,
    options: Sequence[str] = (),
    at: tuple[Prefix, Prefix] = ((), ()),
) -> Sample:
    """Tallow, the sender listening at `host`; `at` is put in front of the commands of the sender
    and the receiver."""
    options = ("--no-relay", "--transport", transport, *options)
    with _sender(source, work, *options, "--listen", f"{host}:0", prefix=at[0]) as sender:
        (url,) = (
            url for url in sender.event("code")[1]["listen"] if url.startswith(f"{transport}:")
        )
        with _receiver(work, *options, "--at", url, prefix=at[1]) as receiver:
            return _ends(source, work, sender, receiver, "direct")


def relayed(source: Path, transport: str, *options: str) -> Run:
    """Tallow through a relay on loopback and by nothing else; `transport` is what both ends dial it
    by."""
    return lambda work: relayed_at(source, work, transport, ("--relay-only", *options))


def relayed_at(
    source: Path, work: Path, transport: str, options: Sequence[str], at: Prefix = ()
) -> Sample:
    """The same; without `--relay-only` both ends look for a direct path too. `at` is put in front
    of every command."""
    with ExitStack() as children:
        serve = (*at, *TALLOW, "relay", "serve", "--json", "--bind", f"{transport}://{LOOPBACK}:0")
        relay = children.enter_context(Child(serve, work / "relay"))
        url = relay.event("relay")[1]["url"]
        sender = children.enter_context(_sender(source, work, "--relay", url, *options, prefix=at))
        sender.event("code")
        receiver = children.enter_context(_receiver(work, "--relay", url, *options, prefix=at))
        return _ends(source, work, sender, receiver, "relay", relay)


def streamed(size: int) -> Run:
    """`size` bytes from standard input to `--stdout`; what feeds and empties the pipes is not
    counted."""

    def run(work: Path) -> Sample:
        with ExitStack() as children:
            given, fed = os.pipe()
            drained, taken = os.pipe()
            _then_close(
                fed,
                children.enter_context(
                    Child((*PLAIN, "feed", str(size)), work / "feed", listen="stderr", stdout=fed)
                ),
            )
            drain = children.enter_context(Child((*PLAIN, "drain"), work / "drain", stdin=drained))
            os.close(drained)
            sending = (
                *TALLOW,
                "send",
                "-",
                "--json",
                "--code",
                CODE,
                "--no-relay",
                "--transport",
                "tcp",
                "--listen",
                f"{LOOPBACK}:0",
            )
            sender = children.enter_context(Child(sending, work / "a", stdin=given))
            os.close(given)
            (url,) = sender.event("code")[1]["listen"]
            receiving = (
                *TALLOW,
                "receive",
                CODE,
                "--yes",
                "--json",
                "--stdout",
                "--no-relay",
                "--at",
                url,
            )
            receiver = children.enter_context(
                Child(receiving, work / "b", listen="stderr", stdout=taken)
            )
            os.close(taken)
            seconds = receiver.event("done")[1]["seconds"]
            measured = sample({"sender": sender, "receiver": receiver}, seconds)
            if (count := drain.event("drained")[1]["bytes"]) != size:
                raise Failed(f"{count} bytes came out of {size}")
            return measured

    return run


def _then_close(descriptor: int, child: Child) -> Child:
    os.close(descriptor)
    return child


def _sender(source: Path, work: Path, *options: str, prefix: Prefix = ()) -> Child:
    return Child(
        (*prefix, *TALLOW, "send", "--json", "--code", CODE, *options, str(source)), work / "a"
    )


def _receiver(work: Path, *options: str, prefix: Prefix = ()) -> Child:
    return Child(
        (
            *prefix,
            *TALLOW,
            "receive",
            CODE,
            "--yes",
            "--json",
            "--output",
            str(work / "out"),
            *options,
        ),
        work / "b",
    )


def _ends(
    source: Path, work: Path, sender: Child, receiver: Child, path: str, relay: Child | None = None
) -> Sample:
    if (found := receiver.event("peer")[1]["path"]) != path:
        raise Failed(f"the two ends met by the path {found!r}, not {path!r}")
    seconds = receiver.event("done")[1]["seconds"]
    measured = sample(
        {"sender": sender, "receiver": receiver, **({"relay": relay} if relay else {})}, seconds
    )
    same_size(source, work / "out" / source.name)
    return measured


def same_size(source: Path, target: Path) -> None:
    """Tallow compares hashes itself; this is against measuring a copy that did not happen."""
    if measure(source) != measure(target):
        raise Failed(f"{target} is not as large as {source}")


def measure(path: Path) -> tuple[int, int]:
    """How many files, and their bytes."""
    if path.is_file():
        return 1, path.stat().st_size
    sizes = [
        os.stat(os.path.join(folder, name)).st_size
        for folder, _, names in os.walk(path)
        for name in names
    ]
    return len(sizes), sum(sizes)


def ciphers() -> list[str]:
    """The ciphers that are installed and allowed."""
    asked = subprocess.run(
        (*TALLOW, "plugins", "list", "--kind", "cipher", "--json"),
        capture_output=True,
        timeout=60,
        check=True,
    )
    events = [json.loads(line) for line in asked.stdout.splitlines()]
    return [event["name"] for event in events if event.get("state") == "allowed"]


def has_option(command: str, option: str) -> bool:
    """Whether the help of a command names an option."""
    with suppress(subprocess.SubprocessError):
        asked = subprocess.run(
            (*TALLOW, command, "--help"), capture_output=True, text=True, timeout=60, check=True
        )
        return f"{option} " in asked.stdout.replace("\n", " ")
    return False
