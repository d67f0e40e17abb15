"""Settings: precedence, origins, validation, and private directories."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest

from tallow_core.cli.views.sentences import option_name
from tallow_core.config.layers import load_settings
from tallow_core.config.ranges import RANGES
from tallow_core.config.schema import SECTIONS, Settings
from tallow_core.errors import ConfigError, UsageError
from tallow_core.private_files import ensure_private
from tallow_core.text import nearest


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The config directory of this test; it does not exist yet."""
    for name in ("CONFIG", "STATE", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    return tmp_path / "config" / "tallow"


def write(home: Path, text: str) -> Path:
    home.mkdir(parents=True, exist_ok=True)
    (home / "config.toml").write_text(text, encoding="utf-8")
    return home / "config.toml"


def refusal(home: Path, text: str) -> str:
    file = write(home, text)
    with pytest.raises(ConfigError) as caught:
        load_settings(None, {}, {})
    assert caught.value.exit_status == 3
    assert str(file) in str(caught.value)
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_defaults() -> None:
    loaded = load_settings(None, {}, {})
    assert loaded.policy.require == ("post-quantum",)
    assert loaded.policy.kems == ("auto",)
    assert (loaded.receive.wait, loaded.send.wait, loaded.send.words) == (15.0, 86400.0, 3)
    assert loaded.session.rekey_bytes == 256 * 1024**3
    assert loaded.file is None
    assert loaded.origin("policy.kems") == "default"


def test_settings_are_frozen() -> None:
    loaded = Settings()
    for item in fields(loaded):
        with pytest.raises(FrozenInstanceError):
            setattr(loaded, item.name, None)
    with pytest.raises(AttributeError):
        loaded.send.words = 4  # type: ignore[misc]
    with pytest.raises(TypeError):
        loaded.origins["policy.kems"] = "flag"  # type: ignore[index]


def test_flag_beats_environment_beats_file_beats_default(home: Path) -> None:
    environ = {"TALLOW_RELAY": "tls://env:1"}
    flags = {"relay.urls": ["tls://flag:1"]}
    seen = [load_settings(None, {}, {})]
    file = write(home, '[relay]\nurls = ["tls://file:1"]\n')
    seen += [
        load_settings(None, {}, {}),
        load_settings(None, {}, environ),
        load_settings(None, flags, environ),
    ]
    assert [each.relay.urls for each in seen] == [
        (),
        ("tls://file:1",),
        ("tls://env:1",),
        ("tls://flag:1",),
    ]
    assert [each.origin("relay.urls") for each in seen] == [
        "default",
        str(file),
        "environment TALLOW_RELAY",
        "flag",
    ]
    assert {each.origin("relay.enabled") for each in seen} == {"default"}


def test_one_key_of_a_section_leaves_the_others(home: Path) -> None:
    write(home, "[send]\nwords = 5\n")
    loaded = load_settings(None, {"send.listen": ("127.0.0.1:0",), "send.wait": None}, {})
    assert (loaded.send.words, loaded.send.listen, loaded.send.wait) == (
        5,
        ("127.0.0.1:0",),
        86400.0,
    )


def test_relays_of_the_environment_are_split() -> None:
    assert load_settings(None, {}, {"TALLOW_RELAY": " a:1, b:2\tc:3,"}).relay.urls == (
        "a:1",
        "b:2",
        "c:3",
    )
    empty = load_settings(None, {}, {"TALLOW_RELAY": ""})
    assert (empty.relay.urls, empty.origin("relay.urls")) == ((), "default")


def test_the_environment_adds_to_what_is_blocked(home: Path) -> None:
    environ = {"TALLOW_BLOCK_PLUGINS": " kem:x25519, cipher:a\ttransport:tcp,"}
    alone = load_settings(None, {}, environ)
    assert alone.plugins.block == ("kem:x25519", "cipher:a", "transport:tcp")
    assert alone.origin("plugins.block") == "environment TALLOW_BLOCK_PLUGINS"
    file = write(home, '[plugins]\nallow = ["b"]\nblock = ["hash:b"]\n')
    both = load_settings(None, {}, environ)
    assert both.plugins.block == ("hash:b", "kem:x25519", "cipher:a", "transport:tcp")
    assert both.plugins.allow == ("b",)
    assert both.origin("plugins.block") == f"{file} and environment TALLOW_BLOCK_PLUGINS"
    assert load_settings(None, {}, {"TALLOW_BLOCK_PLUGINS": " , "}).origin("plugins.block") == str(
        file
    )


@pytest.mark.parametrize(
    "value", ["x25519:", "tallow", "kems:x25519", "kem:x25519;cipher:a", "kem:a \x1b[31m"]
)
def test_what_the_environment_blocks_must_be_of_the_form_kind_name(value: str) -> None:
    with pytest.raises(
        ConfigError,
        match=r"environment variable TALLOW_BLOCK_PLUGINS lists .*(kind:name|one by one)",
    ) as caught:
        load_settings(None, {}, {"TALLOW_BLOCK_PLUGINS": value})
    assert str(caught.value).isprintable()


def test_a_flag_may_be_one_string_or_a_list() -> None:
    loaded = load_settings(
        None, {"policy.kems": "x25519", "policy.ciphers": ["a", "b"], "relay.enabled": False}, {}
    )
    assert (loaded.policy.kems, loaded.policy.ciphers, loaded.relay.enabled) == (
        ("x25519",),
        ("a", "b"),
        False,
    )


def test_the_config_file_is_the_named_one_then_the_environments_then_the_default(
    home: Path, tmp_path: Path
) -> None:
    write(home, "[send]\nwords = 4\n")
    one, two = tmp_path / "one.toml", tmp_path / "two.toml"
    one.write_text("[send]\nwords = 5\n")
    two.write_text("[send]\nwords = 6\n")
    environ = {"TALLOW_CONFIG": str(one)}
    seen = [
        load_settings(None, {}, {}),
        load_settings(None, {}, environ),
        load_settings(str(two), {}, environ),
    ]
    assert [each.send.words for each in seen] == [4, 5, 6]
    assert [each.file_to_write for each in seen] == [home / "config.toml", one, two]


@pytest.mark.parametrize("how", ["flag", "environment"])
def test_a_named_config_file_that_does_not_exist_is_an_error(tmp_path: Path, how: str) -> None:
    missing = str(tmp_path / "missing.toml")
    with pytest.raises(ConfigError, match=r"missing\.toml cannot be read: No such file"):
        load_settings(
            missing if how == "flag" else None,
            {},
            {"TALLOW_CONFIG": missing} if how == "environment" else {},
        )


def test_every_setting_can_be_written_in_the_file(home: Path) -> None:
    write(
        home,
        """
        [plugins]
        allow = ["tallow-extra"]
        block = ["kem:x25519"]
        [policy]
        profile = "nist"
        require = []
        kems = ["a"]
        ciphers = ["b"]
        signatures = ["g"]
        hashes = ["c"]
        authenticators = ["d"]
        compressors = ["h"]
        transports = ["e"]
        discoveries = ["f"]
        proxies = ["i"]
        resolvers = ["j"]
        nats = ["h"]
        deny = ["kem:x25519"]
        [[policy.rule]]
        when = { transport = "tcp", relay = true }
        ciphers = ["b"]
        [network]
        proxy = "k"
        resolver = "l"
        [relay]
        urls = ["tls://r:1"]
        enabled = false
        only = true
        [relay_server]
        rooms = 1
        connections = 2
        connections_per_address = 100
        guests_per_room = 3
        store = "memory"
        [send]
        words = 4
        listen = ["0.0.0.0:1"]
        wait = 5
        lifetime = 6.5
        throttle = 1000
        [receive]
        output = "/tmp"
        overwrite = "never"
        wait = 7
        unknown_size = 8
        throttle = 2000
        [session]
        rekey_bytes = 1048576
        rekey_seconds = 9
        reconnect = 9
        lanes = 3
        [passwords]
        memory_mib = 64
        """,
    )
    loaded, default = load_settings(None, {}, {}), Settings()
    sections = [
        item.name
        for item in fields(Settings)
        if item.name not in ("directories", "chosen", "driver_options", "file", "origins", "option")
    ]
    for section in sections:
        for key, value in getattr(default, section)._asdict().items():
            assert getattr(getattr(loaded, section), key) != value, key
            assert loaded.origin(f"{section}.{key}") == str(home / "config.toml")
    assert isinstance(loaded.send.wait, float)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[polcy]\n", 'no section [polcy], did you mean "policy"?'),
        ("[policy]\nkem = []\n", 'no setting kem in [policy], did you mean "kems"?'),
        ("[send]\nzzzzzz = 1\n", "no setting zzzzzz in [send]"),
        ('["a\\u001bb"]\n', "no section [a\\x1bb]"),
        ("send = 3\n", "send is a section: write [send]"),
        ("words = 3\n", "no section [words]"),
        ('[send]\nwords = "3"\n', "[send] words: Expected `int`, got `str`"),
        ("[send]\nwords = true\n", "[send] words: Expected `int`, got `bool`"),
        ('[policy]\nkems = "x25519"\n', "[policy] kems: Expected `array`, got `str`"),
        ("[policy]\nkems = [1]\n", "[policy] kems: Expected `str`, got `int`"),
        ('[receive]\noverwrite = "maybe"\n', "[receive] overwrite: Invalid enum value 'maybe'"),
        ("[send]\nwords = 2\n", "[send] words must be between 3 and 16, not 2"),
        ("[send]\nwords = 17\n", "[send] words must be between 3 and 16, not 17"),
        ("[receive]\nwait = 0\n", "[receive] wait must be between"),
        ("[receive]\nwait = -1.5\n", "[receive] wait must be between"),
        ("[receive]\nwait = nan\n", "[receive] wait must be between"),
        ("[receive]\nwait = inf\n", "[receive] wait must be between"),
        ("[receive]\nunknown_size = 0\n", "[receive] unknown_size must be between"),
        ("[relay_server]\nrooms = 0\n", "[relay_server] rooms must be between"),
        ("[session]\nrekey_bytes = 1\n", "[session] rekey_bytes must be between"),
        (
            "[passwords]\nmemory_mib = 7\n",
            "[passwords] memory_mib must be between 8 and 4096, not 7",
        ),
        ("[passwords]\nmemory_mib = 4097\n", "[passwords] memory_mib must be between"),
        (
            '[plugins]\nallow = ["../x"]\n',
            "[plugins] allow lists '../x', which is no name of a distribution",
        ),
        (
            '[plugins]\nblock = ["x25519:"]\n',
            "[plugins] block lists 'x25519:', which is neither of the form kind:name nor a",
        ),
        ('[plugins]\nblock = ["kems:x25519"]\n', "[plugins] block lists 'kems:x25519'"),
        ('[plugins]\nblock = ["kem:X25519"]\n', "[plugins] block lists 'kem:X25519'"),
        ('[policy]\nprofile = "nits"\n', "[policy] profile: Invalid enum value 'nits'"),
        (
            '[policy]\ndeny = ["x25519"]\n',
            "[policy] deny lists 'x25519', which is not of the form kind:name",
        ),
        ("[policy]\nrule = [3]\n", "[policy] rule: Expected `object`, got `int`"),
        (
            "[[policy.rule]]\ncipers = []\n",
            'no setting cipers in [[policy.rule]], rule 1, did you mean "ciphers"?',
        ),
        (
            "[[policy.rule]]\n[[policy.rule]]\nwhen = { relai = true }\n",
            'no setting relai in [[policy.rule]] when, rule 2, did you mean "relay"?',
        ),
        (
            '[[policy.rule]]\ndeny = ["kems:x"]\n',
            "[policy] rule number 1: deny lists 'kems:x', which is not of the form kind:name",
        ),
        (
            '[[policy.rule]]\ndeny = ["transport:tcp"]\n',
            "a rule narrows what two peers agree on; deny it in `[policy] deny`",
        ),
        (
            '[policy]\ndeny = ["command:demo"]\n',
            "[policy] deny lists 'command:demo': use `[plugins] block` for it",
        ),
        (
            '[policy]\nprofile = "Paranoid"\n',
            'did you mean "paranoid"?; there are default, nist, fast, paranoid',
        ),
        ("[send\n", "is no TOML"),
        ("[send]\nwords = 3\nwords = 4\n", "is no TOML"),
    ],
)
def test_a_bad_file_names_file_key_and_cause(home: Path, text: str, told: str) -> None:
    assert told in refusal(home, text)


