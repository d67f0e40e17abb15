"""`tallow plugins allow` edits the config file: what was there stays, byte for byte, and nothing is
left half done."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tallow_core.cli.commands.plugin_permission import (
    allow_plugins,
    block_plugin,
    disallow_plugins,
)
from tallow_core.config.layers import load_settings
from tallow_core.config.list_edit import ListEdit
from tallow_core.errors import ConfigError, PluginError, UsageError
from tests.kit.fakedist import Site, fake_site


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    for name in ("CONFIG", "STATE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    with fake_site(tmp_path, monkeypatch) as made:
        made.add("tallow", {"hash": {"first": "fake_first"}})
        made.add("tallow-extra", {"hash": {"extra": "fake_extra"}})
        made.add("tallow-other", {"kem": {"other": "fake_other"}})
        made.add("no-drivers", {})
        yield made


@pytest.fixture
def file(site: Site, tmp_path: Path) -> Path:
    """The config file; it does not exist yet."""
    return tmp_path / "config" / "tallow" / "config.toml"


def allow(name: str) -> None:
    assert allow_plugins(name, load_settings(None, {}, {}), json=False, quiet=True) == 0


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '[plugins]\nallow = ["tallow-extra"]\n'),
        ("# mine\n", '# mine\n\n[plugins]\nallow = ["tallow-extra"]\n'),
        (
            "# mine\n[plugins] # of others\n\n[send]  # odd   spaces\nwords   =   4 # more\n",
            '# mine\n[plugins] # of others\nallow = ["tallow-extra"]\n\n[send]  # odd'
            "   spaces\nwords   =   4 # more\n",
        ),
        (
            '[plugins]\nallow = [ # them\n    "tallow-other", # first\n] # end\nblock ='
            ' ["kem:x25519"]\n',
            '[plugins]\nallow = [ # them\n    "tallow-other", # first\n    "tallow-extra",\n] #'
            ' end\nblock = ["kem:x25519"]\n',
        ),
        ("plugins.block = ['kem:x25519']\n[send]\nwords = 4\n", None),
        ("plugins = { block = ['kem:x25519'] }\n", None),
        (
            '[plugins]\r\nallow = ["tallow-other"]\r\n',
            '[plugins]\r\nallow = ["tallow-other", "tallow-extra"]\r\n',
        ),
    ],
)
def test_the_rest_of_the_file_stays(file: Path, before: str, after: str | None) -> None:
    write(file, before)
    expected = tomllib.loads(before)
    section = expected.setdefault("plugins", {})
    section["allow"] = [*section.get("allow", []), "tallow-extra"]
    allow("tallow-extra")
    assert tomllib.loads(file.read_bytes().decode()) == expected
    assert after is None or file.read_bytes() == after.encode()
    assert os.listdir(file.parent) == ["config.toml"]


@pytest.mark.parametrize("spelling", ["tallow-extra", "Tallow_Extra", "TALLOW.extra"])
def test_it_is_written_once_as_the_distribution_spells_itself(file: Path, spelling: str) -> None:
    for _ in range(2):
        allow(spelling)
        assert tomllib.loads(file.read_text()) == {"plugins": {"allow": ["tallow-extra"]}}
    allow("tallow-other")
    assert tomllib.loads(file.read_text()) == {
        "plugins": {"allow": ["tallow-extra", "tallow-other"]}
    }


def test_a_new_file_is_private_and_an_old_one_keeps_its_mode(file: Path) -> None:
    before = os.umask(0)
    try:
        allow("tallow-extra")
        assert [stat.S_IMODE(path.stat().st_mode) for path in (file, file.parent)] == [0o600, 0o700]
        file.chmod(0o640)
        allow("tallow-other")
        assert stat.S_IMODE(file.stat().st_mode) == 0o640
    finally:
        os.umask(before)


@pytest.mark.parametrize("exists", [True, False])
def test_a_link_stays_a_link(file: Path, tmp_path: Path, exists: bool) -> None:
    target = tmp_path / "dotfiles" / "tallow.toml"
    target.parent.mkdir()
    if exists:
        target.write_text("# mine\n")
    file.parent.mkdir(parents=True)
    file.symlink_to(os.path.relpath(target, file.parent))
    allow("tallow-extra")
    assert file.is_symlink()
    assert tomllib.loads(target.read_text()) == {"plugins": {"allow": ["tallow-extra"]}}
    assert os.listdir(target.parent) == ["tallow.toml"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("tallow-exrta", '"tallow-exrta" is not installed, did you mean "tallow-extra"?'),
        ("zzz", '"zzz" is not installed; install it first'),
        ("no-drivers", '"no-drivers" has no drivers for tallow'),
        ("hash:extra", '"hash:extra" is not installed'),
        ("", '"" is not installed'),
        ("\x1b[31m", '"\\x1b[31m" is not installed'),
    ],
)
def test_what_is_not_there_is_refused(file: Path, name: str, told: str) -> None:
    with pytest.raises(PluginError) as caught:
        allow(name)
    assert told in str(caught.value)
    assert not file.exists()


def test_tallow_itself_needs_no_permission(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert allow_plugins("tallow", load_settings(None, {}, {}), json=False, quiet=False) == 0
    assert "always allowed" in capsys.readouterr().err
    assert not file.exists()


def test_a_name_that_settings_refuse_is_not_written(site: Site, file: Path) -> None:
    """What would make the whole file unusable is found before it is written."""
    site.add("tällow", {"hash": {"odd": "fake_odd"}})
    with pytest.raises(ConfigError, match="no name of a distribution"):
        allow("tällow")
    assert not file.exists()


def test_an_edit_that_changes_anything_else_is_not_written(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(file, "[send]\nwords = 4\n")
    monkeypatch.setattr(
        ListEdit, "change", lambda self, document: document.update({"send": {"words": 5}})
    )
    with pytest.raises(ConfigError, match=r'add "tallow-extra" to `\[plugins\] allow` by hand'):
        allow("tallow-extra")
    assert file.read_text() == "[send]\nwords = 4\n"


@pytest.mark.skipif(
    os.name != "posix" or os.geteuid() == 0, reason="needs a folder that cannot be written"
)
def test_a_folder_that_cannot_be_written_is_an_error(file: Path) -> None:
    write(file, "# mine\n")
    file.parent.chmod(0o500)
    try:
        with pytest.raises(ConfigError, match="cannot be written"):
            allow("tallow-extra")
    finally:
        file.parent.chmod(0o700)
    assert file.read_text() == "# mine\n"


def test_a_write_that_fails_leaves_the_old_file(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(file, "# mine\n")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="cannot be written: No space left"):
        allow("tallow-extra")
    assert file.read_text() == "# mine\n"
    assert os.listdir(file.parent) == ["config.toml"]


def test_disallow_takes_every_spelling_out(file: Path) -> None:
    write(file, '# mine\n[plugins]\nallow = ["Tallow_Extra", "tallow-other"] # those\n')
    settings = load_settings(None, {}, {})
    assert disallow_plugins("tallow-extra", settings, json=False, quiet=True) == 0
    assert file.read_text() == '# mine\n[plugins]\nallow = ["tallow-other"] # those\n'
    with pytest.raises(PluginError, match="is not allowed anyway"):
        disallow_plugins("tallow-extra", load_settings(None, {}, {}), json=False, quiet=True)


@pytest.mark.parametrize(
    ("name", "entered"),
    [
        ("kem:other", "kem:other"),
        ("other", "kem:other"),
        ("hash:first", "hash:first"),
        ("Tallow_Other", "tallow-other"),
    ],
)
def test_block_enters_a_driver_or_a_distribution(file: Path, name: str, entered: str) -> None:
    for _ in range(2):
        assert block_plugin(name, load_settings(None, {}, {}), json=False, quiet=True) == 0
        assert tomllib.loads(file.read_text()) == {"plugins": {"block": [entered]}}


@pytest.mark.parametrize("name", ["kem:ohter", "tallow", "zzz"])
def test_what_cannot_be_blocked_is_refused(file: Path, name: str) -> None:
    with pytest.raises(PluginError):
        block_plugin(name, load_settings(None, {}, {}), json=False, quiet=True)
    assert not file.exists()


def test_a_name_of_two_kinds_is_not_blocked(site: Site, file: Path) -> None:
    site.add("tallow-more", {"cipher": {"other": "fake_more"}})
    with pytest.raises(UsageError, match="other is cipher:other and kem:other: write which"):
        block_plugin("other", load_settings(None, {}, {}), json=False, quiet=True)
    assert not file.exists()
