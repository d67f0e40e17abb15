"""The host: loading exactly what is allowed, checking it against its contract, and keeping one
plugin's faults its own."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from stevedore import ExtensionManager, _cache

from tallow_core.config.schema import Settings
from tallow_core.errors import PluginError
from tallow_core.plugin_settings import DriverSettings
from tallow_core.registry import blame
from tallow_core.registry.catalog import Catalog
from tallow_core.registry.kinds import (
    AUTHENTICATOR,
    CIPHER,
    COMMAND,
    HASH,
    KEM,
    KINDS,
    ROOMS,
    TRANSPORT,
    kind_named,
)
from tallow_core.registry.loader import PluginFailure, PluginLoader
from tallow_core.registry.moved import MOVED
from tallow_core.registry.permissions import Permissions
from tallow_core.spi.hash import Hash
from tests.kit.fakedist import LOGIN, Site, driver, fake_site


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with fake_site(tmp_path, monkeypatch) as made:
        yield made


def host(*allow: str, block: tuple[str, ...] = ()) -> PluginLoader:
    settings = Settings(plugins=Permissions(allow, block))
    return PluginLoader(Catalog.scan(settings.plugins), settings.directories)


def first_party(site: Site, source: str) -> None:
    site.add("tallow", {"hash": {"first": "fake_first"}}, {"fake_first": source}, version="9.9")


def extra(site: Site, source: str, *, kind: str = "hash", name: str = "extra") -> None:
    site.add("tallow-extra", {kind: {name: "fake_extra"}}, {"fake_extra": source})


def refusal(loader: PluginLoader, name: str = "extra") -> str:
    with pytest.raises(PluginError) as caught:
        loader.load(HASH, name)
    assert caught.value.exit_status == 10
    return str(caught.value)


def test_load_returns_the_class_of_that_name(site: Site) -> None:
    first_party(site, driver("hash", "first"))
    loader = host()
    loaded: type[Hash] = loader.load(HASH, "first")
    assert issubclass(loaded, Hash)
    assert loaded.name == "first"
    assert loader.load(HASH, "first") is loaded


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_has_a_hook_and_a_contract(site: Site, kind: object) -> None:
    (row,) = (each for each in KINDS if each is kind)
    source = driver(row.name, "extra", extra="for each in DRIVERS: each.reveals = 'nothing'\n")
    extra(site, source, kind=row.name)
    assert host("tallow-extra").load(row, "extra").name == "extra"


def test_only_the_named_driver_is_imported(site: Site) -> None:
    first_party(site, driver("hash", "first"))
    extra(site, "raise AssertionError('imported')\n")
    host("tallow-extra").load(HASH, "first")
    assert "fake_extra" not in sys.modules


def test_t27_blocked_is_never_imported(site: Site, tmp_path: Path) -> None:
    marker = tmp_path / "imported"
    source = f"open({str(marker)!r}, 'w').close()\n" + driver("hash", "extra")
    first_party(site, driver("hash", "first"))
    extra(site, source)
    loader = host()
    assert "is not allowed" in refusal(loader)
    assert [each.name for each in loader.load_all(HASH)] == ["first"]
    loader.load_third_party()
    assert loader.failures == []
    assert not marker.exists()
    # The same plugin does leave its mark once it is allowed.
    host("tallow-extra").load(HASH, "extra")
    assert marker.exists()


def test_t27_broken_is_named_and_the_rest_goes_on(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    first_party(site, driver("hash", "first"))
    extra(site, "import no_such_module_at_all\n")
    loader = host("tallow-extra")
    with caplog.at_level(logging.WARNING, "tallow.plugins"):
        assert [each.name for each in loader.load_all(HASH)] == ["first"]
        assert [each.name for each in loader.load_all(HASH)] == ["first"]
    (failure,) = loader.failures
    assert (failure.kind, failure.name, failure.distribution, failure.version) == (
        "hash",
        "extra",
        "tallow-extra",
        "1.0",
    )
    (record,) = caplog.records
    assert record.getMessage() == failure.message
    for part in (
        "hash:extra",
        "tallow-extra 1.0",
        "no_such_module_at_all",
        '[plugins] block = ["hash:extra"]',
    ):
        assert part in failure.message


@pytest.mark.parametrize(
    "source",
    [
        "raise SystemExit(0)\n",
        "import sys\nsys.exit('bye')\n",
        "assert False\n",
        "def (:\n",
        "raise ValueError('\\x1b[31m\\nred')\n",
    ],
)
def test_t27_a_plugin_that_fails_on_import_ends_nothing_else(site: Site, source: str) -> None:
    extra(site, source)
    told = refusal(host("tallow-extra"))
    assert told.startswith("the plugin hash:extra of tallow-extra 1.0 cannot be used: ")
    assert told.isprintable()


def test_t27_duplicates_are_not_imported_and_both_are_named(site: Site) -> None:
    extra(site, "raise AssertionError('imported')\n", name="twice")
    site.add("tallow-other", {"hash": {"twice": "fake_extra"}})
    first_party(site, driver("hash", "first"))
    loader = host("tallow-extra", "tallow-other")
    assert "tallow-extra 1.0 and tallow-other 1.0" in refusal(loader, "twice")
    assert [each.name for each in loader.load_all(HASH)] == ["first"]
    assert [failure.name for failure in loader.failures] == ["twice"]


def test_t27_a_driver_of_tallow_is_loaded_in_place_of_a_strangers(site: Site) -> None:
    first_party(site, driver("hash", "first"))
    extra(site, "raise AssertionError('imported')\n", name="first")
    loader = host("tallow-extra")
    assert [each.name for each in loader.load_all(HASH)] == ["first"]
    loader.load_third_party()
    assert loader.failures == []


def test_a_driver_for_newer_contracts_is_refused_with_a_sentence(site: Site) -> None:
    extra(
        site, driver("hash", "extra", extra="DRIVERS[0].api = 9\nDRIVERS[0].digest_size = None\n")
    )
    told = refusal(host("tallow-extra"))
    assert "written for version 9 of Tallow's driver contracts" in told
    assert "update Tallow" in told


@pytest.mark.parametrize("module", MOVED)
def test_a_module_that_moved_is_named_with_its_place(site: Site, module: str) -> None:
    extra(site, f"from {module} import hookimpl\n")
    told = refusal(host("tallow-extra"))
    assert f"No module named '{module}'; it is {MOVED[module]} now: update the plugin" in told
    assert find_spec(MOVED[module].partition(" ")[0]) is not None


def test_a_coroutine_hook_is_refused(site: Site) -> None:
    extra(
        site, driver("hash", "extra", extra=VETO.replace("def", "async def").format("return 'no'"))
    )
    assert "tallow_veto_suite is a coroutine function" in refusal(host("tallow-extra"))


def test_what_takes_long_is_named(
    site: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blame, "SLOW_SECONDS", 0.01)
    slow = "import time\ntime.sleep(0.05)\n"
    loader = guests(site, slow + VETO.format("time.sleep(0.05)"))
    loader.veto("tallow_veto_suite", suite={})
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert "command:guest-0 of guest-0 1.0 took 0.1 s to be imported" in told[0]
    assert "for tallow_veto_suite" in told[1]


def test_a_distribution_may_have_hooks_only(site: Site) -> None:
    site.add("only-hooks", {"plugin": {"guard": "fake_hooks"}}, {"fake_hooks": HOOKS})
    site.add("broken-hooks", {"plugin": {"broken": "fake_broken"}}, {"fake_broken": "oops\n"})
    loader = host("only-hooks", "broken-hooks")
    loader.load_third_party()
    assert loader.veto("tallow_veto_suite", suite={}) == "never (only-hooks 1.0)"
    assert sys.modules["fake_hooks"].configured
    (failure,) = loader.failures
    assert (failure.kind, failure.name) == ("plugin", "broken")
    assert '`[plugins] block = ["plugin:broken"]`' in failure.message
    (entry,) = (each for each in loader.catalog.all_entries if each.name == "guard")
    assert loader.load_hooks(entry) == ["tallow_configure", "tallow_veto_suite"]
    blocked = host("only-hooks", block=("plugin:guard",)).catalog.all_entries
    assert [each.state for each in blocked if each.name == "guard"] == ["blocked"]


def test_t27_a_module_in_the_working_directory_is_not_imported(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra(site, driver("hash", "extra"))
    here = Site(tmp_path / "here")
    here.write("fake_extra", "raise AssertionError('imported')\n")
    monkeypatch.chdir(here.folder)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    assert "is not among the files of the distribution" in refusal(host("tallow-extra"))
    assert "fake_extra" not in sys.modules


def test_t27_a_poisoned_stevedore_cache_is_not_consulted(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra(site, driver("hash", "extra"))
    site.write("fake_poison", "raise AssertionError('imported')\n")
    folder = tmp_path / "python-entrypoints"
    folder.mkdir()
    digest, _ = _cache._hash_settings_for_path(tuple(sys.path))
    (folder / digest).write_text(
        json.dumps({"groups": {"tallow.hash": [["extra", "fake_poison", "tallow.hash"]]}})
    )
    monkeypatch.setattr(_cache, "get_group_all", _cache.Cache(str(folder)).get_group_all)
    assert host("tallow-extra").load(HASH, "extra").name == "extra"
    assert "fake_poison" not in sys.modules
    # The trap works: stevedore by itself walks into it.
    ExtensionManager.ENTRY_POINT_CACHE.clear()
    with pytest.raises(AssertionError, match="imported"):
        ExtensionManager("tallow.hash")


def test_t27_a_misspelled_hook_is_refused(site: Site) -> None:
    first_party(site, driver("hash", "first"))
    extra(
        site, driver("hash", "extra", extra="@hookimpl\ndef tallow_veto_suit(suite): return 'no'\n")
    )
    loader = host("tallow-extra")
    assert "unknown hook 'tallow_veto_suit'" in refusal(loader)
    # It left nothing behind that would fail the next one.
    assert loader.load(HASH, "first").name == "first"


def test_a_hook_with_an_unknown_argument_is_refused(site: Site) -> None:
    extra(
        site,
        driver(
            "hash", "extra", extra="@hookimpl\ndef tallow_veto_suite(suite, key): return None\n"
        ),
    )
    assert "key" in refusal(host("tallow-extra"))


def test_a_hook_that_wraps_others_is_refused(site: Site) -> None:
    source = """
    @hookimpl(wrapper=True)
    def tallow_veto_suite(suite):
        yield
        return []
    """
    extra(site, driver("hash", "extra", extra=source))
    loader = host("tallow-extra")
    assert "tallow_veto_suite wraps the hooks of other plugins" in refusal(loader)
    assert loader.hook.tallow_veto_suite(suite={}) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("DRIVERS.append(int)", "which is no Hash"),
        ("DRIVERS.append('text')", "which is no Hash"),
        ("DRIVERS[:] = [kind_named('kem').contract]", "which is no Hash"),
        ("DRIVERS[:] = [CONTRACT]", "lacks hasher"),
        ("DRIVERS.clear()", "offers no driver named extra"),
        ("DRIVERS[0].name = 'other'", "named other, which is no entry point"),
        ("DRIVERS[0].name = None", "Fake.name is missing"),
        ("del DRIVERS[0].name", "Fake.name is missing"),
        ("del DRIVERS[0].digest_size", "Fake.digest_size is missing"),
        ("DRIVERS[0].digest_size = '32'", "Fake.digest_size is missing or not of the type"),
        ("DRIVERS[0].digest_size = True", "Fake.digest_size is missing or not of the type"),
        ("DRIVERS[0].kdf = None", "Fake.kdf is missing"),
        ("DRIVERS[0].kdf = 'sha512'", "Fake.kdf is missing or not of the type"),
        (
            "DRIVERS[0].digest_size = 64",
            "Fake.digest_size is 64 bytes, and the contract Hash allows exactly 32",
        ),
        ("DRIVERS[0].labels = {'post-quantum'}", "Fake.labels is missing or not of the type"),
        ("DRIVERS[0].labels = frozenset({1})", "Fake.labels is missing or not of the type"),
        ("DRIVERS[0].preference = None", "Fake.preference is missing"),
        ("DRIVERS.append(type('Copy', (DRIVERS[0],), {}))", "two drivers named extra"),
        ("DRIVERS = None", "offers no driver named extra"),
        ("DRIVERS = 3", "TypeError"),
        ("del tallow_offer_hash", "offers no driver named extra"),
        ("@hookimpl\ndef tallow_configure(settings): raise KeyError('setting')", "KeyError"),
    ],
)
def test_t27_a_driver_that_breaks_its_contract_is_refused(
    site: Site, change: str, told: str
) -> None:
    extra(
        site,
        driver(
            "hash",
            "extra",
            extra=f"{change}\n@hookimpl\ndef tallow_veto_offer(files, size): return 'no'\n",
        ),
    )
    loader = host("tallow-extra")
    message = refusal(loader)
    assert told in message
    assert "tallow-extra 1.0" in message
    # Nothing of a plugin that never worked stays registered.
    assert loader.veto("tallow_veto_offer", files=1, size=None) is None


@pytest.mark.parametrize(
    ("kind", "attribute", "size", "told"),
    [
        ("kem", "public_size", 261_120, "261,120 bytes, and the contract Kem allows 1 to 12,288"),
        ("kem", "ciphertext_size", 15_361, "15,361 bytes, and the contract Kem allows 1 to 15,360"),
        ("kem", "public_size", 0, "0 bytes, and the contract Kem allows 1 to 12,288"),
        ("kem", "shared_size", 16, "16 bytes, and the contract Kem allows 32 to 1,024"),
        ("cipher", "tag_size", 43, "43 bytes, and the contract Cipher allows 16 to 42"),
        ("signature", "signature_size", 51_201, "allows 32 to 51,200"),
        ("authenticator", "share_size", 1025, "the contract CodeAuthenticator allows 1 to 1,024"),
    ],
)
def test_a_size_beyond_the_contract_is_refused_with_a_sentence(
    site: Site, kind: str, attribute: str, size: int, told: str
) -> None:
    """Classic McEliece has public keys of 261,120 bytes; no message of the handshake holds them."""
    extra(site, driver(kind, "extra", extra=f"DRIVERS[0].{attribute} = {size}\n"), kind=kind)
    loaded = kind_named(kind)
    assert loaded is not None
    with pytest.raises(PluginError) as caught:
        host("tallow-extra").load(loaded, "extra")
    assert f"Fake.{attribute} is " in str(caught.value)
    assert told in str(caught.value)
    assert "tallow-extra 1.0" in str(caught.value)


def test_a_choice_of_words_is_checked(site: Site) -> None:
    source = driver("transport", "extra", extra="DRIVERS[0].addressing = 'pigeon'\n")
    extra(site, source, kind="transport")
    with pytest.raises(PluginError, match=r"Fake\.addressing is missing or not of the type"):
        host("tallow-extra").load(TRANSPORT, "extra")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            "DRIVERS[:] = [type('Fake', (Authenticator,), {'name': 'extra', 'situation':"
            " 'login'})]",
            "Fake derives from Authenticator alone",
        ),
        (
            "DRIVERS[0].login_sizes = (32, 32)",
            "Fake.login_sizes is missing or not of the type that the contract LoginAuthenticator",
        ),
        (
            "DRIVERS[0].login_sizes = (32, 32, '32')",
            "Fake.login_sizes is missing or not of the type",
        ),
        ("DRIVERS[0].situation = 'code'", "Fake.situation is missing or not of the type"),
        ("del DRIVERS[0].record_size", "Fake.record_size is missing"),
        (
            "DRIVERS[0].__abstractmethods__ = frozenset({'log_in'})",
            "Fake lacks log_in, which the contract LoginAuthenticator asks for",
        ),
    ],
)
def test_a_divided_contract_is_checked_by_its_case(site: Site, change: str, told: str) -> None:
    extra(site, driver("authenticator", "extra", extra=LOGIN), kind="authenticator")
    assert host("tallow-extra").load(AUTHENTICATOR, "extra").situation == "login"
    site.write("fake_extra", driver("authenticator", "extra", extra=LOGIN + change))
    sys.modules.pop("fake_extra")
    with pytest.raises(PluginError) as caught:
        host("tallow-extra").load(AUTHENTICATOR, "extra")
    assert told in str(caught.value)


def test_the_name_of_another_distribution_cannot_be_offered(site: Site) -> None:
    first_party(site, driver("hash", "first"))
    extra(site, driver("hash", "extra", "first"))
    assert "named first, which is no entry point of the distribution" in refusal(
        host("tallow-extra")
    )


def test_the_module_of_another_distribution_cannot_be_offered(site: Site) -> None:
    first_party(site, driver("hash", "first"))
    site.add("tallow-extra", {"hash": {"extra": "fake_first"}})
    loader = host("tallow-extra")
    loader.load(HASH, "first")
    assert "already the plugin of tallow 9.9" in refusal(loader)


OBSERVER = """
seen = []
@hookimpl
def tallow_session_event(event):
    seen.append(dict(event))
    {}
