"""Policy: order, minimum strength, and explanations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tallow_core.app.compose import make_policy
from tallow_core.cli.views.sentences import option_name
from tallow_core.config import calibration
from tallow_core.config.layers import load_settings
from tallow_core.config.policy import Policy
from tallow_core.config.schema import PolicySettings, Settings
from tallow_core.errors import ConfigError, PluginError, PolicyError
from tallow_core.offers import MAX_OFFER_NAMES
from tallow_core.registry.kinds import (
    AUTHENTICATOR,
    CIPHER,
    COMMAND,
    HASH,
    KEM,
    SIGNATURE,
    TRANSPORT,
    Kind,
)
from tallow_core.registry.permissions import Permissions
from tallow_core.types import NetworkPath
from tests.kit.fakedist import LOGIN, Site, driver, fake_site

WEAK: tuple[str, ...] = ()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with fake_site(tmp_path, monkeypatch) as made:
        yield made


def suite(site: Site) -> None:
    """A first-party distribution with one driver of each kind of a suite, and weak ones beside."""
    names = {
        "kem": "hybrid",
        "cipher": "aes",
        "hash": "blake",
        "authenticator": "pace",
        "compressor": "press",
    }
    points: dict[str, dict[str, str]] = {
        kind: {name: f"fake_{name}"} for kind, name in names.items()
    }
    modules = {
        f"fake_{name}": driver(
            kind, name, labels=WEAK if kind == "authenticator" else ("post-quantum",)
        )
        for kind, name in names.items()
    }
    points["kem"]["x25519"] = "fake_x25519"
    modules["fake_x25519"] = driver("kem", "x25519", labels=WEAK, preference=1)
    points["kem"]["lattice"] = "fake_lattice"
    modules["fake_lattice"] = driver("kem", "lattice", preference=60)
    site.add("tallow", points, modules, version="9.9")


def policy(settings: Settings | None = None) -> Policy:
    settings = settings or Settings()
    return make_policy(settings)


def configured(*, allow: tuple[str, ...] = (), block: tuple[str, ...] = (), **lists: Any) -> Policy:
    return policy(Settings(plugins=Permissions(allow, block), policy=PolicySettings(**lists)))


def flagged(**chosen: str) -> Policy:
    return policy(
        load_settings(
            None, {f"choose.{kind}": name for kind, name in chosen.items()}, {}, option_name
        )
    )


def explain(chosen: Policy, kind: Kind[Any]) -> list[tuple[str, bool, str]]:
    return [
        (verdict.name, verdict.driver is not None, verdict.reason) for verdict in chosen.judge(kind)
    ]


def names(chosen: Policy, kind: Kind[Any]) -> list[str]:
    return [str(getattr(each, "name", None)) for each in chosen.drivers(kind)]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("CONFIG", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    return tmp_path / "config" / "tallow"


def test_by_default_the_weak_are_left_out_and_the_rest_is_ordered_by_preference(site: Site) -> None:
    suite(site)
    assert names(policy(), KEM) == ["hybrid", "lattice"]


def test_without_requirement_preference_orders_all(site: Site) -> None:
    suite(site)
    assert names(configured(require=()), KEM) == ["x25519", "hybrid", "lattice"]


def test_every_required_label_counts(site: Site) -> None:
    site.add(
        "tallow",
        {"kem": {"a": "fake_a", "b": "fake_b"}},
        {"fake_a": driver("kem", "a"), "fake_b": driver("kem", "b", labels=("x", "y"))},
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
    assert ("lattice", False, "not listed in `[policy] kems` (default)") in explain(chosen, KEM)


def test_the_authenticator_needs_no_label(site: Site) -> None:
    suite(site)
    assert names(policy(), AUTHENTICATOR) == ["pace"]


def test_a_session_is_offered_no_authenticator_for_logins(site: Site) -> None:
    suite(site)
    site.add(
        "tallow-extra",
        {"authenticator": {"extra": "fake_extra"}},
        {"fake_extra": driver("authenticator", "extra", extra=LOGIN)},
    )
    both = configured(allow=("tallow-extra",))
    assert both.offers()["authenticator"] == ("pace",)
    assert ("extra", False, "for logins, not for codes") in explain(both, AUTHENTICATOR)
    with pytest.raises(
        PolicyError, match=r"leaves no authenticator to use \(extra: for logins, not for codes"
    ):
        configured(allow=("tallow-extra",), authenticators=("extra",)).offers()


def test_kinds_without_a_setting_give_all_that_is_allowed(site: Site) -> None:
    site.add(
        "tallow",
        {"command": {"demo": "fake_demo"}},
        {"fake_demo": driver("command", "demo", labels=WEAK)},
    )
    assert names(policy(), COMMAND) == ["demo"]


def test_an_unknown_name_is_a_config_error_with_the_nearest_and_the_origin(
    site: Site, home: Path
) -> None:
    suite(site)
    home.mkdir(parents=True)
    (home / "config.toml").write_text('[policy]\nkems = ["hybird"]\n')
    with pytest.raises(
        ConfigError,
        match=rf'no kem "hybird", which `\[policy\] kems` \({home}/config\.toml\) names,'
        r' did you mean "hybrid"\?',
    ):
        policy(load_settings(None, {}, {})).drivers(KEM)
    (home / "config.toml").unlink()
    with pytest.raises(
        ConfigError, match=r'no kem "x2551", which the flag --kem names, did you mean "x25519"\?'
    ) as caught:
        flagged(kem="x2551").drivers(KEM)
    assert caught.value.exit_status == 3


def test_a_named_driver_that_is_blocked_says_how_to_allow_it(site: Site) -> None:
    suite(site)
    site.add(
        "guest", {"kem": {"new": "fake_new"}}, {"fake_new": "raise AssertionError('imported')\n"}
    )
    with pytest.raises(PluginError, match="`tallow plugins allow guest`"):
        flagged(kem="new").drivers(KEM)
    assert ("new", False) in [row[:2] for row in explain(policy(), KEM)]


def test_a_flag_chooses_among_what_policy_admits(site: Site, home: Path) -> None:
    suite(site)
    assert names(flagged(kem="lattice"), KEM) == ["lattice"]
    with pytest.raises(PolicyError) as caught:
        flagged(kem="x25519").offers()
    assert str(caught.value) == (
        "the kem x25519 is not post-quantum, which `[policy] require` (default) asks for;"
        f" to allow it, write `[policy] require = []` in {home}/config.toml"
    )
    assert caught.value.exit_status == 3


def test_a_flag_may_name_the_weak_where_the_file_requires_nothing(site: Site, home: Path) -> None:
    suite(site)
    home.mkdir(parents=True)
    (home / "config.toml").write_text("[policy]\nrequire = []\n")
    assert names(flagged(kem="x25519"), KEM) == ["x25519"]


def test_broken_ones_are_left_out_unless_they_are_named(site: Site) -> None:
    suite(site)
    site.write("fake_lattice", "1 / 0\n")
    chosen = policy()
    assert names(chosen, KEM) == ["hybrid"]
    (reason,) = (
        reason
        for name, included, reason in explain(chosen, KEM)
        if name == "lattice" and not included
    )
    assert "ZeroDivisionError" in reason
    with pytest.raises(PluginError, match="ZeroDivisionError"):
        configured(kems=("lattice", "hybrid")).drivers(KEM)


def test_duplicates_are_left_out_with_both_named(site: Site) -> None:
    suite(site)
    for each in ("guest", "other"):
        site.add(each, {"kem": {"mine": "fake_guest"}}, {"fake_guest": driver("kem", "mine")})
    chosen = configured(allow=("guest", "other"))
    assert names(chosen, KEM) == ["hybrid", "lattice"]
    assert any(
        name == "mine" and "guest 1.0 and other 1.0" in reason
        for name, _, reason in explain(chosen, KEM)
    )


def test_a_driver_of_tallow_wins_over_one_of_its_name(site: Site) -> None:
    suite(site)
    site.add("guest", {"kem": {"hybrid": "fake_guest"}}, {"fake_guest": "raise ValueError\n"})
    chosen = configured(allow=("guest",))
    assert names(chosen, KEM) == ["hybrid", "lattice"]


def test_offers_cover_the_suite_best_first(site: Site) -> None:
    suite(site)
    offers = policy().offers()
    assert offers == {
        "kem": ("hybrid", "lattice"),
        "cipher": ("aes",),
        "hash": ("blake",),
        "authenticator": ("pace",),
        "compressor": ("press",),
    }
    assert list(offers) == ["kem", "cipher", "hash", "authenticator", "compressor"]


def test_offers_are_cut_to_what_an_offer_may_list(site: Site) -> None:
    suite(site)
    many = [f"hash-{number:02}" for number in range(MAX_OFFER_NAMES + 4)]
    site.add(
        "guest", {"hash": dict.fromkeys(many, "fake_many")}, {"fake_many": driver("hash", *many)}
    )
    assert configured(allow=("guest",)).offers()["hash"] == ("blake", *many[: MAX_OFFER_NAMES - 1])


def test_a_driver_whose_library_is_missing_is_left_out_and_an_error_where_it_is_named(
    site: Site,
) -> None:
    suite(site)
    site.add(
        "guest",
        {"kem": {"new": "fake_new [fast]"}},
        {"fake_new": "raise AssertionError('imported')\n"},
        requires=('fake-library; extra == "fast"',),
    )
    chosen = configured(allow=("guest",))
    assert "new" not in chosen.offers()["kem"]
    (reason,) = (
        reason for name, usable, reason in explain(chosen, KEM) if name == "new" and not usable
    )
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


def test_every_driver_has_a_reason_and_the_best_comes_first(site: Site) -> None:
    suite(site)
    assert explain(configured(kems=("lattice", "auto")), KEM) == [
        ("lattice", True, "named by `[policy] kems` (default)"),
        ("hybrid", True, "in the automatic order, by preference (`[policy] kems` (default))"),
        ("x25519", False, "not post-quantum, which `[policy] require` (default) asks for"),
    ]
    assert explain(flagged(kem="lattice"), KEM) == [
        ("lattice", True, "chosen by the flag --kem"),
        ("hybrid", False, "not the one that the flag --kem names"),
        ("x25519", False, "not the one that the flag --kem names"),
    ]


def test_a_flag_imports_only_what_it_names(site: Site) -> None:
    suite(site)
    site.write("fake_hybrid", "raise AssertionError('imported')\n")
    assert names(flagged(kem="lattice"), KEM) == ["lattice"]


def refused(home: Path, text: str, **chosen: str) -> str:
    """The sentence of the `PolicyError` that a config file, or a flag beside it, ends in."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "config.toml").write_text(text)
    with pytest.raises(PolicyError) as caught:
        loaded(**chosen).demand()
    assert caught.value.exit_status == 3
    return str(caught.value)