def test_a_file_that_is_no_text_is_an_error(home: Path) -> None:
    write(home, "").write_bytes(b"\xff\xfe[send]")
    with pytest.raises(ConfigError, match="is no TOML"):
        load_settings(None, {}, {})
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(str(home), {}, {})


def test_a_flag_out_of_range_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"--wait must be between 0\.001 and .*, not -1"):
        load_settings(None, {"receive.wait": -1.0}, {}, option_name)
    with pytest.raises(UsageError, match="--words must be"):
        load_settings(None, {"send.words": 99}, {}, option_name)


def test_every_number_has_a_range() -> None:
    numbers = {
        f"{section}.{name}"
        for section in SECTIONS
        for name, default in SECTIONS[section]._field_defaults.items()
        if type(default) in (int, float)
    }
    assert numbers == set(RANGES)
    for name, (low, high) in RANGES.items():
        section, _, key = name.partition(".")
        assert low <= getattr(getattr(Settings(), section), key) <= high


def test_nearest() -> None:
    assert nearest("kem", ["kems", "hash"]) == ', did you mean "kems"?'
    assert nearest("zzz", ["kems"]) == ""


def test_directories_follow_xdg(tmp_path: Path) -> None:
    found = load_settings(None, {}, {"XDG_RUNTIME_DIR": str(tmp_path)}).directories
    assert (found.config, found.state, found.data) == tuple(
        tmp_path / name / "tallow" for name in ("config", "state", "data")
    )
    assert found.runtime == tmp_path / "tallow"


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="the fallback is named after the uid")
@pytest.mark.parametrize("value", ["", "relative"])
def test_without_a_runtime_directory_one_of_the_user_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    (tmp_path / "relative").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert (
        load_settings(None, {}, {"XDG_RUNTIME_DIR": value}).directories.runtime
        == tmp_path / f"tallow-{os.getuid()}"
    )