"""


def test_a_plugin_of_two_kinds_is_configured_and_observes_once(site: Site) -> None:
    body = (
        "from fake_other import tallow_offer_kem\nconfigured = []\n@hookimpl\ndef"
        " tallow_configure(settings): configured.append(settings)\n"
    )
    modules = {
        "fake_extra": driver("hash", "extra", extra=body + OBSERVER.format("")),
        "fake_other": driver("kem", "extra"),
    }
    site.add("tallow-extra", {kind: {"extra": "fake_extra"} for kind in ("hash", "kem")}, modules)
    loader = host("tallow-extra")
    assert (loader.load(HASH, "extra").name, loader.load(KEM, "extra").name) == ("extra", "extra")
    module = sys.modules["fake_extra"]
    assert module.configured == [DriverSettings(loader.directories)]
    loader.observe({"event": "done"})
    assert module.seen == [{"event": "done"}]


def guests(site: Site, *bodies: str) -> PluginLoader:
    """A host with one loaded plugin for each body of hooks: distributions guest-0, guest-1, ..."""
    for number, body in enumerate(bodies):
        name = f"guest-{number}"
        site.add(
            name,
            {"command": {name: f"fake_guest_{number}"}},
            {f"fake_guest_{number}": driver("command", name, extra=body)},
        )
    loader = host(*(f"guest-{number}" for number in range(len(bodies))))
    loader.load_third_party()
    assert loader.failures == []
    return loader


def test_load_third_party_leaves_first_party_alone(site: Site) -> None:
    first_party(site, "raise AssertionError('imported')\n")
    loader = guests(site, "")
    assert "fake_guest_0" in sys.modules
    assert "fake_first" not in sys.modules
    assert loader.load(COMMAND, "guest-0").name == "guest-0"


HOOKS = """
from tallow_core.registry.hookspecs import hookimpl
configured = []
@hookimpl
def tallow_configure(settings): configured.append(settings)
@hookimpl
def tallow_veto_suite(suite): return "never"
"""

VETO = """
@hookimpl
def tallow_veto_suite(suite):
    {}
