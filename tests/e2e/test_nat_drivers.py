"""Nat drivers that somebody else published: between real processes, both ends exchange signals and
open a path where nothing else leads to one; one that fails is left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.addresses import own_addresses
from tests.kit.lab import MEGABYTE, Lab, Place, Tallow, tree, write_large
from tests.kit.site import Site

NAME = "tallow-nat-knock"
CONFIG = f'[plugins]\nallow = ["{NAME}"]\n[policy]\ndeny = ["nat:interfaces"]\n'

KNOCK = '''
"""Both ends greet; the host says where it will listen."""

import asyncio
import socket

from tallow_core.errors import UnreachableError
from tallow_core.registry.hookspecs import hookimpl
from tallow_core.spi.nat import Hole, Nat, Punches
from tallow_core.types import Role, SocketAddress

HERE = "@ADDRESS@"


class Knock(Nat, Punches):
    name = "knock"
    touches = frozenset({"tcp"})
    reveals = "Nothing."

    def __init__(self, settings):
        pass

    async def gather(self, bases, deadline, *, relay_view):
        return
        yield

    async def punch(self, role, signals, deadline):
        try:
            async with asyncio.timeout_at(deadline):
                return await self.knock(role, signals)
        except TimeoutError:
            raise UnreachableError("the other side does not knock") from None

    async def knock(self, role, signals):
        if role is Role.GUEST:
            await signals.send(b"127.0.0.1:22", [SocketAddress(HERE, 9)])
            if await signals.receive() != b"listen":
                raise UnreachableError("it did not listen")
            await asyncio.sleep(0.5)
            remote = signals.addresses[-1]
            return Hole("tcp", SocketAddress(HERE, 0), remote, "punched")
        await signals.receive()
        with socket.socket(socket.AF_INET6 if ":" in HERE else socket.AF_INET) as free:
            free.bind((HERE, 0))
            mine = SocketAddress(HERE, free.getsockname()[1])
        await signals.send(b"listen", [mine])
        return Hole("tcp", mine, signals.addresses[0], "punched")


@hookimpl
def tallow_offer_nat():
    return [Knock]
'''


@pytest.fixture
def here() -> str:
    """An address of this machine that a session may dial."""
    if not (found := own_addresses()):
        pytest.skip("this machine has no address but loopback")
    return str(found[0])


def transfer(lab: Lab, site: Site, config: str = CONFIG) -> tuple[Tallow, Tallow, Place, Place]:
    """A large file through a relay, throttled, with the plugin at both ends."""
    _, url = lab.relay()
    ann, bob = lab.pair(apart=True)
    for place in (ann, bob):
        place.configure(config)
    write_large(ann.work / "large", 16 * MEGABYTE)
    sender = lab.send(
        ann, "large", "--relay", url, "--throttle", "3MB", "-vv", env=site.environment
    )
    receiver = lab.receive(bob, sender.code, "--relay", url, "-vv", env=site.environment)
    receiver.ends(0)
    sender.ends(0)
    assert list(tree(bob.inbox).values()) == list(tree(ann.work).values())
    return sender, receiver, ann, bob


def paths(process: Tallow) -> list[str]:
    return [event["path"] for event in process.events if event["event"] in ("peer", "path")]


def test_both_ends_exchange_signals_and_open_a_path(lab: Lab, here: str, tmp_path: Path) -> None:
    site = Site(tmp_path / "site")
    site.add(NAME, "tallow.nat", "knock", "knock_nat", KNOCK.replace("@ADDRESS@", here))
    sender, receiver, _, _ = transfer(lab, site)
    assert paths(sender) == paths(receiver) == ["relay", "direct"]
    assert "the data goes by tcp://" in receiver.err.text


@pytest.mark.parametrize("how", ["raise KeyError('x')", "await asyncio.sleep(60)"])
def test_one_that_fails_is_left_out(lab: Lab, here: str, how: str, tmp_path: Path) -> None:
    """With a warning that names it; what another driver finds leads to a direct path."""
    site = Site(tmp_path / "site")
    source = KNOCK.replace("@ADDRESS@", here).replace(
        "        return\n        yield", f"        {how}\n        yield"
    )
    site.add(NAME, "tallow.nat", "knock", "knock_nat", source)
    sender, receiver, _, _ = transfer(lab, site, f'[plugins]\nallow = ["{NAME}"]\n')
    assert paths(sender) == paths(receiver) == ["relay", "direct"]
    assert "the nat driver knock is left out" in sender.err.text
    assert "the nat driver knock is left out" in receiver.err.text


def test_a_named_driver_that_is_blocked_is_said_before_a_code_is_shown(lab: Lab) -> None:
    ann = lab.place()
    ann.configure('[policy]\nnats = ["interfaces"]\n[plugins]\nblock = ["nat:interfaces"]\n')
    (ann.work / "file").write_text("content")
    failed = lab.run(ann, "send", "file").ends(10)
    assert "`[plugins] block` names" in failed.err.text
    assert "Code:" not in failed.out.text