def test_loading_makes_nothing(home: Path, tmp_path: Path) -> None:
    load_settings(None, {}, {})
    assert list(tmp_path.iterdir()) == []


posix = pytest.mark.skipif(os.name != "posix", reason="permission bits")


@posix
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_private_directories_and_their_parents_are_made_0700(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        made = ensure_private(tmp_path / "a" / "b" / "c", strict=True)
    finally:
        os.umask(before)
    for path in (made, made.parent, made.parent.parent):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert ensure_private(made, strict=True) == made


@posix
def test_an_open_directory_is_refused_only_where_strict(tmp_path: Path) -> None:
    for mode in (0o750, 0o707, 0o701):
        (tmp_path / f"{mode}").mkdir()
        (tmp_path / f"{mode}").chmod(mode)
        assert ensure_private(tmp_path / f"{mode}") == tmp_path / f"{mode}"
        with pytest.raises(ConfigError, match="open to other users"):
            ensure_private(tmp_path / f"{mode}", strict=True)


@posix
@pytest.mark.parametrize("strict", [False, True])
def test_links_and_files_are_refused(tmp_path: Path, strict: bool) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "dangling").symlink_to("nothing")
    (tmp_path / "file").touch()
    for name in ("link", "dangling", "file"):
        with pytest.raises(ConfigError, match="is no directory of its own"):
            ensure_private(tmp_path / name, strict=strict)
    assert not (tmp_path / "nothing").exists()


@posix
def test_the_directory_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    (tmp_path / "theirs").mkdir(mode=0o700)
    with pytest.raises(ConfigError, match="belongs to another user"):
        ensure_private(tmp_path / "theirs")


def test_a_directory_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be made"):
        ensure_private(tmp_path / "file" / "below")


@pytest.mark.processes
def test_the_parsers_are_imported_only_for_a_file() -> None:
    program = (
        "import sys; import tallow_core.config.layers as s; late = {'platformdirs', 'msgspec',"
        " 'tomllib'}; "
        "assert not late & set(sys.modules); s.load_settings(None, {}, {}); assert 'msgspec' not"
        " in sys.modules"
    )
    path = os.pathsep.join(entry for entry in sys.path if entry)
    subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": path},
        timeout=60,
        check=True,
    )