def loaded(**chosen: str) -> Policy:
    return policy(
        load_settings(
            None, {f"choose.{kind}": name for kind, name in chosen.items()}, {}, option_name
        )
    )


def written(home: Path, text: str) -> Policy:
    home.mkdir(parents=True, exist_ok=True)
    (home / "config.toml").write_text(text)
    return loaded()


def test_a_flag_does_not_widen_a_list(site: Site, home: Path) -> None:
    suite(site)
    told = refused(home, '[policy]\nkems = ["hybrid"]\n', kem="lattice")
    assert told == (
        f"the kem lattice is not listed in `[policy] kems` ({home}/config.toml); to allow it,"
        f' write `[policy] kems = ["hybrid", "lattice"]` in {home}/config.toml'
    )


def test_what_is_denied_is_not_imported(site: Site, home: Path) -> None:
    suite(site)
    site.write("fake_lattice", "raise AssertionError('imported')\n")
    chosen = written(home, '[policy]\ndeny = ["kem:lattice"]\n')
    assert names(chosen, KEM) == ["hybrid"]
    assert ("lattice", False, f"denied by `[policy] deny` ({home}/config.toml)") in explain(
        chosen, KEM
    )
    assert "take it out of `[policy] deny`" in refused(
        home, '[policy]\ndeny = ["kem:lattice"]\n', kem="lattice"
    )


