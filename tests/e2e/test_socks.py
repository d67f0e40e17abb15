"""The proxy socks5 with real servers: whole transfers by it, names that it alone can resolve, what
it refuses, and what goes beside it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.kit.lab import MEGABYTE, Lab, Place, Tallow, tree, write_large
from tests.kit.socks import dante, free_port, microsocks
from tests.kit.stage import Stage, done, paths

NAME = "relay.hidden.example"


def by_proxy(lab: Lab, *texts: str) -> tuple[Place, Place]:
    """A sender's place and a receiver's, on machines of their own, with these settings."""
    ann, bob = lab.pair(apart=True)
    for place in (ann, bob):
        configure(place, *texts)
    return ann, bob


def configure(place: Place, *texts: str) -> None:
    """Write the config file, which holds a password, for its user alone."""
    place.configure("\n".join(texts))
    place.config_file.chmod(0o600)


def port_of(url: str) -> int:
    found = re.search(r":(\d+)#", url)
    assert found is not None
    return int(found[1])


def finish(sender: Tallow, receiver: Tallow, ann: Place, bob: Place) -> list[str]:
    """Both end well; the paths that the data took."""
    receiver.ends(0)
    sender.ends(0)
    assert tree(bob.inbox) == tree(ann.work)
    return [event["path"] for event in sender.events if event["event"] in ("peer", "path")]


def test_a_transfer_by_a_relay_whose_name_the_proxy_alone_can_resolve(
    lab: Lab, tmp_path: Path
) -> None:
    _, url = lab.relay()
    hidden = url.replace("127.0.0.1", NAME)
    with microsocks(tmp_path, names={NAME: "127.0.0.1"}) as server:
        ann, bob = by_proxy(lab, server.options())
        write_large(ann.work / "file", 20 * MEGABYTE)
        sender = lab.send(ann, "file", "--relay", hidden, "--proxy", "socks5")
        receiver = lab.receive(bob, sender.code, "--relay", hidden, "--proxy", "socks5")
        assert finish(sender, receiver, ann, bob) == ["relay"]
        assert server.log.read_text().count(f"connected to {NAME}:{port_of(url)}") >= 3
    failed = lab.run(ann, "send", "file", "--relay", hidden).ends(5)
    assert f"{NAME} cannot be reached" in failed.err.text


def test_a_rule_sends_relays_by_the_proxy_with_its_credentials(lab: Lab, tmp_path: Path) -> None:
    _, url = lab.relay()
    rule = '[[policy.rule]]\nwhen = {relay = true}\nvia = "socks5"\nvia_required = true\n'
    with microsocks(tmp_path, "-u", "ann", "-P", "secret") as server:
        ann, bob = by_proxy(lab, rule, server.options(user="ann", password="secret"))
        write_large(ann.work / "file", 2 * MEGABYTE)
        sender = lab.send(ann, "file", "--relay", url)
        receiver = lab.receive(bob, sender.code, "--relay", url)
        assert finish(sender, receiver, ann, bob) == ["relay"]
        assert f"connected to 127.0.0.1:{port_of(url)}" in server.log.read_text()
        place = lab.place()
        configure(place, rule, server.options(user="ann", password="wrong"))
        (place.work / "file").touch()
        refused = lab.run(place, "send", "file", "--relay", url).ends(3)
        assert "refuses the user name and password" in refused.err.text
        configure(place, rule, server.options())
        refused = lab.run(place, "send", "file", "--relay", url).ends(3)
        assert "refuses the user name and password" in refused.err.text


def test_an_address_is_dialled_by_the_proxy(lab: Lab, tmp_path: Path) -> None:
    with microsocks(tmp_path) as server:
        ann, bob = by_proxy(lab, '[network]\nproxy = "socks5"\n', server.options())
        write_large(ann.work / "file", 2 * MEGABYTE)
        sender = lab.send(ann, "file", "--listen", f"127.0.0.1:{free_port()}")
        at = sender.listen[0]
        receiver = lab.receive(bob, sender.code, "--at", at)
        assert finish(sender, receiver, ann, bob) == ["direct"]
        assert f"connected to {at.removeprefix('tcp://')}" in server.log.read_text()


def test_two_on_one_machine_still_find_each_other(lab: Lab, tmp_path: Path) -> None:
    """What stays on this machine needs no proxy, not even one that works."""
    ann, bob = lab.pair()
    for place in (ann, bob):
        place.configure(
            '[network]\nproxy = "socks5"\n[plugin."proxy:socks5"]\nurl = "127.0.0.1:1"\n'
        )
    write_large(ann.work / "file", MEGABYTE)
    sender = lab.send(ann, "file")
    assert finish(sender, lab.receive(bob, sender.code), ann, bob) == ["local"]


def test_a_dead_proxy_is_never_gone_around(lab: Lab) -> None:
    _, url = lab.relay()
    ann = lab.place()
    ann.configure(f'[plugin."proxy:socks5"]\nurl = "socks5://127.0.0.1:{free_port()}"\n')
    (ann.work / "file").touch()
    failed = lab.run(ann, "send", "file", "--relay", url, "--proxy", "socks5").ends(5)
    assert "the proxy does not answer: 127.0.0.1" in failed.err.text


def test_what_the_proxy_refuses(lab: Lab, tmp_path: Path) -> None:
    """A port that its rules forbid, one where nothing listens, and a name that it does not know."""
    forbidden, empty = free_port(), free_port()
    ann = lab.place()
    (ann.work / "file").touch()

    def failing(where: str, status: int) -> str:
        words = (
            "send",
            "file",
            "--proxy",
            "socks5",
            "--relay",
            f"tls://{where}#sha256=" + "0" * 64,
        )
        return lab.run(ann, *words).ends(status).err.text

    with dante(tmp_path, forbidden) as server:
        ann.configure(server.options())
        text = failing(f"127.0.0.1:{forbidden}", 3)
        assert f"do not allow 127.0.0.1:{forbidden}" in text
        assert "(connection refused by destination host)" in failing(f"127.0.0.1:{empty}", 5)
    with microsocks(tmp_path) as server:
        ann.configure(server.options())
        assert "cannot be reached by the proxy" in failing("no.such.name.invalid:7171", 5)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('url = "http://127.0.0.1:1"', "is no SOCKS 5 proxy"),
        ('user = "ann"', "a user name or a password only"),
        ('user = "\\u00e4"\npassword = "x"', "not ASCII"),
    ],
)
def test_options_that_cannot_work(lab: Lab, text: str, told: str) -> None:
    ann = lab.place()
    configure(ann, f'[network]\nproxy = "socks5"\n[plugin."proxy:socks5"]\n{text}\n')
    (ann.work / "file").touch()
    assert told in lab.run(ann, "send", "file").ends(3).err.text


def test_a_proxy_that_does_not_exist(lab: Lab) -> None:
    ann = lab.place()
    (ann.work / "file").touch()
    failed = lab.run(ann, "send", "file", "--proxy", "sokcs5").ends(3)
    assert 'no proxy "sokcs5"' in failed.err.text
    assert 'did you mean "socks5"?' in failed.err.text


@pytest.mark.parametrize("required", [True, False])
def test_what_goes_beside_a_proxy_to_the_relay(
    stage: Stage, tmp_path: Path, required: bool
) -> None:
    """Both ends could reach each other directly; where the proxy is required, neither looks."""
    stage.direct()
    rule = f"""[[policy.rule]]
when = {{relay = true}}
via = "socks5"
via_required = {str(required).lower()}
"""
    space = stage.network.inside(stage.relay)
    with microsocks(tmp_path, host="10.0.0.1", space=space) as server:
        for place in (stage.ann, stage.bob):
            configure(place, rule, server.options())
        write_large(stage.ann.work / "file", 48 * MEGABYTE)
        sender = stage.send("file", "--throttle", "10MB")
        receiver = stage.receive(sender)
        done(stage, sender, receiver)
        assert paths(sender) == paths(receiver) == ["relay", *(() if required else ("direct",))]
        assert f"connected to 10.0.0.1:{port_of(stage.url)}" in server.log.read_text()
