"""The relay as a process: its URL, its pin, its end, and what clients say when it is dead or not
the one they meant."""

from __future__ import annotations

import re
import signal
import socket
import stat
from collections.abc import Iterator

import pytest

from tests.kit.lab import PATIENCE, Lab, Place

CODE = "4821-stamp-daybreak-kindred"
URL = re.compile(r"tls://127\.0\.0\.1:(?P<port>[1-9][0-9]*)#sha256=(?P<pin>[0-9a-f]{64})")


def a_file(place: Place) -> str:
    (place.work / "file").write_text("content")
    return "file"


@pytest.fixture
def dead() -> Iterator[int]:
    """A port of loopback that refuses connections, for as long as the test runs."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def test_the_url_comes_before_the_first_connection(lab: Lab) -> None:
    """It is flushed into the pipe that the test reads, and what it names accepts."""
    relay, url = lab.relay()
    found = URL.fullmatch(url)
    assert found is not None
    with socket.create_connection(("127.0.0.1", int(found["port"])), PATIENCE):
        pass
    assert relay.out.lines == [url]


def test_the_url_as_an_event(lab: Lab) -> None:
    relay = lab.start(lab.place(), "relay", "serve", "--bind", "127.0.0.1:0", "--json")
    assert URL.fullmatch(relay.event("relay")["url"])
    assert relay.event("relay")["rooms"] == "memory"


def test_the_store_of_rooms_is_chosen_and_named(lab: Lab) -> None:
    keeper = lab.place()
    keeper.configure('[relay_server]\nstore = "memory"\n')
    relay, _ = lab.relay(place=keeper)
    relay.says("The rooms are kept by: memory")
    mistyped = lab.place()
    mistyped.configure('[relay_server]\nstore = "memori"\n')
    failed = lab.run(mistyped, "relay", "serve", "--bind", "127.0.0.1:0").ends(3)
    assert 'there is no store of rooms "memori"' in failed.err.text
    assert 'did you mean "memory"?' in failed.err.text
    denied = lab.place()
    denied.configure('[policy]\ndeny = ["rooms:memory"]\n[relay_server]\nstore = "memory"\n')
    failed = lab.run(denied, "relay", "serve", "--bind", "127.0.0.1:0").ends(3)
    assert "the store of rooms memory is denied by `[policy] deny`" in failed.err.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_clean_end(lab: Lab, number: signal.Signals) -> None:
    ann, keeper = lab.place(), lab.place()
    relay, url = lab.relay(place=keeper)
    sender = lab.send(ann, a_file(ann), "--relay", url)  # a room that waits does not keep it
    relay.signal(number)
    relay.ends(0)
    assert sender.process.poll() is None


def test_the_pin_outlives_the_process(lab: Lab) -> None:
    keeper = lab.place()
    pins = []
    for _ in range(2):
        relay, url = lab.relay(place=keeper)
        found = URL.fullmatch(url)
        assert found is not None
        pins.append(found["pin"])
        relay.signal(signal.SIGTERM)
        relay.ends(0)
    assert pins[0] == pins[1]
    kept = [path for path in keeper.state_home.rglob("*") if path.is_file()]
    assert kept
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {0o600}
    _, other = lab.relay()
    assert pins[0] not in other, "two relays share a key (T-13)"


def test_a_relay_that_comes_back(lab: Lab) -> None:
    """A waiting sender dials it again and opens the same room."""
    ann, bob = lab.pair(apart=True)
    keeper = lab.place()
    relay, url = lab.relay(place=keeper)
    sender = lab.send(ann, a_file(ann), "--relay", url, "-v")
    relay.kill()
    sender.says("dialling it again")
    lab.relay(place=keeper, bind=url.removeprefix("tls://").partition("#")[0])
    lab.receive(bob, sender.code, "--relay", url, "--wait", str(PATIENCE)).ends(0)
    sender.ends(0)


def test_a_dead_relay_is_final(lab: Lab, dead: int) -> None:
    """At once, however long one would wait for the peer."""
    ann = lab.place()
    url = f"tls://127.0.0.1:{dead}#sha256={'0' * 64}"
    lab.start(ann, "send", a_file(ann), "--relay", url).ends(5)
    lab.receive(ann, CODE, "--relay", url, "--wait", "3600").ends(5)


def test_two_dead_relays(lab: Lab, dead: int) -> None:
    ann = lab.place()
    urls = [
        word
        for port in (dead, dead)
        for word in ("--relay", f"tls://127.0.0.1:{port}#sha256={'0' * 64}")
    ]
    sender = lab.start(ann, "send", a_file(ann), *urls).ends(5)
    assert "no relay answered" in sender.err.text
    lab.receive(ann, CODE, *urls, "--wait", "3600").ends(5)


@pytest.mark.parametrize("first", ["dead", "alive"])
def test_one_dead_relay_among_two_is_a_warning(lab: Lab, dead: int, first: str) -> None:
    ann, bob = lab.pair(apart=True)
    _, alive = lab.relay()
    urls = [f"tls://127.0.0.1:{dead}#sha256={'0' * 64}", alive]
    if first == "alive":
        urls.reverse()
    options = [word for url in urls for word in ("--relay", url)]
    sender = lab.send(ann, a_file(ann), *options)
    sender.says("one relay is left out")
    lab.receive(bob, sender.code, *options).ends(0)
    sender.ends(0)


def test_one_code_at_two_relays(lab: Lab) -> None:
    """The receiver needs to know only one of them."""
    ann, bob = lab.pair(apart=True)
    urls = [lab.relay()[1], lab.relay()[1]]
    sender = lab.send(ann, a_file(ann), "--relay", urls[0], "--relay", urls[1])
    lab.receive(bob, sender.code, "--relay", urls[1]).ends(0)
    sender.ends(0)


def test_a_wrong_pin(lab: Lab) -> None:
    ann = lab.place()
    _, url = lab.relay()
    wrong = url[:-4] + ("0000" if not url.endswith("0000") else "1111")
    sender = lab.start(ann, "send", a_file(ann), "--relay", wrong, "--json").ends(4)
    assert [(event["name"], event["exit"]) for event in sender.events] == [("authentication", 4)]
    lab.receive(ann, CODE, "--relay", wrong, "--wait", "3600").ends(4)


def test_a_self_signed_relay_without_its_pin(lab: Lab) -> None:
    ann = lab.place()
    url = lab.relay()[1].partition("#")[0]
    lab.start(ann, "send", a_file(ann), "--relay", url).ends(4)
    lab.receive(ann, CODE, "--relay", url, "--wait", "3600").ends(4)


def test_a_relay_without_tls_is_for_loopback(lab: Lab) -> None:
    ann = lab.place()
    lab.run(ann, "send", a_file(ann), "--relay", "tcp://192.0.2.1:7171").ends(3)
    lab.receive(ann, CODE, "--relay", "tcp://192.0.2.1:7171", "--wait", "3600").ends(3)
    lab.run(ann, "relay", "serve", "--bind", "tcp://192.0.2.1:7171").ends(3)


def test_a_port_that_is_taken(lab: Lab) -> None:
    _, url = lab.relay()
    taken = url.removeprefix("tls://").partition("#")[0]
    lab.start(lab.place(), "relay", "serve", "--bind", taken).ends(5)
    ann = lab.place()
    lab.start(ann, "send", a_file(ann), "--listen", taken).ends(5)


def test_an_address_that_refuses(lab: Lab, dead: int) -> None:
    bob = lab.place()
    receiver = lab.receive(bob, CODE, "--at", f"127.0.0.1:{dead}", "--wait", "3600").ends(5)
    assert [(event["name"], event["exit"]) for event in receiver.events] == [("unreachable", 5)]


def test_another_code_at_an_address(lab: Lab) -> None:
    ann, bob = lab.pair(apart=True)
    sender = lab.send(ann, a_file(ann), "--listen", "127.0.0.1:0", "--code", CODE)
    lab.receive(
        bob, "5821-stamp-daybreak-kindred", "--at", sender.listen[0], "--wait", "3600"
    ).ends(5)
    assert sender.process.poll() is None


def test_no_relay(lab: Lab, dead: int) -> None:
    """--no-relay beats the config file and the environment, and cannot be combined with --relay."""
    ann, bob = lab.pair()
    url = f"tls://127.0.0.1:{dead}#sha256={'0' * 64}"
    for place in (ann, bob):
        place.configure(f'[relay]\nurls = ["{url}"]\n')
    sender = lab.send(ann, a_file(ann), "--no-relay")
    lab.receive(bob, sender.code, "--no-relay", env={"TALLOW_RELAY": url}).ends(0)
    sender.ends(0)
    assert lab.run(ann, "send", a_file(ann), "--no-relay", "--relay", url).wait() in (2, 3)
