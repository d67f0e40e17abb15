"""Plugins that are distributions of their own, between real processes: allowed by command, agreed
on, and left out where they lack."""

from __future__ import annotations

import os
import signal
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.contrib_names import CIPHER, TRANSPORT, WEB_SOCKET
from tests.kit.lab import MEGABYTE, Lab, Place, Tallow, digest, write_large
from tests.kit.socks import microsocks

NAME = "xchacha20-poly1305"
FIRST = f'[policy]\nciphers = ["{NAME}", "auto"]\n'


@pytest.fixture
def meeting() -> Iterator[str]:
    """Where to meet: a URL with a short path, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="tu") as folder:
        yield f"unix://{folder}/x.sock"


def allow(
    lab: Lab, place: Place, having: dict[str, str], *distributions: str, config: str = ""
) -> None:
    place.configure(config)
    for distribution in distributions:
        lab.run(place, "plugins", "allow", distribution, "--yes", env=having).ends(0)


def file_of(url: str) -> Path:
    return Path(url.removeprefix("unix://"))


def arrived(ann: Place, bob: Place) -> bool:
    return digest(ann.work / "file") == digest(bob.inbox / "file")


def finish(sender: Tallow, receiver: Tallow) -> tuple[str, str]:
    """Both ends end well; the cipher and the path they used."""
    receiver.ends(0)
    sender.ends(0)
    (suite,), (peer,) = receiver.named("suite"), receiver.named("peer")
    assert sender.named("suite") == [suite]
    return suite["cipher"], peer["path"]


def test_blocked_until_allowed(lab: Lab, having: dict[str, str]) -> None:
    ann = lab.place()
    listed = lab.run(ann, "plugins", "list", "--json", env=having).ends(0)
    states = {event["name"]: (event["distribution"], event["state"]) for event in listed.events}
    assert (states[NAME], states["unix"]) == ((CIPHER, "blocked"), (TRANSPORT, "blocked"))
    allow(lab, ann, having, CIPHER, TRANSPORT)
    (cipher,) = (
        lab.run(ann, "plugins", "show", f"cipher:{NAME}", "--json", env=having).ends(0).events
    )
    assert (cipher["state"], cipher["nonce_size"], cipher["labels"]) == (
        "allowed",
        24,
        ["post-quantum"],
    )
    (transport,) = (
        lab.run(ann, "plugins", "show", "transport:unix", "--json", env=having).ends(0).events
    )
    assert (transport["addressing"], transport["encrypted"]) == ("path", False)


def test_they_keep_their_contracts(lab: Lab, having: dict[str, str]) -> None:
    """By name, and as part of everything that is installed and allowed."""
    ann = lab.place()
    allow(lab, ann, having, CIPHER, TRANSPORT, WEB_SOCKET)
    checked = lab.run(
        ann, "plugins", "check", f"cipher:{NAME}", "transport:unix", "transport:ws", env=having
    ).ends(0)
    assert "3 drivers" in checked.out.text
    assert "all passed" in checked.out.text
    every = lab.run(ann, "plugins", "check", "--all", env=having).ends(0)
    assert "all passed" in every.out.text
    for subject in (
        f"cipher:{NAME}  {CIPHER}",
        f"transport:unix  {TRANSPORT}",
        f"transport:ws  {WEB_SOCKET}",
    ):
        assert f"\n{subject}" in every.out.text


# -- the cipher ----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["flag", "policy"])
def test_two_ends_that_have_the_cipher(lab: Lab, having: dict[str, str], how: str) -> None:
    ann, bob = lab.pair()
    for place in (ann, bob):
        allow(lab, place, having, CIPHER, config=FIRST if how == "policy" else "")
    write_large(ann.work / "file", 20 * MEGABYTE)
    flag = ["--cipher", NAME] if how == "flag" else []
    sender = lab.send(ann, "file", *flag, env=having)
    assert finish(sender, lab.receive(bob, sender.code, env=having))[0] == NAME
    assert arrived(ann, bob)


@pytest.mark.parametrize("lacking", ["sender", "receiver"])
def test_one_end_lacks_it_and_both_use_another(
    lab: Lab, having: dict[str, str], lacking: str
) -> None:
    ann, bob = lab.pair()
    sending, receiving = ({}, having) if lacking == "sender" else (having, {})
    allow(lab, bob if lacking == "sender" else ann, having, CIPHER, config=FIRST)
    write_large(ann.work / "file", 2 * MEGABYTE)
    sender = lab.send(ann, "file", env=sending)
    receiver = lab.receive(bob, sender.code, env=receiving)
    assert finish(sender, receiver)[0] != NAME
    assert arrived(ann, bob)
    assert not [
        line for process in (sender, receiver) for line in process.err.lines if "warning" in line
    ]


def test_an_end_that_insists_on_it(lab: Lab, having: dict[str, str]) -> None:
    """A guest without it is told why; the sender goes on waiting for one that has it."""
    ann, bob = lab.pair()
    allow(lab, ann, having, CIPHER)
    write_large(ann.work / "file", MEGABYTE)
    sender = lab.send(ann, "file", "--cipher", NAME, env=having)
    guest = lab.receive(bob, sender.code).ends(3)
    assert NAME in guest.named("error")[0]["message"]
    allow(lab, bob, having, CIPHER)
    assert finish(sender, lab.receive(bob, sender.code, env=having))[0] == NAME


def test_its_name_where_it_is_not_installed(lab: Lab, having: dict[str, str]) -> None:
    ann = lab.place()
    (ann.work / "file").touch()
    assert (
        f'there is no cipher "{NAME}"'
        in lab.run(ann, "send", "file", "--cipher", NAME).ends(3).err.text
    )
    not_allowed = lab.run(ann, "send", "file", "--cipher", NAME, env=having).ends(10)
    assert f"tallow plugins allow {CIPHER}" in not_allowed.err.text


# -- the transport -------------------------------------------------------------------------------


def test_directly_at_a_path(lab: Lab, having: dict[str, str], meeting: str) -> None:
    ann, bob = lab.pair(apart=True)
    for place in (ann, bob):
        allow(lab, place, having, TRANSPORT)
    write_large(ann.work / "file", 50 * MEGABYTE)
    sender = lab.send(ann, "--listen", meeting, "file", env=having)
    assert sender.listen == [meeting]
    assert stat.S_IMODE(file_of(meeting).stat().st_mode) == 0o600
    assert finish(sender, lab.receive(bob, sender.code, "--at", meeting, env=having))[1] == "direct"
    assert arrived(ann, bob)
    assert not os.path.lexists(file_of(meeting))


def test_through_a_relay_at_a_path(lab: Lab, having: dict[str, str], meeting: str) -> None:
    ann, bob = lab.pair(apart=True)
    operator = lab.place()
    for place in (ann, bob, operator):
        allow(lab, place, having, TRANSPORT)
    relay = lab.start(operator, "relay", "serve", "--bind", meeting, env=having)
    assert relay.prints() == meeting
    write_large(ann.work / "file", 20 * MEGABYTE)
    sender = lab.send(ann, "--relay", meeting, "file", env=having)
    assert (
        finish(sender, lab.receive(bob, sender.code, "--relay", meeting, env=having))[1] == "relay"
    )
    assert arrived(ann, bob)
    relay.signal(signal.SIGTERM)
    relay.ends(0)
    assert not os.path.lexists(file_of(meeting))


def test_what_a_killed_sender_leaves_is_replaced(
    lab: Lab, having: dict[str, str], meeting: str
) -> None:
    ann, bob = lab.pair(apart=True)
    for place in (ann, bob):
        allow(lab, place, having, TRANSPORT)
    write_large(ann.work / "file", MEGABYTE)
    lab.send(ann, "--listen", meeting, "file", env=having).kill()
    assert file_of(meeting).is_socket()
    sender = lab.send(ann, "--listen", meeting, "file", env=having)
    second = lab.run(ann, "send", "--listen", meeting, "file", env=having).ends(5)
    assert "in use" in second.err.text
    finish(sender, lab.receive(bob, sender.code, "--at", meeting, env=having))
    assert arrived(ann, bob)


@pytest.mark.parametrize(
    ("where", "status", "told"),
    [
        ("unix://x.sock", 2, "write an absolute path"),
        ("unix:///" + "x" * 200, 2, "a socket's path at most"),
        ("unix:///nowhere/x.sock", 5, "no such file or directory"),
    ],
)
def test_places_that_cannot_be(
    lab: Lab, having: dict[str, str], where: str, status: int, told: str
) -> None:
    ann = lab.place()
    allow(lab, ann, having, TRANSPORT)
    (ann.work / "file").touch()
    assert told in lab.run(ann, "send", "--listen", where, "file", env=having).ends(status).err.text
    code = {"TALLOW_CODE": "4821-stamp-daybreak-kindred"}
    assert told in lab.run(ann, "receive", "--at", where, env=having | code).ends(status).err.text


def test_an_end_without_the_transport(lab: Lab, having: dict[str, str], meeting: str) -> None:
    ann = lab.place()
    receiver = lab.run(
        ann, "receive", "--at", meeting, env={"TALLOW_CODE": "4821-stamp-daybreak-kindred"}
    ).ends(3)
    assert "the transport unix is not allowed or not installed" in receiver.err.text


# -- the transport with options and a path --------------------------------------------------------


@pytest.mark.parametrize("how", ["address", "file", "flag"])
def test_a_web_socket_at_a_path(lab: Lab, having: dict[str, str], how: str) -> None:
    """The path comes from the address, or else from the options."""
    ann, bob = lab.pair(apart=True)
    options = '[plugin."transport:ws"]\npath = "/files"\n' if how == "file" else ""
    for place in (ann, bob):
        allow(lab, place, having, WEB_SOCKET, config=options)
    flags = ["--set", "transport:ws.path=/files"] if how == "flag" else []
    path = "/files?x=1" if how == "address" else ""
    write_large(ann.work / "file", 20 * MEGABYTE)
    sender = lab.send(ann, "--listen", f"ws://127.0.0.1:0{path}", *flags, "file", env=having)
    (address,) = sender.listen
    assert "/files" in address
    receiver = lab.receive(bob, sender.code, "--at", address, "--lanes", "3", env=having)
    assert finish(sender, receiver)[1] == "direct"
    assert arrived(ann, bob)


def test_a_web_socket_at_another_path(lab: Lab, having: dict[str, str]) -> None:
    ann, bob = lab.pair(apart=True)
    for place in (ann, bob):
        allow(lab, place, having, WEB_SOCKET)
    (ann.work / "file").touch()
    sender = lab.send(ann, "--listen", "ws://127.0.0.1:0/files", "file", env=having)
    wrong = sender.listen[0].replace("/files", "/other")
    receiver = lab.receive(bob, sender.code, "--at", wrong, env=having).ends(5)
    assert "check host, port and path" in receiver.named("error")[0]["message"]


def test_a_web_socket_by_a_proxy(lab: Lab, having: dict[str, str], tmp_path: Path) -> None:
    """It dials by the connector, so the user's proxy carries it."""
    ann, bob = lab.pair(apart=True)
    with microsocks(tmp_path) as server:
        for place in (ann, bob):
            allow(lab, place, having, WEB_SOCKET, config=server.options())
        write_large(ann.work / "file", MEGABYTE)
        sender = lab.send(ann, "--listen", "ws://127.0.0.1:0", "file", env=having)
        words = ("--at", sender.listen[0], "--proxy", "socks5")
        finish(sender, lab.receive(bob, sender.code, *words, env=having))
        assert "connected to 127.0.0.1" in server.log.read_text()
    assert arrived(ann, bob)
