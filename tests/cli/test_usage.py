"""What may be typed and what may not: exit 2, the nearest word, and no plugin imported on the
way."""

from __future__ import annotations

import re

import pytest

from tests.kit.import_trace import TRACED, imported
from tests.kit.lab import Lab, Tallow, leftovers

_TRACE = re.compile(r"^import time:.*\n?", re.MULTILINE)


def check_light(process: Tallow) -> None:
    """No plugin was imported, nor what they stand on."""
    packages = {name.partition(".")[0] for name in imported(process)}
    assert not packages & {"tallow_plugins", "cryptography", "blake3", "cpace"}


def test_version(lab: Lab) -> None:
    from tallow_core import __version__

    process = lab.run(lab.place(), "--version").ends(0)
    assert process.out.text == f"tallow {__version__}\n"
    assert process.err.text == ""


@pytest.mark.parametrize("word", ["--help", "-h", "help"])
def test_help(lab: Lab, word: str) -> None:
    process = lab.run(lab.place(), word).ends(0)
    assert process.err.text == ""
    for command in (
        "send",
        "receive",
        "relay serve",
        "plugins list",
        "plugins show",
        "plugins check",
        "plugins allow",
        "demo",
    ):
        assert f"\n  {command}" in process.out.text


def test_nothing_typed(lab: Lab) -> None:
    process = lab.run(lab.place()).ends(2)
    assert process.out.text == ""
    assert "Usage: tallow COMMAND" in process.err.text