@pytest.mark.parametrize(
    "text",
    [
        'deny = ["kem:latice"]',
        '[[policy.rule]]\ndeny = ["kem:latice"]',
        '[[policy.rule]]\nkems = ["latice"]',
    ],
)
def test_a_mistyped_name_anywhere_suggests_the_nearest(site: Site, home: Path, text: str) -> None:
    suite(site)
    with pytest.raises(
        ConfigError, match=r'no kem "latice", which .* names, did you mean "lattice"'
    ):
        written(home, f"[policy]\n{text}\n").demand()


def test_a_mistyped_label_suggests_the_nearest(site: Site, home: Path) -> None:
    suite(site)
    told = refused(home, '[policy]\nrequire = ["post-quantun"]\n')
    assert told.endswith('; no driver has the label post-quantun, did you mean "post-quantum"?')


def test_hybrid_is_not_asked_of_cipher_and_hash(site: Site) -> None:
    suite(site)
    site.add(
        "guest",
        {"kem": {"both": "fake_both"}},
        {"fake_both": driver("kem", "both", labels=("post-quantum", "hybrid"))},
    )
    chosen = configured(allow=("guest",), require=("post-quantum", "hybrid"))
    assert chosen.offers() == {
        "kem": ("both",),
        "cipher": ("aes",),
        "hash": ("blake",),
        "authenticator": ("pace",),
        "compressor": ("press",),
    }


