"""Which suite is used: flags, policy, no common one, and fresh keys on the way."""

from __future__ import annotations

import re

import pytest

from tests.kit.lab import MEGABYTE, Lab, Place, digest, write_large

ANY = "[policy]\nrequire = []\n"


def a_file(place: Place) -> str:
    (place.work / "file").write_text("content")
    return "file"


@pytest.mark.parametrize("command", ["send", "receive"])
def test_a_kem_that_policy_does_not_allow(lab: Lab, command: str) -> None:
    """The message names the line of the config file that would allow it."""
    ann = lab.place()
    words = [a_file(ann)] if command == "send" else []
    process = lab.run(
        ann,
        command,
        *words,
        "--kem",
        "x25519",
        "--json",
        env={"TALLOW_CODE": "4821-stamp-daybreak-kindred"},
    ).ends(3)
    (error,) = process.events
    assert (error["name"], error["exit"]) == ("policy", 3)
    assert "`[policy] require = []`" in error["message"]
    assert str(ann.config_file) in error["message"]


def test_policy_that_requires_nothing(lab: Lab) -> None:
    ann, bob = lab.pair()
    for place in (ann, bob):
        place.configure(ANY)
    sender = lab.send(ann, a_file(ann), "--kem", "x25519")
    receiver = lab.receive(bob, sender.code).ends(0)
    sender.ends(0)
    assert sender.named("suite")[0]["kem"] == receiver.named("suite")[0]["kem"] == "x25519"


def test_policy_that_requires_nothing_still_prefers_the_best(lab: Lab) -> None:
    ann, bob = lab.pair()
    for place in (ann, bob):
        place.configure(ANY)
    sender = lab.send(ann, a_file(ann))
    lab.receive(bob, sender.code).ends(0)
    assert sender.ends(0).named("suite")[0]["kem"] == "x25519-ml-kem-1024"


@pytest.mark.parametrize(
    ("flags", "field", "name"),
    [
        (["--cipher", "chacha20-poly1305"], "cipher", "chacha20-poly1305"),
        (["--cipher", "aes-256-gcm"], "cipher", "aes-256-gcm"),
        (["--cipher", "aegis-256"], "cipher", "aegis-256"),
        (["--kem", "ml-kem-1024"], "kem", "ml-kem-1024"),
        (["--kem", "x25519-ml-kem-1024"], "kem", "x25519-ml-kem-1024"),
        (["--hash", "blake3"], "hash", "blake3"),
        (["--hash", "sha3-256"], "hash", "sha3-256"),
    ],
)
@pytest.mark.parametrize("end", ["sender", "receiver"])
def test_a_flag_of_either_end_decides(
    lab: Lab, end: str, flags: list[str], field: str, name: str
) -> None:
    """T-26: it is what the suite says, and the files arrive under it."""
    ann, bob = lab.pair()
    sender = lab.send(ann, a_file(ann), *(flags if end == "sender" else []))
    receiver = lab.receive(bob, sender.code, *(flags if end == "receiver" else [])).ends(0)
    sender.ends(0)
    assert sender.named("suite")[0][field] == receiver.named("suite")[0][field] == name
    assert (bob.inbox / "file").read_text() == "content"


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("ciphers", "aes-256-gcm"),
        ("ciphers", "chacha20-poly1305"),
        ("ciphers", "aegis-256"),
        ("kems", "x25519-ml-kem-1024"),
        ("kems", "ml-kem-1024"),
        ("hashes", "blake3"),
        ("hashes", "sha3-256"),
    ],
)
def test_each_driver_selected_by_policy(lab: Lab, key: str, name: str) -> None:
    """T-26: one name in a list of one end is what both ends use."""
    ann, bob = lab.pair()
    bob.configure(f'[policy]\n{key} = ["{name}"]\n')
    sender = lab.send(ann, a_file(ann))
    receiver = lab.receive(bob, sender.code).ends(0)
    sender.ends(0)
    field = {"ciphers": "cipher", "kems": "kem", "hashes": "hash"}[key]
    assert sender.named("suite")[0][field] == receiver.named("suite")[0][field] == name
    assert (bob.inbox / "file").read_text() == "content"


@pytest.mark.parametrize("end", ["sender", "receiver"])
def test_the_fast_profile_of_either_end(lab: Lab, end: str) -> None:
    """A lattice alone is faster than with X25519 beside it, and satisfies `require`."""
    ann, bob = lab.pair()
    sender = lab.send(ann, a_file(ann), *(["--profile", "fast"] if end == "sender" else []))
    lab.receive(bob, sender.code, *(["--profile", "fast"] if end == "receiver" else [])).ends(0)
    sender.ends(0)
    assert sender.named("suite")[0]["kem"] in ("ml-kem-1024", "x25519-ml-kem-1024")
    (shown,) = lab.run(ann, "policy", "show", "--profile", "fast", "--json").ends(0).events
    assert shown["offer"]["kem"] == ["ml-kem-1024", "x25519-ml-kem-1024"]


def test_no_common_suite_then_a_second_guest(lab: Lab) -> None:
    """The guest ends with the explanation; the host reports it and keeps waiting, and no guess is
    charged."""
    ann, bob = lab.pair()
    bob.configure('[policy]\nrequire = []\nkems = ["x25519"]\n')
    sender = lab.send(ann, a_file(ann))
    guest = lab.receive(bob, sender.code).ends(3)
    (error,) = guest.events
    assert (error["name"], error["exit"]) == ("policy", 3)
    for part in (
        "share no kem",
        "x25519-ml-kem-1024 is left out here: not listed in `[policy] kems`",
        "ml-kem-1024",
        "[policy]",
    ):
        assert part in error["message"]
    sender.says("shares no suite with this side, still waiting")
    assert "wrong code" not in sender.err.text
    bob.config_file.unlink()
    lab.receive(bob, sender.code).ends(0)
    sender.ends(0)


