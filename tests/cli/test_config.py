"""The config file, the environment and the directories, as a process finds them."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import pytest

from tests.kit.lab import Lab, Place, Tallow


def a_file(place: Place) -> str:
    (place.work / "file").touch()
    return "file"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[policy\n", "no TOML"),
        ("\x00", "no TOML"),
        ("[polcy]\n", 'did you mean "policy"?'),
        ("[policy]\nkem = []\n", 'did you mean "kems"?'),
        ("policy = 1\n", "is a section"),
        ("[send]\nwords = 'three'\n", "[send] words"),
        ("[send]\nwords = 2\n", "between 3 and 16"),
        ("[receive]\noverwrite = 'perhaps'\n", "[receive] overwrite"),
        ("[plugins]\nallow = ['../x']\n", "no name of a distribution"),
        ("[plugins]\nblock = ['aes-256-gcm:']\n", "kind:name"),
        ("[policy]\nkems = ['ml-kem-1042']\n", 'did you mean "ml-kem-1024"?'),
        ("[policy]\nkems = ['x25519']\n", "policy leaves no kem to use"),
        ("[policy]\ntransports = []\n", "no transport"),
    ],
)
def test_mistakes(lab: Lab, text: str, said: str) -> None:
    """Exit 3, and the message names the file or the setting."""
    ann = lab.place()
    ann.configure(text)
    process = lab.start(ann, "send", a_file(ann)).ends(3)
    assert said in process.err.text
    assert (
        str(ann.config_file) in process.err.text
        or "[policy]" in process.err.text
        or "policy leaves" in process.err.text
    )


def test_a_file_that_is_not_there(lab: Lab) -> None:
    ann = lab.place()
    for how in (
        {"words": ["--config", "nowhere.toml"], "env": {}},
        {"words": [], "env": {"TALLOW_CONFIG": "nowhere.toml"}},
    ):
        process = lab.start(ann, "send", a_file(ann), *how["words"], env=how["env"]).ends(3)
        assert "nowhere.toml cannot be read" in process.err.text


def words_of(process: Tallow) -> int:
    """How many words the code has that it waits under."""
    return len(process.code.split("-")) - 1


def test_flag_beats_file_beats_default(lab: Lab) -> None:
    ann = lab.place()
    assert words_of(lab.send(ann, a_file(ann))) == 3
    ann.configure("[send]\nwords = 4\n")
    assert words_of(lab.send(ann, "file")) == 4
    assert words_of(lab.send(ann, "file", "--words", "6")) == 6


def test_which_file(lab: Lab) -> None:
    """--config beats TALLOW_CONFIG beats the user's own; they are not merged."""
    ann = lab.place()
    ann.configure("[send]\nwords = 4\n")
    (ann.work / "five.toml").write_text("[send]\nwords = 5\n")
    (ann.work / "six.toml").write_text("[send]\nwords = 6\n")
    assert words_of(lab.send(ann, a_file(ann), env={"TALLOW_CONFIG": "five.toml"})) == 5
    assert (
        words_of(lab.send(ann, "file", "--config", "six.toml", env={"TALLOW_CONFIG": "five.toml"}))
        == 6
    )
    (ann.work / "none.toml").touch()
    assert words_of(lab.send(ann, "file", "--config", "none.toml")) == 3


def test_the_relay_of_flag_environment_and_file(lab: Lab) -> None:
    """Of three relays that are not of this world, the message names the one that was tried."""
    ann = lab.place()

    def tried(*words: str, **env: str) -> str:
        process = lab.start(ann, "send", a_file(ann), *words, env=env).ends(2)
        found = re.search(r"(flag|environment|file)-\w+", process.err.text)
        assert found, process.story()
        return found[0]

    ann.configure('[relay]\nurls = ["tls://file-relay"]\n')
    assert tried() == "file-relay"
    assert tried(TALLOW_RELAY="tls://environment-relay") == "environment-relay"
    assert (
        tried("--relay", "tls://flag-relay", TALLOW_RELAY="tls://environment-relay") == "flag-relay"
    )


def test_the_settings_of_receive(lab: Lab) -> None:
    ann, bob = lab.pair()
    bob.configure('[receive]\noutput = "elsewhere"\n')
    sender = lab.send(ann, a_file(ann))
    lab.start(bob, "receive", "--yes", env={"TALLOW_CODE": sender.code}).ends(0)
    sender.ends(0)
    assert (bob.work / "elsewhere" / "file").exists()


def test_a_setting_of_listen(lab: Lab) -> None:
    ann = lab.place()
    ann.configure('[send]\nlisten = ["tls://127.0.0.1:0"]\n')
    sender = lab.send(ann, a_file(ann))
    assert [address.split(":")[0] for address in sender.listen] == ["tls"]


# -- directories ---------------------------------------------------------------------------------


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_directories_are_made_private(lab: Lab) -> None:
    ann = lab.place()
    sender = lab.send(ann, a_file(ann))
    made = [
        ann.config_home,
        ann.config_file.parent,
        ann.state_home / "tallow",
        ann.data_home / "tallow",
        ann.runtime / "tallow",
    ]
    assert {str(path): mode(path) for path in made} == {str(path): 0o700 for path in made}
    (record,) = (ann.runtime / "tallow" / "local").iterdir()
    assert mode(record) == 0o600
    content = json.loads(record.read_text())
    assert content["nameplate"] == sender.code.split("-")[0]
    assert content["pid"] == sender.process.pid
    assert content["endpoints"] == sender.listen
    assert content.keys() == {"v", "nameplate", "pid", "started", "endpoints"}


def test_a_runtime_directory_that_others_can_enter(lab: Lab) -> None:
    ann = lab.place()
    (ann.runtime / "tallow").mkdir(mode=0o755)
    assert "chmod 700" in lab.start(ann, "send", a_file(ann)).ends(3).err.text
    receiver = lab.receive(ann, "4821-stamp-daybreak-kindred").ends(3)
    assert "chmod 700" in receiver.err.text


def test_a_runtime_directory_that_is_a_link(lab: Lab, tmp_path: Path) -> None:
    ann = lab.place()
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (ann.runtime / "tallow").symlink_to(tmp_path / "elsewhere")
    lab.start(ann, "send", a_file(ann)).ends(3)
    assert not list((tmp_path / "elsewhere").iterdir())