def test_signatures_are_graded_too(site: Site) -> None:
    labels: dict[str, tuple[str, ...]] = {
        "both": ("post-quantum", "hybrid"),
        "lattices": ("post-quantum",),
        "curve": (),
    }
    modules = {
        f"fake_{name}": driver("signature", name, labels=own) for name, own in labels.items()
    }
    site.add("tallow", {"signature": {name: f"fake_{name}" for name in labels}}, modules)
    assert names(policy(), SIGNATURE) == ["both", "lattices"]
    assert names(configured(require=("hybrid",)), SIGNATURE) == ["both"]


# -- names that somebody else took ---------------------------------------------------------------


def test_a_blocked_namesake_changes_nothing(site: Site, home: Path) -> None:
    """The metadata of a distribution that nobody allowed neither moves a driver of ours in the
    order nor takes it out of a rule."""
    suite(site)
    site.add(
        "zforeign",
        {"kem": {"hybrid": "fake_z"}, "cipher": {"aes": "fake_z"}},
        {"fake_z": "raise AssertionError('imported')\n"},
    )
    assert names(policy(), KEM) == ["hybrid", "lattice"]
    chosen = written(home, '[[policy.rule]]\nciphers = ["aes"]\nkems = ["hybrid"]\n')
    chosen.demand()
    assert chosen.offers(DIRECT) == policy().offers() | {"kem": ("hybrid",)}


@pytest.mark.parametrize(
    "text", ['deny = ["signature:nop"]', 'signatures = ["nop"]', 'discoveries = ["nop"]']
)
def test_mistyped_names_of_kinds_that_are_not_needed_now(site: Site, home: Path, text: str) -> None:
    suite(site)
    with pytest.raises(ConfigError, match=r'no \w+ "nop", which'):
        written(home, f"[policy]\n{text}\n").demand()


def test_a_flag_that_a_rule_for_every_path_does_not_admit_is_an_error_at_the_start(
    site: Site, home: Path
) -> None:
    suite(site)
    assert refused(home, '[[policy.rule]]\nkems = ["hybrid"]\n', kem="lattice").startswith(
        "rule 1 of `[policy]`"
    )


# -- profiles ------------------------------------------------------------------------------------