"""


def test_any_reason_refuses_and_is_attributed(site: Site) -> None:
    loader = guests(
        site,
        VETO.format("return 'too weak'"),
        VETO.format("return None"),
        VETO.format("return 'too\\x1b[1m new'"),
    )
    told = loader.veto("tallow_veto_suite", suite={"kem": "x25519"})
    assert told is not None
    assert sorted(told.split("; ")) == ["too weak (guest-0 1.0)", "too\\x1b[1m new (guest-2 1.0)"]


def test_a_veto_that_exits_refuses(site: Site) -> None:
    """A plugin is not in charge of the process."""
    told = guests(site, VETO.format("raise SystemExit(0)")).veto("tallow_veto_suite", suite={})
    assert told is not None
    assert "its check failed (SystemExit" in told


def test_no_reason_does_not_refuse(site: Site) -> None:
    assert guests(site, VETO.format("return None"), "").veto("tallow_veto_suite", suite={}) is None


def test_an_empty_reason_refuses(site: Site) -> None:
    assert (
        guests(site, VETO.format("return ''")).veto("tallow_veto_suite", suite={})
        == "no reason given (guest-0 1.0)"
    )


def test_an_error_in_a_veto_refuses_and_the_others_are_still_asked(site: Site) -> None:
    loader = guests(
        site, VETO.format("raise RuntimeError('oops')"), VETO.format("return 'too weak'")
    )
    told = loader.veto("tallow_veto_suite", suite={})
    assert told is not None
    assert "its check failed (RuntimeError: oops) (guest-0 1.0)" in told
    assert "too weak (guest-1 1.0)" in told


def test_a_plugin_cannot_change_what_others_see(site: Site) -> None:
    suite = {"kem": "x25519-ml-kem-1024"}
    told = guests(site, VETO.format("suite['kem'] = 'x25519'")).veto(
        "tallow_veto_suite", suite=suite
    )
    assert told is not None
    assert "TypeError" in told
    assert suite == {"kem": "x25519-ml-kem-1024"}


def test_an_error_in_an_observer_is_logged_and_the_others_observe(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    loader = guests(site, OBSERVER.format("1 / 0"), OBSERVER.format(""))
    with caplog.at_level(logging.WARNING, "tallow.plugins"):
        loader.observe({"event": "done"})
    assert [sys.modules[f"fake_guest_{number}"].seen for number in (0, 1)] == [
        [{"event": "done"}]
    ] * 2
    (record,) = caplog.records
    assert (
        record.getMessage()
        == "an observer of guest-0 1.0 failed: ZeroDivisionError: division by zero"
    )


def test_attempt_records_a_failure_that_load_met_first(site: Site) -> None:
    extra(site, "1 / 0\n")
    loader = host("tallow-extra")
    message = refusal(loader)
    assert loader.attempt(HASH, "extra") is None
    assert loader.failures == [PluginFailure("hash", "extra", "tallow-extra", "1.0", message)]


def test_a_plugin_that_worked_keeps_its_vetoes_when_another_kind_of_it_breaks(site: Site) -> None:
    body = "@hookimpl\ndef tallow_offer_rooms(): return [int]\n" + VETO.format("return 'no'")
    points = {"hash": {"extra": "fake_extra"}, "rooms": {"extra": "fake_extra"}}
    site.add("tallow-extra", points, {"fake_extra": driver("hash", "extra", extra=body)})
    loader = host("tallow-extra")
    loader.load(HASH, "extra")
    with pytest.raises(PluginError, match="no Rooms"):
        loader.load(ROOMS, "extra")
    assert loader.veto("tallow_veto_suite", suite={}) == "no (tallow-extra 1.0)"


def test_hosts_are_independent(site: Site) -> None:
    first_party(site, driver("hash", "first"))
    loader = guests(site, VETO.format("return 'no'"))
    assert loader.veto("tallow_veto_suite", suite={}) is not None
    assert host("guest-0").veto("tallow_veto_suite", suite={}) is None
    assert loader.load_all(CIPHER) == []
    assert loader.load_all(KEM) == []