def test_two_flags_that_exclude_each_other(lab: Lab) -> None:
    ann, bob = lab.pair()
    sender = lab.send(ann, a_file(ann), "--cipher", "aes-256-gcm")
    guest = lab.receive(bob, sender.code, "--cipher", "chacha20-poly1305").ends(3)
    assert "share no cipher" in guest.named("error")[0]["message"]


@pytest.mark.parametrize(
    ("flag", "typed", "meant"),
    [
        ("--cipher", "aes-256-gmc", "aes-256-gcm"),
        ("--kem", "ml-kem-1042", "ml-kem-1024"),
        ("--transport", "tpc", "tcp"),
    ],
)
def test_a_driver_that_does_not_exist(lab: Lab, flag: str, typed: str, meant: str) -> None:
    ann = lab.place()
    process = lab.run(ann, "send", a_file(ann), flag, typed).ends(3)
    assert f'did you mean "{meant}"?' in process.err.text
    assert flag in process.err.text


@pytest.mark.parametrize("end", ["sender", "receiver"])
def test_what_either_end_denies_is_not_used(lab: Lab, end: str) -> None:
    """T-26."""
    ann, bob = lab.pair()
    (ann if end == "sender" else bob).configure(
        '[policy]\ndeny = ["cipher:aes-256-gcm", "cipher:aegis-256"]\n'
    )
    sender = lab.send(ann, a_file(ann))
    receiver = lab.receive(bob, sender.code).ends(0)
    sender.ends(0)
    assert receiver.named("suite")[0]["cipher"] == "chacha20-poly1305"


@pytest.mark.parametrize("end", ["sender", "receiver"])
def test_a_rule_applies_on_its_path_only(lab: Lab, end: str) -> None:
    """T-26: through the relay the rule's cipher, directly the usual one."""
    _, url = lab.relay()
    rule = '[[policy.rule]]\nwhen = { relay = true }\nciphers = ["chacha20-poly1305"]\n'
    chosen = []
    for apart in (True, False):
        ann, bob = lab.pair(apart=apart)
        (ann if end == "sender" else bob).configure(rule)
        path = ["--relay", url] if apart else []
        sender = lab.send(ann, a_file(ann), *path)
        chosen.append(lab.receive(bob, sender.code, *path).ends(0).named("suite")[0]["cipher"])
        sender.ends(0)
    assert chosen[0] == "chacha20-poly1305" != chosen[1]


def test_a_rule_that_closes_a_path_leaves_the_others(lab: Lab) -> None:
    """The flag's cipher is not admitted through a relay: the path on this machine is used, the
    other one never."""
    _, url = lab.relay()
    rule = '[[policy.rule]]\nwhen = { relay = true }\nciphers = ["chacha20-poly1305"]\n'
    ann, bob = lab.pair()
    ann.configure(rule)
    sender = lab.send(ann, a_file(ann), "--cipher", "aes-256-gcm", "--relay", url)
    stranger = lab.place()
    refused = lab.receive(stranger, sender.code, "--relay", url).ends(3)
    assert "share no suite" in refused.named("error")[0]["message"]
    assert lab.receive(bob, sender.code, "--relay", url).ends(0).named("peer")[0]["path"] == "local"
    sender.ends(0)


def test_the_error_says_why_each_driver_of_the_other_side_is_left_out(lab: Lab) -> None:
    ann, bob = lab.pair()
    ann.configure('[policy]\nciphers = ["chacha20-poly1305"]\n')
    bob.configure('[policy]\ndeny = ["cipher:chacha20-poly1305"]\n')
    sender = lab.send(ann, a_file(ann))
    message = lab.receive(bob, sender.code).ends(3).named("error")[0]["message"]
    assert (
        f"chacha20-poly1305 is left out here: denied by `[policy] deny` ({bob.config_file})"
        in message
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("through_relay", "asks"),
    [(False, "both"), (True, "both"), (False, "receiver"), (False, "sender")],
)
def test_fresh_keys_on_the_way(lab: Lab, through_relay: bool, asks: str) -> None:
    """Every 64 MiB both ends agree on new keys by a new KEM run, whichever of them asks for it, and
    everything arrives whole."""
    ann, bob = lab.pair(apart=through_relay)
    for name, place in (("sender", ann), ("receiver", bob)):
        if asks in (name, "both"):
            place.configure("[session]\nrekey_bytes = 67108864\n")
    path = ["--relay", lab.relay()[1]] if through_relay else []
    write_large(ann.work / "file", 300 * MEGABYTE)
    sender = lab.send(ann, "file", "-vv", *path)
    receiver = lab.receive(bob, sender.code, "-vv", *path).ends(0)
    sender.ends(0)
    assert digest(bob.inbox / "file") == digest(ann.work / "file")
    for process in (sender, receiver):
        numbers = [
            int(number)
            for number in re.findall(
                r"fresh keys from a new KEM run \(number (\d+)\)", process.err.text
            )
        ]
        assert numbers == list(range(1, len(numbers) + 1))
        assert 3 <= len(numbers) <= 5
