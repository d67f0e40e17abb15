"""Kills at random moments: sender, receiver, relay, network. What arrives is what was sent, and
little is sent twice."""

from __future__ import annotations

import random  # noqa: TID251 - moments that can be repeated
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.kit.lab import MEGABYTE, Event, Lab, Place, Tallow, leftovers, tree, write_large
from tests.kit.proxy import Proxy

SEED = 20240611
KILLS = [4, pytest.param(20, marks=pytest.mark.long)]
"""Of each transfer: in every run, and in `tox -e long`."""
SEGMENT = 4 * MEGABYTE
IN_FLIGHT = 2 * MEGABYTE
"""Bytes of the last record, and those that were in the sockets' buffers."""
OVERHEAD = 400_000
"""Bytes of one session that are no content: the handshake, and the offer of 2,000 files."""


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """The network in front of the receiver."""
    proxy = Proxy()
    yield proxy
    proxy.close()


class Ordeal:
    """One transfer, killed again and again, and always begun again."""

    def __init__(self, lab: Lab, proxy: Proxy, ann: Place, bob: Place, rate: str) -> None:
        self._lab, self._proxy, self._ann, self._bob, self._rate = lab, proxy, ann, bob, rate
        self._home = lab.place()
        self._relay: Tallow | None = None
        self._bind = self._pin = ""
        self.sessions = 1
        self.start_both(relayed=False)

    def start_both(self, *, relayed: bool) -> None:
        """Begin, or go on with a new code."""
        self.relayed = relayed
        if relayed:
            self._start_relay()
        self._start_sender(None)
        self._start_receiver()

    def _start_relay(self) -> None:
        if self._relay is None or self._relay.process.poll() is not None:
            self._relay, url = self._lab.relay(place=self._home, bind=self._bind or "127.0.0.1:0")
            address, _, self._pin = url.partition("://")[2].partition("#")
            self._bind = address

    def _start_sender(self, code: str | None) -> None:
        # All bytes are to pass the proxy, which counts them: nothing moves to a direct path beside
        # it.
        where = (
            ["--relay", f"tls://{self._bind}#{self._pin}", "--relay-only"]
            if self.relayed
            else ["--listen", "127.0.0.1:0"]
        )
        env = {"TALLOW_CODE": code} if code else {}
        self.sender = self._lab.send(self._ann, "t", *where, "--throttle", self._rate, env=env)
        listen = (
            self._bind
            if self.relayed
            else next(each for each in self.sender.listen if each.startswith("tcp://"))
        )
        self._proxy.target = int(listen.rpartition(":")[2])

    def _start_receiver(self) -> None:
        place = f"127.0.0.1:{self._proxy.port}"
        where = (
            ["--relay", f"tls://{place}#{self._pin}", "--relay-only"]
            if self.relayed
            else ["--at", place]
        )
        self.receiver = self._lab.receive(self._bob, self.sender.code, *where)

    def strike(self, kind: str, rng: random.Random) -> None:
        """One interruption, and what a person would do about it: nothing, if both ends are still
        there."""
        self.sessions += 1
        if kind == "cut":
            self._proxy.cut()
        elif kind == "relay" and self.relayed:
            assert self._relay is not None
            self._relay.kill()
            self._start_relay()
        elif kind == "receiver":
            self.receiver.kill()
            self._start_receiver()
        elif (
            self.relayed or kind == "relay" or rng.random() < 0.5
        ):  # a new code, perhaps by another path
            self.sender.kill()
            self.receiver.kill()
            self.start_both(relayed=kind == "relay" or rng.random() < 0.5)
        else:  # the same code: the receiver finds it by itself
            code = self.sender.code
            self.sender.kill()
            self._start_sender(code)

    @property
    def over(self) -> bool:
        """Whether there is nothing left to kill."""
        return bool(self.receiver.named("done")) or self.sender.process.poll() is not None


def _has(least: float, event: Event) -> bool:
    enough: bool = event["bytes"] >= least
    return enough


def ordeal(
    lab: Lab, proxy: Proxy, ann: Place, bob: Place, size: int, rate: str, count: int
) -> tuple[int, int]:
    """Send `t` in spite of it all; returns the number of kills and the bytes that were sent
    again."""
    rng = random.Random(SEED)
    print(f"seed {SEED}, {count} kills, {size} bytes")
    trial, kills, began = Ordeal(lab, proxy, ann, bob, rate), 0, time.monotonic()
    for moment in sorted(rng.random() * 0.92 for _ in range(count)):
        kind = rng.choice(["cut", "sender", "receiver", "relay"])
        trial.receiver.event("progress", partial(_has, moment * size))
        time.sleep(rng.random() * 0.1)
        if trial.over:
            break
        kills += 1
        print(
            f"{time.monotonic() - began:6.1f} s: {kind} at {moment:.0%},"
            f" {'relay' if trial.relayed else 'direct'}"
        )
        trial.strike(kind, rng)
    trial.receiver.ends(0)
    trial.sender.ends(0)
    again = proxy.down - size
    took = time.monotonic() - began
    print(
        f"{took:.1f} s, {kills} kills, {trial.sessions} sessions; sent again: {again} bytes,"
        f" {again / max(kills, 1):.0f} a kill"
    )
    assert kills >= count - 1
    assert again >= 0, "not all of it passed the proxy"
    assert leftovers(bob.inbox) == ["t"]
    return kills, again


@pytest.mark.parametrize("count", KILLS)
def test_a_large_file_survives_kills(count: int, roomy: Path, proxy: Proxy) -> None:
    lab = Lab(roomy)
    try:
        ann, bob = lab.pair(apart=True)
        size = count * 25 * MEGABYTE
        (ann.work / "t").mkdir()
        write_large(ann.work / "t" / "large", size)
        kills, again = ordeal(lab, proxy, ann, bob, size, "100MB", count)
        assert again <= kills * (SEGMENT + IN_FLIGHT) + (kills + 1) * OVERHEAD
        assert tree(bob.inbox) == {
            name: content for name, content in tree(ann.work).items() if name.startswith("t")
        }
    finally:
        lab.close()


@pytest.mark.parametrize("count", KILLS)
def test_two_thousand_files_survive_kills(count: int, roomy: Path, proxy: Proxy) -> None:
    lab = Lab(roomy)
    try:
        ann, bob = lab.pair(apart=True)
        rng, size = random.Random(SEED), 0
        for number in range(2000):
            folder = ann.work / "t" / f"{number % 50}" / "deeper"
            folder.mkdir(parents=True, exist_ok=True)
            content = rng.randbytes(rng.randrange(40_000))
            size += len(content)
            (folder / f"{number}.dat").write_bytes(content)
        kills, again = ordeal(lab, proxy, ann, bob, size, "6MB", count)
        assert again <= kills * (40_000 + IN_FLIGHT) + (kills + 1) * OVERHEAD
        assert tree(bob.inbox) == tree(ann.work)
    finally:
        lab.close()
