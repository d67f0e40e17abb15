"""Settings of drivers: where they come from, what they may be, and what is said of wrong ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tallow_core.cli.views.plugin_table import show_plugin
from tallow_core.cli.views.sentences import option_name
from tallow_core.config.layers import load_settings
from tallow_core.config.plugin_options import PluginOptions
from tallow_core.config.plugins import check_options, loader_of
from tallow_core.errors import ConfigError, PluginError, TallowError, UsageError
from tallow_core.registry.kinds import HASH, TRANSPORT
from tests.kit.fakedist import Site, driver, fake_site

OPTIONS = '''
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple
import msgspec
from tallow_core.plugin_settings import Secret

class WsOptions(NamedTuple):
    """How it is reached."""
    path: str = "/tallow"
    size: Annotated[int, msgspec.Meta(ge=1, le=10)] = 4
    slow: bool = False
    hosts: tuple[str, ...] = ()
    mode: Literal["a", "b"] = "a"
    token: Annotated[str, Secret()] = ""

built = []
def init(self, settings): built.append(settings.options)
DRIVERS[0].__init__ = init
DRIVERS[0].options = WsOptions
'''
FILE = '[plugins]\nallow = ["tallow-ws"]\n'
TABLE = FILE + '[plugin."transport:ws"]\n'


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with fake_site(tmp_path, monkeypatch) as made:
        made.add(
            "tallow-ws",
            {"transport": {"ws": "fake_ws"}},
            {"fake_ws": driver("transport", "ws", extra=OPTIONS)},
        )
        yield made


def settings(site: Site, text: str = FILE, *flags: str, **environ: str) -> Any:
    file = site.folder / "config.toml"
    file.write_text(text)
    file.chmod(0o600)
    return load_settings(str(file), {"plugin.set": flags}, environ, option_name)


def options(site: Site, text: str = FILE, *flags: str, **environ: str) -> Any:
    """The options that the built driver gets."""
    loader = loader_of(found := settings(site, text, *flags, **environ))
    assert check_options(found, loader) == []
    return found.driver_options.of("transport", loader.load(TRANSPORT, "ws"))


def test_defaults_and_the_order_of_the_layers(site: Site) -> None:
    assert options(site).path == "/tallow"
    text = TABLE + 'path = "/file"\nsize = 5\nhosts = ["x"]\n'
    assert options(site, text)[:2] == ("/file", 5)
    environ = {"TALLOW_PLUGIN_TRANSPORT_WS_PATH": "/env", "TALLOW_PLUGIN_TRANSPORT_WS_SLOW": "true"}
    assert options(site, text, **environ)[:3] == ("/env", 5, True)
    flags = ("transport:ws.path=/flag=1", "transport:ws.hosts=a,b c", "transport:ws.mode=b")
    assert options(site, text, *flags, **environ) == (
        "/flag=1",
        5,
        True,
        ("a", "b", "c"),
        "b",
        "",
    )


def test_the_driver_gets_them(site: Site) -> None:
    loader = loader_of(settings(site, TABLE + "size = 7\n"))
    loader.build(TRANSPORT, loader.load(TRANSPORT, "ws"))
    import sys

    (built,) = sys.modules["fake_ws"].built
    assert (type(built).__name__, built.size) == ("WsOptions", 7)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("path = 3\n", '[plugin."transport:ws"] path: Expected `str`, got `int`'),
        ("size = 11\n", "size: Expected `int` <= 10"),
        ('mode = "c"\n', "mode: Invalid enum value 'c'"),
        ("paht = 3\n", 'there is no paht in [plugin."transport:ws"], did you mean "path"?'),
        ('path_file = "x"\n', "there is no path_file in"),
        ('[plugin."transport:wss"]\n', 'not installed, did you mean "transport:ws"?'),
        ('[plugin."transprot:ws"]\n', 'no kind transprot of driver, did you mean "transport"?'),
        ('[plugin."ws"]\n', "names no driver: write KIND:NAME"),
        ('[plugin]\n"transport:x" = 3\n', "and its settings below"),
        ('[plugin."hash:blake3"]\nx = 1\n', 'there is no x in [plugin."hash:blake3"]: it has no'),
        ('[plugn."transport:ws"]\n', 'no section [plugn], did you mean "plugin"?'),
        ('token_file = "missing"\n', "missing cannot be read: No such file"),
    ],
)
def test_a_wrong_table_is_a_config_error(site: Site, text: str, told: str) -> None:
    text = text if text.startswith("[") else f'[plugin."transport:ws"]\n{text}'
    site.add("tallow", {"hash": {"blake3": "fake_blake"}}, {"fake_blake": driver("hash", "blake3")})
    with pytest.raises(ConfigError) as caught:
        options(site, FILE + text)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("transport:ws", "not of the form KIND:NAME.KEY=VALUE"),
        ("transport:ws.path", "not of the form"),
        ("transport:ws.paht=1", '--set: transport:ws has no setting paht, did you mean "path"?'),
        ("transport:wss.path=1", 'not installed, did you mean "transport:ws"?'),
        ("transport:other.path=1", "which is not installed"),
        ("transprot:ws.path=1", 'did you mean "transport"?'),
        ("transport:ws.size=x", "--set transport:ws.size: Expected `int`"),
        ("transport:ws.token=hunter2", "TALLOW_PLUGIN_TRANSPORT_WS_TOKEN, or write `token_file ="),
    ],
)
def test_a_wrong_flag_is_a_usage_error(site: Site, flag: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        options(site, FILE, flag)
    assert told in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "told"),
    [("PAHT", "is of no setting"), ("SIZE", "TALLOW_PLUGIN_TRANSPORT_WS_SIZE: Expected `int`")],
)
def test_a_wrong_variable_is_a_config_error(site: Site, name: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        options(site, FILE, **{f"TALLOW_PLUGIN_TRANSPORT_WS_{name}": "x"})


class Names(NamedTuple):
    hosts: dict[str, str] = {}  # noqa: RUF012 - never changed


class Table:
    name = "table"
    options = Names


def test_a_table_stands_in_the_config_file_only() -> None:
    file = {"resolver:table": {"hosts": {"a": "192.0.2.1"}}}
    assert PluginOptions(file).of("resolver", Table).hosts == {"a": "192.0.2.1"}
    with pytest.raises(UsageError, match="hosts is a table, which only the config file can hold"):
        PluginOptions(flags={"resolver:table": {"hosts": "a"}}).of("resolver", Table)


def test_a_secret_comes_from_the_environment_or_a_private_file(site: Site) -> None:
    assert options(site, FILE, TALLOW_PLUGIN_TRANSPORT_WS_TOKEN="one").token == "one"
    secret = site.folder / "secret"
    secret.write_text("two\n")
    secret.chmod(0o600)
    assert options(site, TABLE + 'token_file = "secret"\n').token == "two"
    assert options(site, FILE, f"transport:ws.token_file={secret}").token == "two"
    assert options(site, TABLE + 'token = "three"\n').token == "three"
    secret.chmod(0o644)
    with pytest.raises(ConfigError, match=r"other users can read .*: run `chmod 600"):
        options(site, TABLE + 'token_file = "secret"\n')
    found = settings(site, TABLE + 'token = "three"\n')
    (site.folder / "config.toml").chmod(0o644)
    with pytest.raises(ConfigError, match="token is secret, and other users can read the file"):
        found.driver_options.of("transport", loader_of(found).load(TRANSPORT, "ws"))


def test_show_prints_values_and_origins_and_no_secret(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = {"TALLOW_PLUGIN_TRANSPORT_WS_TOKEN": "hunter2"}
    found = settings(site, TABLE + "size = 5\n", "transport:ws.path=/x", **environ)
    show_plugin(name="ws", kind=None, settings=found, json=False)
    shown = capsys.readouterr().out
    lines = [line.split() for line in shown.splitlines()]
    assert ["path", "/x", "(flag)"] in lines
    assert ["size", "5", f"({site.folder}/config.toml)"] in lines
    assert ["slow", "False", "(default)"] in lines
    assert ["token", "set", "(environment", "TALLOW_PLUGIN_TRANSPORT_WS_TOKEN)"] in lines
    assert "hunter2" not in shown


def test_what_has_no_effect_is_a_warning(site: Site) -> None:
    text = '[plugin."transport:ws"]\npath = "x"\n[plugin."cipher:elsewhere"]\nx = 1\n'
    found = settings(site, text, TALLOW_PLUGIN_KEM_NOWHERE_X="1")
    told = check_options(found, loader_of(found))
    assert len(told) == 3
    assert "transport:ws, which cannot be used: the distribution tallow-ws 1.0 is not" in told[0]
    assert "cipher:elsewhere, which is not installed" in told[1]
    assert "TALLOW_PLUGIN_KEM_NOWHERE_X is of no driver" in told[2]
    with pytest.raises(UsageError, match="which cannot be used"):
        check_options(found := settings(site, "", "transport:ws.path=1"), loader_of(found))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("class O(NamedTuple):\n    x: int\nDRIVERS[0].options = O\n", "without a default"),
        ("DRIVERS[0].options = dict\n", "neither a NamedTuple nor a frozen dataclass"),
        ("DRIVERS[0].options = 3\n", "not of the type"),
        ("@dataclass\nclass O:\n    x: int = 1\nDRIVERS[0].options = O\n", "neither a NamedTuple"),
    ],
)
def test_an_options_class_that_cannot_be_filled_is_refused(
    site: Site, change: str, told: str
) -> None:
    site.write("fake_ws", driver("transport", "ws", extra=OPTIONS + change))
    with pytest.raises(PluginError, match=told):
        loader_of(settings(site)).load(TRANSPORT, "ws")


def test_a_driver_that_takes_no_settings_has_no_options(site: Site) -> None:
    site.add(
        "tallow-hash",
        {"hash": {"mine": "fake_hash"}},
        {"fake_hash": driver("hash", "mine", extra="DRIVERS[0].options = tuple\n")},
    )
    with pytest.raises(PluginError, match="a Hash is not built from settings"):
        loader_of(settings(site, '[plugins]\nallow = ["tallow-hash"]\n')).load(HASH, "mine")


def test_a_class_that_refuses_values_is_a_config_error(site: Site) -> None:
    change = """
    @dataclass(frozen=True)
    class Strict:
        size: int = 1
        def __post_init__(self):
            if self.size % 2 == 0: raise ValueError("size must be odd")
    DRIVERS[0].options = Strict
    """
    site.write(
        "fake_ws", driver("transport", "ws", extra=OPTIONS) + __import__("textwrap").dedent(change)
    )
    with pytest.raises(TallowError, match="transport:ws are refused: size must be odd") as caught:
        options(site, TABLE + "size = 2\n")
    assert caught.value.exit_status == 3
