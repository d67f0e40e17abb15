"""Other programs that hand over a file, each in a network namespace of its own with nothing but
loopback, and a server of its own.

They are looked for in a folder (`install` fills it) and on the PATH. In the namespace they can
reach no server of their makers, and what they listen on is reached by nobody.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks import network
from benchmarks.processes import Child
from benchmarks.samples import Run, Sample, sample
from benchmarks.tallow import LOOPBACK, Prefix, same_size

_PHRASE = "4821-stamp-daybreak"
_ADDRESS = "10.78.0.1"


def program(name: str, peers: Path | None) -> str | None:
    """Where a program is."""
    places = [str(peers / part) for part in ("wormhole/bin", "bin")] if peers else []
    return shutil.which(name, path=os.pathsep.join([*places, os.environ.get("PATH", os.defpath)]))


def missing(peers: Path | None, *programs: str) -> str:
    """Why a peer cannot run here, or nothing."""
    absent = [name for name in programs if program(name, peers) is None]
    return f"{', '.join(absent)} not installed" if absent else network.missing()


def wormhole(source: Path, peers: Path | None) -> Run:
    """magic-wormhole with a mailbox and a transit relay of its own; the two ends find each other on
    loopback and need no relay."""

    def transfer(work: Path, at: Prefix, stack: ExitStack) -> Sample:
        twist = (*at, program("twist", peers) or "")
        mailbox = (*twist, "wormhole-mailbox", f"--port=tcp:4000:interface={LOOPBACK}")
        relay = stack.enter_context(Child(mailbox, work / "mailbox"))
        relay.line("Starting reactor|starting on 4000|server running")
        transit = (*twist, "transitrelay", f"--port=tcp:4001:interface={LOOPBACK}")
        stack.enter_context(Child(transit, work / "transit")).line(
            "Starting reactor|starting on 4001"
        )
        base = (
            *at,
            program("wormhole", peers) or "",
            f"--relay-url=ws://{LOOPBACK}:4000/v1",
            f"--transit-helper=tcp:{LOOPBACK}:4001",
        )
        sending = (*base, "send", "--hide-progress", "--no-qr", f"--code={_PHRASE}", str(source))
        sender = stack.enter_context(Child(sending, work / "a", listen="stderr"))
        sender.line("Wormhole code is")
        receiving = (
            *base,
            "receive",
            "--hide-progress",
            "--accept-file",
            f"--output-file={work / 'out' / source.name}",
            _PHRASE,
        )
        return sample(
            {
                "sender": sender,
                "receiver": stack.enter_context(Child(receiving, work / "b")),
                "relay": relay,
            }
        )

    return _alone(source, transfer)


def croc(source: Path, peers: Path | None) -> Run:
    """croc through a relay of its own: it always goes through one."""

    def transfer(work: Path, at: Prefix, stack: ExitStack) -> Sample:
        command = (*at, program("croc", peers) or "")
        secret = {"CROC_SECRET": _PHRASE}
        relay = stack.enter_context(
            Child((*command, "relay", "--host", LOOPBACK), work / "relay", listen="stderr")
        )
        relay.line("starting TCP server on .*9013|9013")
        shared = (
            *command,
            "--disable-clipboard",
            "--ignore-stdin",
            "--yes",
            "--relay",
            f"{LOOPBACK}:9009",
        )
        sending = (*shared, "send", "--no-local", str(source))
        sender = stack.enter_context(
            Child(sending, work / "a", listen="stderr", environment=secret)
        )
        sender.line("Code is|CROC_SECRET|croc ")
        receiving = (*shared, "--overwrite", "--out", str(work / "out"))
        receiver = stack.enter_context(Child(receiving, work / "b", environment=secret))
        return sample({"sender": sender, "receiver": receiver, "relay": relay})

    return _alone(source, transfer)


def sendme(source: Path, peers: Path | None) -> Run:
    """sendme without its makers' relays: the ticket carries the sender's address."""

    def transfer(work: Path, at: Prefix, stack: ExitStack) -> Sample:
        for line in (("address", "add", f"{_ADDRESS}/32", "dev", "lo"),):
            with Child((*at, "ip", *line), work / "ip") as ip:
                ip.finish()
        command = (*at, program("sendme", peers) or "")
        sending = (
            *command,
            "send",
            "--relay",
            "disabled",
            "--ticket-type",
            "addresses",
            str(source),
        )
        sender = stack.enter_context(Child(sending, work / "a"))
        ticket = sender.line(r"sendme receive (\S+)").group(1)
        receiver = stack.enter_context(
            Child((*command, "receive", "--relay", "disabled", ticket), work / "out")
        )
        there = receiver.finish()
        sender.terminate()
        cost = sender.finish(status=None)
        whole = receiver.ended - sender.began
        return Sample(whole, whole, {"sender": cost, "receiver": there})

    return _alone(source, transfer)


def _alone(source: Path, transfer: Callable[[Path, Prefix, ExitStack], Sample]) -> Run:
    def run(work: Path) -> Sample:
        (work / "out").mkdir()
        with ExitStack() as stack:
            _, at = stack.enter_context(network.namespace(work / "net"))
            measured = transfer(work, at, stack)
        same_size(source, work / "out" / source.name)
        return measured

    return run
