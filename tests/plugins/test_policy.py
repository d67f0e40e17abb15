"""Policy: order, minimum strength, and explanations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tallow_core.catalog import Catalog
from tallow_core.errors import ConfigError, PluginError, PolicyError
from tallow_core.host import PluginHost
from tallow_core.kinds import AUTHENTICATOR, COMMAND, HASH, KEM, TRANSPORT, Kind
from tallow_core.policy import MOST_OFFERED, Policy
from tallow_core.settings import PluginSettings, PolicySettings, Settings, load_settings

from .fakedist import Site, driver, fake_site

WEAK: tuple[str, ...] = ()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with fake_site(tmp_path, monkeypatch) as made:
        yield made


def suite(site: Site) -> None:
    """A first-party distribution with one driver of each kind of a suite, and weak ones beside."""
    names = {"kem": "hybrid", "cipher": "aes", "hash": "blake", "authenticator": "pace"}
    points: dict[str, dict[str, str]] = {kind: {name: f"fake_{name}"} for kind, name in names.items()}
    modules = {
        f"fake_{name}": driver(kind, name, labels=WEAK if kind == "authenticator" else ("post-quantum",)) for kind, name in names.items()
    }
    points["kem"]["x25519"] = "fake_x25519"
    modules["fake_x25519"] = driver("kem", "x25519", labels=WEAK, preference=1)
    points["kem"]["lattice"] = "fake_lattice"
    modules["fake_lattice"] = driver("kem", "lattice", preference=60)
    site.add("tallow", points, modules, version="9.9")


def policy(settings: Settings | None = None) -> Policy:
    settings = settings or Settings()
    return Policy(PluginHost(Catalog.scan(settings.plugins), settings), settings)


def configured(*, allow: tuple[str, ...] = (), block: tuple[str, ...] = (), **lists: Any) -> Policy:
    return policy(Settings(plugins=PluginSettings(allow, block), policy=PolicySettings(**lists)))


def flagged(**lists: object) -> Policy:
    return policy(load_settings(None, {f"policy.{key}": value for key, value in lists.items()}, {}))


def names(chosen: Policy, kind: Kind[Any]) -> list[str]:
    return [str(getattr(each, "name", None)) for each in chosen.drivers(kind)]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "tallow"


def test_by_default_the_weak_are_left_out_and_the_rest_is_ordered_by_preference(site: Site) -> None:
    suite(site)
    assert names(policy(), KEM) == ["hybrid", "lattice"]


def test_without_requirement_preference_orders_all(site: Site) -> None:
    suite(site)
    assert names(configured(require=()), KEM) == ["x25519", "hybrid", "lattice"]


def test_every_required_label_counts(site: Site) -> None:
    site.add(
        "tallow", {"kem": {"a": "fake_a", "b": "fake_b"}}, {"fake_a": driver("kem", "a"), "fake_b": driver("kem", "b", labels=("x", "y"))}
    )
    assert names(configured(require=("x", "y")), KEM) == ["b"]
    assert names(configured(require=("x", "post-quantum")), KEM) == []


def test_first_party_comes_first_then_preference_then_name(site: Site) -> None:
    site.add("guest", {"hash": {"g": "fake_g"}}, {"fake_g": driver("hash", "g", preference=1)})
    ranks = {"a": 50, "b": 50, "c": 40}
    site.add(
        "tallow",
        {"hash": {name: f"fake_{name}" for name in ranks}},
        {f"fake_{n}": driver("hash", n, preference=p) for n, p in ranks.items()},
    )
    assert names(configured(allow=("guest",)), HASH) == ["c", "a", "b", "g"]
    assert names(configured(), HASH) == ["c", "a", "b"]


@pytest.mark.parametrize(
    ("listed", "order"),
    [
        (("lattice", "auto"), ["lattice", "hybrid"]),
        (("auto", "hybrid"), ["lattice", "hybrid"]),
        (("lattice",), ["lattice"]),
        (("lattice", "hybrid", "lattice"), ["lattice", "hybrid"]),
        (("x25519", "hybrid"), ["hybrid"]),
        ((), []),
    ],
)
def test_a_list_orders_and_narrows(site: Site, listed: tuple[str, ...], order: list[str]) -> None:
    suite(site)
    assert names(configured(kems=listed), KEM) == order


def test_only_what_is_listed_is_imported(site: Site) -> None:
    suite(site)
    site.write("fake_lattice", "raise AssertionError('imported')\n")
    chosen = configured(kems=("hybrid",))
    assert names(chosen, KEM) == ["hybrid"]
    assert ("lattice", False, "not listed in `[policy] kems` (default)") in chosen.explain(KEM)


def test_the_authenticator_needs_no_label(site: Site) -> None:
    suite(site)
    assert names(policy(), AUTHENTICATOR) == ["pace"]


def test_kinds_without_a_setting_give_all_that_is_allowed(site: Site) -> None:
    site.add("tallow", {"command": {"demo": "fake_demo"}}, {"fake_demo": driver("command", "demo", labels=WEAK)})
    assert names(policy(), COMMAND) == ["demo"]


def test_an_unknown_name_is_a_config_error_with_the_nearest_and_the_origin(site: Site, home: Path) -> None:
    suite(site)
    home.mkdir(parents=True)
    (home / "config.toml").write_text('[policy]\nkems = ["hybird"]\n')
    with pytest.raises(
        ConfigError, match=rf'no kem "hybird", which `\[policy\] kems` \({home}/config\.toml\) names, did you mean "hybrid"\?'
    ):
        policy(load_settings(None, {}, {})).drivers(KEM)
    with pytest.raises(ConfigError, match=r'no kem "x2551", which the flag --kem names, did you mean "x25519"\?') as caught:
        flagged(kems="x2551").drivers(KEM)
    assert caught.value.exit_status == 3


def test_a_named_driver_that_is_blocked_says_how_to_allow_it(site: Site) -> None:
    suite(site)
    site.add("guest", {"kem": {"new": "fake_new"}}, {"fake_new": "raise AssertionError('imported')\n"})
    with pytest.raises(PluginError, match="`tallow plugins allow guest`"):
        flagged(kems="new").drivers(KEM)
    assert ("new", False) in [row[:2] for row in policy().explain(KEM)]


def test_a_flag_chooses_among_what_policy_admits(site: Site, home: Path) -> None:
    suite(site)
    assert names(flagged(kems="lattice"), KEM) == ["lattice"]
    with pytest.raises(PolicyError) as caught:
        flagged(kems="x25519").offers()
    assert str(caught.value) == (
        "the kem x25519 is not post-quantum, which `[policy] require` (default) asks for;"
        f" to allow it, write `[policy] require = []` in {home}/config.toml"
    )
    assert caught.value.exit_status == 3


def test_a_flag_may_name_the_weak_where_the_file_requires_nothing(site: Site, home: Path) -> None:
    suite(site)
    home.mkdir(parents=True)
    (home / "config.toml").write_text("[policy]\nrequire = []\n")
    assert names(flagged(kems="x25519"), KEM) == ["x25519"]


def test_broken_ones_are_left_out_unless_they_are_named(site: Site) -> None:
    suite(site)
    site.write("fake_lattice", "1 / 0\n")
    chosen = policy()
    assert names(chosen, KEM) == ["hybrid"]
    (reason,) = (reason for name, included, reason in chosen.explain(KEM) if name == "lattice" and not included)
    assert "ZeroDivisionError" in reason
    with pytest.raises(PluginError, match="ZeroDivisionError"):
        configured(kems=("lattice", "hybrid")).drivers(KEM)


def test_duplicates_are_left_out_with_both_named(site: Site) -> None:
    suite(site)
    site.add("guest", {"kem": {"hybrid": "fake_guest"}}, {"fake_guest": driver("kem", "hybrid")})
    chosen = configured(allow=("guest",))
    assert names(chosen, KEM) == ["lattice"]
    assert any(name == "hybrid" and "guest 1.0 and tallow 9.9" in reason for name, _, reason in chosen.explain(KEM))


def test_offers_cover_the_suite_best_first(site: Site) -> None:
    suite(site)
    offers = policy().offers()
    assert offers == {"kem": ("hybrid", "lattice"), "cipher": ("aes",), "hash": ("blake",), "authenticator": ("pace",)}
    assert list(offers) == ["kem", "cipher", "hash", "authenticator"]


def test_offers_are_cut_to_what_an_offer_may_list(site: Site) -> None:
    suite(site)
    many = [f"hash-{number:02}" for number in range(MOST_OFFERED + 4)]
    site.add("guest", {"hash": dict.fromkeys(many, "fake_many")}, {"fake_many": driver("hash", *many)})
    assert configured(allow=("guest",)).offers()["hash"] == ("blake", *many[: MOST_OFFERED - 1])


def test_a_driver_whose_library_is_missing_is_left_out_and_an_error_where_it_is_named(site: Site) -> None:
    suite(site)
    site.add(
        "guest",
        {"kem": {"new": "fake_new [fast]"}},
        {"fake_new": "raise AssertionError('imported')\n"},
        requires=('fake-library; extra == "fast"',),
    )
    chosen = configured(allow=("guest",))
    assert "new" not in chosen.offers()["kem"]
    (reason,) = (reason for name, usable, reason in chosen.explain(KEM) if name == "new" and not usable)
    assert 'run `pip install "guest[fast]"`' in reason
    with pytest.raises(PluginError, match="fake-library, which it needs, is not installed"):
        configured(allow=("guest",), kems=("new", "auto")).drivers(KEM)


def test_an_empty_offer_explains_what_was_left_out_and_by_what(site: Site) -> None:
    suite(site)
    with pytest.raises(PolicyError) as caught:
        configured(block=("kem:lattice",), kems=("x25519",)).offers()
    told = str(caught.value)
    assert told.startswith("policy leaves no kem to use (")
    assert "x25519: not post-quantum, which `[policy] require` (default) asks for" in told
    assert "hybrid: not listed in `[policy] kems` (default)" in told
    assert "lattice: `[plugins] block` names this driver" in told


def test_an_offer_without_any_driver_says_so(site: Site) -> None:
    site.add("tallow", {})
    with pytest.raises(PolicyError, match=r"no kem to use \(none is installed\)"):
        policy().offers()


def test_explain_gives_the_origin_and_the_best_first(site: Site) -> None:
    suite(site)
    assert flagged(kems=["lattice", "auto"]).explain(KEM) == [
        ("lattice", True, "named by the flag --kem"),
        ("hybrid", True, "in the automatic order (the flag --kem)"),
        ("x25519", False, "not post-quantum, which `[policy] require` (default) asks for"),
    ]


def test_transports_need_no_label(site: Site) -> None:
    site.add("tallow", {"transport": {"tcp": "fake_tcp"}}, {"fake_tcp": driver("transport", "tcp", labels=WEAK)})
    assert names(policy(), TRANSPORT) == ["tcp"]