def test_a_profile_admits_its_drivers_only(site: Site, home: Path) -> None:
    suite(site)
    site.add(
        "more", {"kem": {"ml-kem-1024": "fake_mlkem"}}, {"fake_mlkem": driver("kem", "ml-kem-1024")}
    )
    site.write("fake_hybrid", "raise AssertionError('imported')\n")
    chosen = written(home, '[plugins]\nallow = ["more"]\n[policy]\nprofile = "nist"\n')
    assert names(chosen, KEM) == ["ml-kem-1024"]
    assert ("hybrid", False, f"not in the profile nist ({home}/config.toml)") in explain(
        chosen, KEM
    )


def test_a_profile_asks_for_labels_of_its_own(site: Site, home: Path) -> None:
    suite(site)
    site.add(
        "guest",
        {"kem": {"both": "fake_both"}},
        {"fake_both": driver("kem", "both", labels=("post-quantum", "hybrid"))},
    )
    chosen = written(
        home, '[plugins]\nallow = ["guest"]\n[policy]\nrequire = []\nprofile = "paranoid"\n'
    )
    assert names(chosen, KEM) == ["both"]
    assert (
        "lattice",
        False,
        f"not hybrid, which the profile paranoid ({home}/config.toml) asks for",
    ) in explain(chosen, KEM)


def test_limits_are_the_stricter_of_profile_and_settings(home: Path) -> None:
    text = (
        '[policy]\nprofile = "paranoid"\n[session]\nrekey_seconds = 60\nrekey_bytes ='
        " 1099511627776\n"
    )
    limits = written(home, text).limits
    assert (limits.rekey_seconds, limits.rekey_bytes) == (60, 16 << 30)
    assert (
        limits.words,
        limits.guesses,
        limits.pinned,
        limits.hidden,
        limits.padded,
        limits.safety_number,
    ) == (5, 10, *[True] * 4)


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """What the calibration says each driver takes, in place of a measurement."""
    seconds: dict[str, float] = {}
    monkeypatch.setattr(calibration, "_measured", lambda kind, driver: seconds[driver.name])
    return seconds


@pytest.mark.parametrize("fastest", ["quick", "aes"])
def test_ciphers_are_ordered_by_what_this_machine_does_fastest(
    site: Site, home: Path, timed: dict[str, float], fastest: str
) -> None:
    ranks = {"aes": 1, "quick": 99}
    modules = {
        f"fake_{name}": driver("cipher", name, preference=rank) for name, rank in ranks.items()
    }
    site.add("tallow", {"cipher": {name: f"fake_{name}" for name in ranks}}, modules)
    site.add(
        "guest",
        {"cipher": {"foreign": "fake_foreign"}},
        {"fake_foreign": driver("cipher", "foreign", preference=1)},
    )
    timed |= {"aes": 2.0, "quick": 3.0, "foreign": 0.1, fastest: 1.0}
    chosen = written(home, '[plugins]\nallow = ["guest"]\n')
    others = [name for name in ("aes", "quick") if name != fastest]
    assert names(chosen, CIPHER) == [fastest, *others, "foreign"], (
        "those of Tallow come first, whatever others measure"
    )


@pytest.mark.parametrize(
    ("profile", "order"), [("default", ["hybrid", "lattice"]), ("fast", ["lattice", "hybrid"])]
)
def test_the_fast_profile_orders_kems_by_speed_too(
    site: Site, home: Path, timed: dict[str, float], profile: str, order: list[str]
) -> None:
    """Among those that satisfy `require`: the fastest of all does not."""
    suite(site)
    timed |= {"hybrid": 2.0, "lattice": 1.0, "x25519": 0.1, "aes": 1.0, "blake": 1.0}
    assert names(written(home, f'[policy]\nprofile = "{profile}"\n'), KEM) == order


# -- rules ---------------------------------------------------------------------------------------

DIRECT, RELAYED = NetworkPath("direct", "", "tcp"), NetworkPath("relay", "", "tcp")


