"""A plugin that somebody else published: not imported until it is allowed; then its command runs
and its vetoes count."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from textwrap import dedent

import pytest

from tests.kit.lab import Lab, Place, Tallow, tree
from tests.kit.site import Site

NAME = "tallow-shout"
ALLOWED = f'[plugins]\nallow = ["{NAME}"]\n'

PLUGIN = '''
"""say something louder"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tallow_core.errors import RefusedError
from tallow_core.registry.hookspecs import hookimpl
from tallow_core.spi.command import Command

Path(__file__).with_name("imported").touch()


def shout(word: str, /, *, times: int = 1) -> int:
    """Print WORD in capitals."""
    if not word.isalpha():
        raise RefusedError("that cannot be shouted; leave out the digits")
    print(word.upper() * times)
    return 0


class Shout(Command):
    name = "shout"

    @classmethod
    def function(cls) -> Callable[..., Any]:
        return shout


@hookimpl
def tallow_offer_command():
    return [Shout]
'''


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """The plugin, with a hook for the test to fill in."""
    return Site(tmp_path / "site")


def shouting(site: Site, hooks: str = "") -> Site:
    site.add(NAME, "tallow.command", "shout", "shout_plugin", PLUGIN + dedent(hooks))
    return site


def transfer(lab: Lab, ann: Place, bob: Place, site: Site) -> tuple[Tallow, Tallow]:
    (ann.work / "file").write_text("content")
    sender = lab.send(ann, "file", env=site.environment)
    receiver = lab.receive(bob, sender.code, env=site.environment)
    receiver.wait()
    return sender, receiver


def test_blocked_unless_allowed(lab: Lab, site: Site) -> None:
    """Listed, but never imported: not by a list, a help, a transfer, or its own name."""
    shouting(site, "@hookimpl\ndef tallow_veto_offer(files, size):\n    return 'never'\n")
    ann, bob = lab.pair()
    listed = lab.run(ann, "plugins", "list", "--json", env=site.environment).ends(0)
    (entry,) = [event for event in listed.events if event["distribution"] == NAME]
    assert (entry["name"], entry["version"], entry["state"]) == ("shout", "1.5", "blocked")
    shown = lab.run(ann, "plugins", "show", "shout", env=site.environment).ends(0)
    assert f"tallow plugins allow {NAME}" in shown.out.text
    assert "shout" not in lab.run(ann, "--help", env=site.environment).ends(0).out.text
    assert (
        f"tallow plugins allow {NAME}"
        in lab.run(ann, "shout", "hello", env=site.environment).ends(10).err.text
    )
    sender, receiver = transfer(lab, ann, bob, site)
    receiver.ends(0)
    sender.ends(0)
    assert not site.imported


def test_allowed(lab: Lab, site: Site) -> None:
    shouting(site)
    ann = lab.place()
    ann.configure(ALLOWED)
    listed = lab.run(
        ann, "plugins", "list", "--kind", "command", "--json", env=site.environment
    ).ends(0)
    assert {event["name"]: event["state"] for event in listed.events}["shout"] == "allowed"
    assert "shout" in (text := lab.run(ann, "--help", env=site.environment).ends(0).out.text)
    assert "say something louder" in text
    assert not site.imported
    assert (
        lab.run(ann, "shout", "hello", "--times", "2", env=site.environment).ends(0).out.text
        == "HELLOHELLO\n"
    )
    assert site.imported


def test_its_command_is_held_to_the_same_rules(lab: Lab, site: Site) -> None:
    """Mistyped options, errors and exit statuses are as those of every command."""
    shouting(site)
    ann = lab.place()
    ann.configure(ALLOWED)
    mistyped = lab.run(ann, "shout", "hello", "--tiems", "2", env=site.environment).ends(2)
    assert 'did you mean "--times"?' in mistyped.err.text
    assert 'did you mean "shout"?' in lab.run(ann, "shuot", env=site.environment).ends(2).err.text
    refused = lab.run(ann, "shout", "123", env=site.environment).ends(6)
    assert refused.err.text == "error: that cannot be shouted; leave out the digits\n"


def test_allowed_by_the_named_config_file(lab: Lab, site: Site) -> None:
    shouting(site)
    ann = lab.place()
    (ann.work / "other.toml").write_text(ALLOWED)
    listed = lab.run(
        ann, "plugins", "list", "--json", env=site.environment | {"TALLOW_CONFIG": "other.toml"}
    ).ends(0)
    assert {event["name"]: event["state"] for event in listed.events}["shout"] == "allowed"
    assert (
        lab.run(ann, "shout", "hi", env=site.environment | {"TALLOW_CONFIG": "other.toml"})
        .ends(0)
        .out.text
        == "HI\n"
    )


def test_a_driver_can_be_blocked_by_name(lab: Lab, site: Site) -> None:
    shouting(site)
    ann = lab.place()
    ann.configure(ALLOWED + 'block = ["command:shout", "cipher:aes-256-gcm"]\n')
    assert (
        "`[plugins] block` names this driver"
        in lab.run(ann, "shout", "hi", env=site.environment).ends(10).err.text
    )
    assert not site.imported
    (ann.work / "file").touch()
    assert (
        "cannot be used"
        in lab.run(ann, "send", "file", "--cipher", "aes-256-gcm").ends(10).err.text
    )


def test_the_environment_blocks_too(lab: Lab, site: Site) -> None:
    """Also in the help, which reads no config file otherwise; and it is said where the block comes
    from."""
    shouting(site)
    ann = lab.place()
    ann.configure(ALLOWED)
    blocked = {**site.environment, "TALLOW_BLOCK_PLUGINS": "command:shout,command:demo"}
    assert not {"shout", "demo"} & set(lab.run(ann, "--help", env=blocked).ends(0).out.text.split())
    lab.run(ann, "shout", "hi", env=blocked).ends(10)
    shown = lab.run(ann, "plugins", "show", "shout", env=blocked).ends(0)
    assert "(or TALLOW_BLOCK_PLUGINS does)" in shown.out.text
    assert not site.imported
    assert (
        "TALLOW_BLOCK_PLUGINS lists 'shout:'"
        in lab.run(ann, "shout", env={"TALLOW_BLOCK_PLUGINS": "shout:"}).ends(3).err.text
    )
    assert lab.run(ann, "shout", "hi", env=site.environment).ends(0).out.text == "HI\n"


def test_allowing_it_by_command(lab: Lab, site: Site) -> None:
    """From blocked to running, with nothing written by hand; the second time changes nothing."""
    shouting(site)
    ann = lab.place()
    listed = lab.run(ann, "plugins", "list", env=site.environment).ends(0)
    assert f"to use what {NAME} provides:  tallow plugins allow {NAME}" in listed.err.text
    allowed = lab.run(ann, "plugins", "allow", NAME, "--no-check", env=site.environment).ends(0)
    assert [line.split() for line in allowed.out.lines[1:]] == [
        ["command", "shout", NAME, "1.5", "allowed", "no"]
    ]
    assert f"{NAME} is allowed now, in {ann.config_file}" in allowed.err.text
    assert "their author's word" in allowed.err.text
    assert stat.S_IMODE(ann.config_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(ann.config_file.parent.stat().st_mode) == 0o700
    assert ann.config_file.read_text() == ALLOWED
    assert not site.imported
    assert lab.run(ann, "shout", "hi", env=site.environment).ends(0).out.text == "HI\n"
    again = lab.run(ann, "plugins", "allow", "Tallow.Shout", "--json", env=site.environment).ends(0)
    assert [(event["name"], event["state"]) for event in again.events] == [("shout", "allowed")]
    assert ann.config_file.read_text() == ALLOWED


def test_allowing_runs_the_kit_first(lab: Lab, site: Site) -> None:
    """Not without being asked for; what fails is not allowed, what passes is listed as checked,
    and as stale once it has changed."""
    shouting(site)
    ann = lab.place()
    refused = lab.run(ann, "plugins", "allow", NAME, env=site.environment).ends(2)
    assert "would run the code of tallow-shout" in refused.err.text
    assert not site.imported
    assert not ann.config_file.exists()
    module = site.folder / "shout_plugin.py"
    whole = module.read_text()
    module.write_text("oops\n")
    failed = lab.run(ann, "plugins", "allow", NAME, "--yes", env=site.environment).ends(10)
    assert "tallow-shout is not allowed: command:shout does not keep" in failed.err.text
    assert "repeat with --no-check" in failed.err.text
    assert not ann.config_file.exists()
    module.write_text(whole)
    allowed = lab.run(ann, "plugins", "allow", NAME, "--yes", "--json", env=site.environment)
    names = [event["event"] for event in allowed.ends(0).events]
    assert [name for name in names if name != "check"] == ["plugin", "checked", "plugin"]
    assert names.index("check") == 1
    assert names.count("check") == names.index("checked") - 1
    assert allowed.events[-1]["checked"] == "yes"
    module.write_text(whole + "# more\n")
    listed = lab.run(ann, "plugins", "list", "--json", env=site.environment).ends(0)
    assert {event["name"]: event["checked"] for event in listed.events}["shout"] == "stale"


def test_a_veto_of_the_offer(lab: Lab, site: Site) -> None:
    """Exit 6 on both ends; the reason is told with the distribution it comes from."""
    shouting(
        site,
        "@hookimpl\ndef tallow_veto_offer(files, size):\n    return f'{size} bytes are too many'"
        " if size > 3 else None\n",
    )
    ann, bob = lab.pair()
    bob.configure(ALLOWED)
    sender, receiver = transfer(lab, ann, bob, site)
    receiver.ends(6)
    sender.ends(6)
    for process in (sender, receiver):
        assert f"7 bytes are too many ({NAME} 1.5)" in process.named("error")[0]["message"]
    assert not bob.inbox.exists()


def test_a_veto_of_the_peer(lab: Lab, site: Site) -> None:
    shouting(
        site,
        "@hookimpl\ndef tallow_veto_peer(path, address):\n    return f'nobody comes by {path}'\n",
    )
    ann, bob = lab.pair()
    ann.configure(ALLOWED)
    sender, receiver = transfer(lab, ann, bob, site)
    sender.ends(6)
    assert receiver.wait() in (6, 7)
    assert "nobody comes by local" in sender.named("error")[0]["message"]
    assert not bob.inbox.exists()


@pytest.mark.parametrize("end", ["sender", "receiver"])
def test_a_veto_of_the_suite(lab: Lab, site: Site, end: str) -> None:
    """It ends the handshake and changes no choice; the sender goes on waiting for somebody else."""
    shouting(
        site, "@hookimpl\ndef tallow_veto_suite(suite):\n    return 'not this ' + suite['kem']\n"
    )
    ann, bob = lab.pair()
    (ann if end == "sender" else bob).configure(ALLOWED)
    sender, receiver = transfer(lab, ann, bob, site)
    assert receiver.wait() in (3, 6)
    assert sender.process.poll() is None
    assert not sender.named("suite")
    assert not bob.inbox.exists()


def test_a_veto_that_fails_refuses(lab: Lab, site: Site) -> None:
    shouting(site, "@hookimpl\ndef tallow_veto_offer(files, size):\n    raise ValueError('oops')\n")
    ann, bob = lab.pair()
    bob.configure(ALLOWED)
    sender, receiver = transfer(lab, ann, bob, site)
    receiver.ends(6)
    sender.ends(6)


def test_an_observer(lab: Lab, site: Site) -> None:
    """It sees what --json prints; when it fails, the transfer goes on and says so."""
    shouting(
        site,
        """
        @hookimpl
        def tallow_session_event(event):
            import json
            with Path(__file__).with_name("seen").open("a") as file:
                print(json.dumps(dict(event)), file=file)
            if event["event"] == "done":
                raise ValueError("oops")
        """,
    )
    ann, bob = lab.pair()
    bob.configure(ALLOWED)
    sender, receiver = transfer(lab, ann, bob, site)
    receiver.ends(0)
    sender.ends(0)
    assert [
        json.loads(line) for line in (site.folder / "seen").read_text().splitlines()
    ] == receiver.events
    assert f"an observer of {NAME} 1.5 failed" in receiver.err.text


def test_a_broken_plugin_is_named_and_the_rest_goes_on(lab: Lab, site: Site) -> None:
    site.add(
        "tallow-broken",
        "tallow.cipher",
        "broken-cipher",
        "broken_cipher",
        'raise RuntimeError("no\x1b[31m such library")\n',
    )
    ann, bob = lab.pair()
    ann.configure('[plugins]\nallow = ["tallow-broken"]\n')
    sender, receiver = transfer(lab, ann, bob, site)
    receiver.ends(0)
    sender.ends(0)
    assert tree(bob.inbox).keys() == {"file"}
    assert sender.err.text.count("tallow-broken 1.5") == 1
    assert 'block = ["cipher:broken-cipher"]' in sender.err.text
    assert "\x1b" not in sender.err.text
    shown = lab.run(ann, "send", "file", "--cipher", "broken-cipher", env=site.environment).ends(10)
    assert "tallow-broken 1.5" in shown.err.text


def test_two_plugins_of_one_name(lab: Lab, site: Site) -> None:
    shouting(site)
    site.add("tallow-yell", "tallow.command", "shout", "yell_plugin", PLUGIN)
    ann = lab.place()
    ann.configure('[plugins]\nallow = ["tallow-shout", "tallow-yell"]\n')
    listed = lab.run(
        ann, "plugins", "list", "--kind", "command", "--json", env=site.environment
    ).ends(0)
    assert {event["state"] for event in listed.events if event["name"] == "shout"} == {"duplicate"}
    shown = lab.run(ann, "plugins", "show", "shout", env=site.environment).ends(0)
    assert "tallow-shout 1.5 and tallow-yell 1.5 both provide it" in shown.out.text
    assert not site.imported


def test_nothing_is_loaded_from_the_working_directory(lab: Lab) -> None:
    """T-27: a distribution that lies where the program is run is not even listed."""
    ann = lab.place()
    site = shouting(Site(ann.work))
    ann.configure(ALLOWED)
    listed = lab.run(ann, "plugins", "list", "--json").ends(0)
    assert NAME not in listed.out.text
    lab.run(ann, "shout", "hi").ends(2)
    assert not site.imported