@pytest.mark.parametrize(
    "words",
    [
        ["send"],
        ["receive"],
        ["relay", "serve"],
        ["plugins", "list"],
        ["plugins", "show"],
        ["plugins", "check"],
        ["plugins", "allow"],
        ["plugins", "new"],
        ["demo"],
    ],
    ids=" ".join,
)
def test_help_of_a_command(lab: Lab, words: list[str]) -> None:
    process = lab.run(lab.place(), *words, "--help").ends(0)
    assert f"Usage: tallow {' '.join(words)}" in process.out.text
    assert "--json" in process.out.text
    assert process.err.text == ""


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["sned", "file"], "send"),
        (["recieve"], "receive"),
        (["plugin", "list"], "plugins"),
        (["dmeo"], "demo"),
        (["plugins", "lits"], "list"),
        (["relay", "sreve"], "serve"),
        (["send", "--realy", "x", "file"], "--relay"),
        (["send", "--txet", "x"], "--text"),
        (["receive", "--ouptut=x"], "--output"),
        (["receive", "--overwrit", "never"], "--overwrite"),
        (["relay", "serve", "--bnid", "127.0.0.1:0"], "--bind"),
        (["plugins", "list", "--knid", "kem"], "--kind"),
        (["send", "--json", "--quite", "file"], "--quiet"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_mistyped(lab: Lab, words: list[str], meant: str) -> None:
    process = lab.run(lab.place(), *words, program=TRACED).ends(2)
    shown = process.out.text + _TRACE.sub("", process.err.text)
    assert f'did you mean "{meant}"?' in shown or f'did you mean \\"{meant}\\"?' in shown
    check_light(process)


@pytest.mark.parametrize(
    "words",
    [
        ["xyzzy"],
        ["--xyzzy"],
        ["-x"],
        ["send"],
        ["send", "--weird"],
        ["send", "-w", "file"],
        ["send", "file", "-"],
        ["send", "--text", "x", "file"],
        ["send", "--text"],
        ["send", "file", "--relay"],
        ["send", "file", "--words", "many"],
        ["send", "file", "--wait", "long"],
        ["send", "file", "--wait", "-1"],
        ["send", "file", "--listen", "nonsense"],
        ["send", "file", "--listen", "127.0.0.1:99999"],
        ["send", "file", "--relay", "tls://"],
        ["send", "file", "--no-json"],
        ["send", "--yes", "file"],
        ["receive", "one", "two"],
        ["receive", "--overwrite", "perhaps"],
        ["receive", "--at", "nonsense", "4821-stamp-daybreak-kindred"],
        ["receive", "--yes=perhaps"],
        ["relay"],
        ["relay", "--bind", "127.0.0.1:0"],
        ["relay", "serve", "extra"],
        ["relay", "serve", "--bind", "nonsense"],
        ["plugins"],
        ["plugins", "show"],
        ["plugins", "allow"],
        ["plugins", "new", "cipher"],
        ["plugins", "new", "cipher", "../x"],
        ["plugins", "list", "--kind", "nonsense"],
    ],
    ids=" ".join,
)
def test_what_cannot_be(lab: Lab, words: list[str]) -> None:
    """Exit 2, one sentence on standard error, nothing on standard output."""
    place = lab.place()
    (place.work / "file").touch()
    process = lab.run(place, *words).ends(2)
    assert process.out.text == ""
    assert process.err.lines[-1].startswith("error: ")
    assert len([line for line in process.err.lines if not line.startswith("warning: ")]) == 1


def test_an_error_as_an_event(lab: Lab) -> None:
    process = lab.run(lab.place(), "send", "--json", "--weird").ends(2)
    (event,) = process.out.events
    assert (event["event"], event["name"], event["exit"]) == ("error", "usage", 2)
    assert process.err.text == ""
    to_stderr = lab.run(lab.place(), "receive", "--stdout", "--json", "--weird").ends(2)
    assert to_stderr.out.text == ""
    assert [event["name"] for event in to_stderr.err.events] == ["usage"]


def test_a_mistyped_word_is_shown_escaped(lab: Lab) -> None:
    process = lab.run(lab.place(), "send\x1b[31m").ends(2)
    assert "\x1b" not in process.err.text
    assert "\x1b" not in lab.run(lab.place(), "send", "--\x1b[31m").ends(2).err.text


def test_a_path_that_looks_like_an_option(lab: Lab) -> None:
    ann, bob = lab.pair()
    (ann.work / "--weird-name").write_text("odd")
    lab.run(ann, "send", "--weird-name").ends(2)
    sender = lab.send(ann, "--", "--weird-name")
    lab.receive(bob, sender.code).ends(0)
    sender.ends(0)
    assert (bob.inbox / "--weird-name").read_text() == "odd"


def test_a_file_named_like_standard_input(lab: Lab) -> None:
    ann, bob = lab.pair()
    (ann.work / "-").write_text("a file")
    sender = lab.send(ann, "./-")
    lab.receive(bob, sender.code).ends(0)
    sender.ends(0)
    assert (bob.inbox / "-").read_text() == "a file"


def test_options_before_and_after_paths(lab: Lab) -> None:
    ann, bob = lab.pair()
    for name in ("one", "two"):
        (ann.work / name).touch()
    sender = lab.start(ann, "send", "one", "--words=4", "--json", "two", "-vv")
    code = sender.event("code")["code"]
    assert len(code.split("-")) == 5
    lab.receive(bob, code).ends(0)
    sender.ends(0)
    assert leftovers(bob.inbox) == ["one", "two"]


@pytest.mark.parametrize("name", ["xyzzy", "cipher:xyzzy"])
def test_a_plugin_that_is_not_there(lab: Lab, name: str) -> None:
    lab.run(lab.place(), "plugins", "show", name).ends(10)


def test_plugins_list(lab: Lab) -> None:
    process = lab.run(lab.place(), "plugins", "list").ends(0)
    lines = [line.split() for line in process.out.lines]
    assert lines[0] == ["kind", "name", "distribution", "version", "state", "checked"]
    assert {(line[0], line[1]) for line in lines[1:] if line[2] == "tallow"} == {
        ("cipher", "aes-256-gcm"),
        ("cipher", "chacha20-poly1305"),
        ("cipher", "aegis-256"),
        ("kem", "x25519"),
        ("kem", "ml-kem-1024"),
        ("kem", "x25519-ml-kem-1024"),
        ("signature", "ed25519-ml-dsa-87"),
        ("signature", "ml-dsa-87"),
        ("signature", "ed25519"),
        ("signature", "slh-dsa-sha2-256f"),
        ("hash", "blake3"),
        ("hash", "sha3-256"),
        ("authenticator", "cpace"),
        ("authenticator", "opaque"),
        ("compressor", "none"),
        ("compressor", "zstd"),
        ("transport", "tcp"),
        ("transport", "tls"),
        ("discovery", "local"),
        ("nat", "interfaces"),
        ("rooms", "memory"),
        ("proxy", "none"),
        ("proxy", "socks5"),
        ("resolver", "system"),
        ("command", "demo"),
    }


def test_plugins_of_one_kind(lab: Lab) -> None:
    process = lab.run(lab.place(), "plugins", "list", "--kind", "kem", "--json").ends(0)
    assert {event["kind"] for event in process.events} == {"kem"}


def test_plugins_show(lab: Lab) -> None:
    process = lab.run(lab.place(), "plugins", "show", "x25519-ml-kem-1024", "--json").ends(0)
    (event,) = process.events
    assert event["labels"] == ["hybrid", "post-quantum"]
    assert event["public_size"] == 1600
    assert event["module"] == "tallow_plugins.kems.x25519_ml_kem_1024"