def test_the_first_rule_that_matches_narrows(site: Site, home: Path) -> None:
    suite(site)
    text = """
        [[policy.rule]]
        when = { transport = "tcp", relay = true }
        kems = ["lattice"]
        [[policy.rule]]
        when = { relay = true }
        deny = ["kem:lattice"]
    """
    site.add(
        "more",
        {"transport": {"tcp": "fake_tcp"}},
        {"fake_tcp": driver("transport", "tcp", labels=WEAK)},
    )
    chosen = written(home, f'[plugins]\nallow = ["more"]\n{text}')
    chosen.demand()
    assert [
        chosen.rule_for(each) for each in (None, DIRECT, RELAYED, NetworkPath("relay", "", "tls"))
    ] == [0, 0, 1, 2]
    assert chosen.offers()["kem"] == chosen.offers(DIRECT)["kem"] == ("hybrid", "lattice")
    assert chosen.offers(RELAYED)["kem"] == ("lattice",)
    assert chosen.offers(NetworkPath("relay", "", "tls"))["kem"] == ("hybrid",)


def test_a_rule_never_widens(site: Site, home: Path) -> None:
    """Whatever it names: a driver that lacks a required label, is denied, or is not listed above
    stays out."""
    suite(site)
    text = (
        '[policy]\nkems = ["hybrid"]\ndeny = []\n[[policy.rule]]\nkems = ["x25519", "lattice",'
        ' "hybrid"]\nrequire = []\n'
    )
    assert written(home, text).offers(DIRECT)["kem"] == ("hybrid",)


def test_a_rule_reorders_and_asks_for_labels(site: Site, home: Path) -> None:
    suite(site)
    assert written(home, '[[policy.rule]]\nkems = ["lattice", "auto"]\n').offers(DIRECT)["kem"] == (
        "lattice",
        "hybrid",
    )
    site.add(
        "guest",
        {"kem": {"both": "fake_both"}},
        {"fake_both": driver("kem", "both", labels=("post-quantum", "hybrid"))},
    )
    text = '[plugins]\nallow = ["guest"]\n[[policy.rule]]\nrequire = ["hybrid"]\n'
    assert written(home, text).offers(DIRECT)["kem"] == ("both",)


def test_a_rule_that_leaves_nothing_is_an_error_at_the_start_that_names_it(
    site: Site, home: Path
) -> None:
    suite(site)
    told = refused(
        home,
        '[[policy.rule]]\nkems = ["auto"]\n[[policy.rule]]\nwhen = { relay = true }\nkems ='
        ' ["x25519"]\n',
    )
    assert told.startswith(f"rule 2 of `[policy]` ({home}/config.toml) leaves no kem to use (")
    assert "x25519: not post-quantum" in told
    assert f"hybrid: not listed in rule 2 of `[policy]` ({home}/config.toml)" in told


def test_a_rule_for_a_transport_that_does_not_exist(site: Site, home: Path) -> None:
    suite(site)
    site.add(
        "more",
        {"transport": {"tcp": "fake_tcp"}},
        {"fake_tcp": driver("transport", "tcp", labels=WEAK)},
    )
    with pytest.raises(
        ConfigError, match=r'no transport "tpc", which rule 1 .* names, did you mean "tcp"'
    ):
        written(home, '[[policy.rule]]\nwhen = { transport = "tpc" }\n').demand()


def test_a_flag_that_a_rule_does_not_admit_closes_that_path_only(site: Site, home: Path) -> None:
    suite(site)
    written(home, '[[policy.rule]]\nwhen = { relay = true }\nkems = ["hybrid"]\n')
    chosen = loaded(kem="lattice")
    chosen.demand()
    assert chosen.offers(DIRECT)["kem"] == ("lattice",)
    with pytest.raises(PolicyError, match=r"rule 1 .* leaves no kem"):
        chosen.offers(RELAYED)


def test_transports_need_no_label(site: Site) -> None:
    site.add(
        "tallow",
        {"transport": {"tcp": "fake_tcp"}},
        {"fake_tcp": driver("transport", "tcp", labels=WEAK)},
    )
    assert names(policy(), TRANSPORT) == ["tcp"]
