"""The catalogue: what is installed, what is allowed, and why the rest is not. Nothing is
imported."""

from __future__ import annotations

import io
import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from tallow_core.cli.views.plugin_table import list_plugins, show_plugin
from tallow_core.config.schema import Settings
from tallow_core.errors import PluginError, UsageError
from tallow_core.registry.catalog import Catalog
from tallow_core.registry.entry import PluginEntry
from tallow_core.registry.kinds import CIPHER, HASH, KEM
from tallow_core.registry.permissions import Permissions
from tests.kit.fakedist import Site, driver, fake_site

EVIL = "raise AssertionError('a plugin was imported')\n"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with fake_site(tmp_path, monkeypatch) as made:
        made.add(
            "tallow",
            {"hash": {"first": "fake_first"}},
            {"fake_first": f'"""The first hash."""\n{EVIL}'},
            version="9.9",
        )
        yield made


def scan(*allow: str, block: tuple[str, ...] = ()) -> Catalog:
    return Catalog.scan(Permissions(allow, block))


def states(catalog: Catalog) -> dict[str, str]:
    return {f"{entry.distribution}/{entry.name}": entry.state for entry in catalog.entries(HASH)}


def only(catalog: Catalog, name: str) -> PluginEntry:
    (entry,) = (entry for entry in catalog.entries(HASH) if entry.name == name)
    return entry


def needing(
    site: Site, *requires: str, extras: str = "[x-tra]", name: str = "tallow-extra"
) -> None:
    """A distribution whose driver `extra` needs what `requires` says of the extra."""
    site.add(
        name,
        {"hash": {"extra": f"fake_extra {extras}"}},
        {"fake_extra": f'"""Extra."""\n{EVIL}'},
        requires=requires,
    )


@pytest.mark.parametrize(
    ("requires", "missing"),
    [
        ('fake-library>=1.0; extra == "x-tra"', ("fake-library",)),
        ("Fake_Library[fast]!=1.5,<2 ; extra == 'X_Tra'", ("Fake_Library",)),
        ('fake-library (>=1) ; ( extra == "x-tra" )', ("fake-library",)),
        ('fake-library @ https://host.example/x.whl ; extra=="x-tra"', ("fake-library",)),
        ("fake-library>=1.0", ()),
        ('fake-library; extra == "other"', ()),
        ('tallow[other]; extra == "x-tra"', ()),
        ('fake-library; extra == "x-tra" and sys_platform == "nowhere"', ()),
        ('fake-library; python_version < "3" and extra == "x-tra"', ()),
        ("; ;", ()),
    ],
)
def test_a_missing_library_is_found_in_metadata(
    site: Site, requires: str, missing: tuple[str, ...]
) -> None:
    needing(site, requires)
    entry = only(scan("tallow-extra"), "extra")
    assert (entry.value, entry.extras, entry.missing) == ("fake_extra", ("x-tra",), missing)
    assert entry.state == ("library missing" if missing else "allowed")
    assert "fake_extra" not in sys.modules


def test_a_missing_library_is_named_with_the_extra_to_install(site: Site) -> None:
    needing(site, 'one; extra == "a"', 'two; extra == "b"', 'three; extra == "c"', extras="[a, b]")
    with pytest.raises(
        PluginError,
        match=r'one and two, which it needs, .* run `pip install "tallow-extra\[a,b\]"`',
    ) as caught:
        scan("tallow-extra").find(HASH, "extra")
    assert caught.value.exit_status == 10
    (facts,) = map(
        json.loads,
        output(
            json=True, show="extra", settings=Settings(plugins=Permissions(("tallow-extra",)))
        ).splitlines(),
    )
    assert (facts["state"], facts["module"], facts["summary"]) == (
        "library missing",
        "fake_extra",
        "Extra.",
    )
    assert 'pip install "tallow-extra[a,b]"' in facts["reason"]


def test_a_library_that_is_installed_is_not_missing(site: Site) -> None:
    needing(site, 'fake-library; extra == "x-tra"')
    site.add("Fake.Library", {})
    assert only(scan("tallow-extra"), "extra").state == "allowed"


def test_blocked_comes_before_missing(site: Site) -> None:
    needing(site, 'fake-library; extra == "x-tra"')
    assert only(scan(), "extra").state == "blocked"
    assert only(scan("tallow-extra", block=("hash:extra",)), "extra").state == "blocked"


def test_a_driver_without_its_library_stands_in_nobodys_way(site: Site) -> None:
    needing(site, 'fake-library; extra == "x-tra"')
    site.add("tallow-other", {"hash": {"extra": "fake_other"}})
    assert scan("tallow-extra", "tallow-other").find(HASH, "extra").distribution == "tallow-other"


def test_the_list_says_how_to_use_what_cannot_be_used(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    needing(site, 'fake-library; extra == "x-tra"')
    site.add("tallow-other", {"hash": {"other": "fake_other"}, "kem": {"other": "fake_other"}})
    settings = Settings(plugins=Permissions(("tallow-extra",), ("hash:first",)))
    shown = output(settings=settings)
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "to use what tallow-other provides:  tallow plugins allow tallow-other"
    assert 'pip install "tallow-extra[x-tra]"' in told[1]
    assert len(told) == 2
    states_shown = {
        tuple(line.split()[:2]): line.split(None, 4)[4].rpartition("  ")[0].strip()
        for line in shown.splitlines()[1:]
    }
    assert states_shown[("hash", "extra")] == "library missing"
    output(json=True, settings=settings)
    list_plugins(kind=None, settings=settings, json=False, quiet=True)
    assert capsys.readouterr().err == ""


def output(
    *,
    json: bool = False,
    kind: str | None = None,
    show: str | None = None,
    settings: Settings | None = None,
) -> str:
    settings = settings or Settings()
    with redirect_stdout(io.StringIO()) as out:
        status = (
            list_plugins(kind=kind, settings=settings, json=json)
            if show is None
            else show_plugin(name=show, kind=kind, settings=settings, json=json)
        )
    assert status == 0
    return out.getvalue()


def test_first_party_is_allowed_and_others_are_blocked(site: Site) -> None:
    site.add("tallow-extra", {"hash": {"extra": "fake_extra"}})
    assert states(scan()) == {"tallow-extra/extra": "blocked", "tallow/first": "allowed"}
    assert scan().find(HASH, "first").version == "9.9"


@pytest.mark.parametrize("spelling", ["Tallow_Extra", "tallow.extra", "TALLOW--EXTRA"])
def test_allowed_names_are_normalised(site: Site, spelling: str) -> None:
    site.add("tallow-extra", {"hash": {"extra": "fake_extra"}})
    assert scan(spelling).find(HASH, "extra").distribution == "tallow-extra"


def test_t27_blocked_is_refused_with_the_command_that_would_allow_it(site: Site) -> None:
    site.add("tallow-extra", {"hash": {"extra": "fake_extra"}})
    with pytest.raises(
        PluginError, match=r"tallow-extra 1\.0 .*`tallow plugins allow tallow-extra`"
    ) as caught:
        scan().find(HASH, "extra")
    assert caught.value.exit_status == 10


def test_t27_block_beats_allow_and_first_party(site: Site) -> None:
    catalog = scan(block=("hash:first",))
    assert states(catalog) == {"tallow/first": "blocked"}
    with pytest.raises(PluginError, match=r"`\[plugins\] block` names this driver of tallow 9\.9"):
        catalog.find(HASH, "first")
    assert states(scan(block=("kem:first",))) == {"tallow/first": "allowed"}


def test_t27_duplicates_are_refused_and_both_are_named(site: Site) -> None:
    for name, version in (("tallow-extra", "2.0"), ("tallow-other", "3.0")):
        site.add(name, {"hash": {"twice": "fake_extra"}}, version=version)
    catalog = scan("tallow-extra", "tallow-other")
    assert [state for name, state in states(catalog).items() if "twice" in name] == [
        "duplicate",
        "duplicate",
    ]
    with pytest.raises(PluginError, match=r"tallow-extra 2\.0 and tallow-other 3\.0 both"):
        catalog.find(HASH, "twice")


def test_t27_a_driver_of_tallow_wins_over_a_strangers_of_its_name(site: Site) -> None:
    site.add("tallow-extra", {"hash": {"first": "fake_extra"}})
    catalog = scan("tallow-extra")
    assert states(catalog) == {"tallow-extra/first": "shadowed", "tallow/first": "allowed"}
    assert catalog.find(HASH, "first").distribution == "tallow"
    shadowed = next(each for each in catalog.all_entries if each.state == "shadowed")
    assert "Tallow has a hash of this name itself" in catalog.reason(shadowed)


def test_t27_a_distribution_is_blocked_as_a_whole(site: Site) -> None:
    site.add("tallow-extra", {kind: {"extra": "fake_extra"} for kind in ("hash", "kem", "plugin")})
    catalog = scan("tallow-extra", block=("Tallow_Extra",))
    assert {each.state for each in catalog.all_entries if each.name == "extra"} == {"blocked"}
    with pytest.raises(PluginError, match="names the distribution tallow-extra"):
        catalog.find(HASH, "extra")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("hash:frist", 'did you mean "hash:first"?'),
        ("first", 'did you mean "hash:first"?'),
        ("tallow-exrta", 'did you mean "tallow-extra"?'),
        ("hash:zzz", ""),
        ("zzz", ""),
    ],
)
def test_a_block_that_blocks_nothing_is_named(site: Site, name: str, told: str) -> None:
    site.add("tallow-extra", {"hash": {"extra": "fake_extra"}})
    found = scan(block=(name,)).mistyped()
    assert len(found) == bool(told)
    assert told in "".join(found)


@pytest.mark.parametrize(
    ("requires", "status"),
    [
        ("tallow>=9", "needs tallow>=9"),
        ("Tallow (>=9,!=10)", "needs tallow!=10,>=9"),
        ("tallow>=0.0.1.dev0", "allowed"),
        ("tallow", "allowed"),
        ("tallow-of-mine>=9", "allowed"),
        ('tallow>=9; python_version < "3"', "allowed"),
        ('tallow>=9; extra == "later"', "allowed"),
        ("tallow >= nine", "allowed"),
    ],
)
def test_the_version_of_tallow_that_a_distribution_needs(
    site: Site, requires: str, status: str
) -> None:
    site.add("tallow-extra", {"hash": {"extra": "fake_extra"}}, requires=(requires,))
    entry = only(scan("tallow-extra"), "extra")
    assert entry.status == status
    assert ('pip install "tallow' in scan("tallow-extra").reason(entry)) == (status != "allowed")


def test_a_blocked_driver_of_the_same_name_is_no_duplicate(site: Site) -> None:
    site.add("tallow-extra", {"hash": {"first": "fake_extra"}})
    assert states(scan()) == {"tallow-extra/first": "blocked", "tallow/first": "allowed"}
    assert scan().find(HASH, "first").distribution == "tallow"


def test_the_same_name_in_two_kinds_is_no_duplicate(site: Site) -> None:
    site.add("tallow-extra", {"kem": {"first": "fake_extra"}})
    assert scan("tallow-extra").find(HASH, "first").distribution == "tallow"
    assert scan("tallow-extra").find(KEM, "first").distribution == "tallow-extra"


@pytest.mark.parametrize(
    "name",
    ["../evil", "Upper", "-lead", "a_b", "a.b", "x" * 33, "caf\u00e9", "a b", "\x1b[31mred"],
    ids=lambda name: repr(name)[:12],
)
def test_t27_bad_names_are_invalid_even_when_allowed(site: Site, name: str) -> None:
    site.add("tallow-extra", {"hash": {name: "fake_extra"}})
    entry = only(scan("tallow-extra"), name)
    assert entry.state == "invalid"
    with pytest.raises(PluginError, match="malformed") as caught:
        scan("tallow-extra").find(HASH, name)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        "fake_extra:attribute",
        "fake extra",
        "..",
        "fake-extra",
        "1",
        "fake_extra [a] b",
        "fake_extra [a b]",
        "fake_extra []",
        "x [a",
        "[a]",
    ],
)
def test_t27_an_entry_point_that_is_no_module_is_invalid(site: Site, value: str) -> None:
    site.add("tallow-extra", {"hash": {"extra": value}})
    # Some Pythons refuse the whole file on reading it: then nothing is there.
    assert states(scan("tallow-extra")).get("tallow-extra/extra", "invalid") == "invalid"


def test_the_longest_name_is_valid(site: Site) -> None:
    site.add("tallow-extra", {"hash": {"x" * 32: "fake_extra"}})
    assert only(scan("tallow-extra"), "x" * 32).state == "allowed"


def test_an_unknown_name_names_the_nearest_allowed_one(site: Site) -> None:
    with pytest.raises(PluginError, match=r'no hash "frist" here, did you mean "first"\?'):
        scan().find(HASH, "frist")
    with pytest.raises(PluginError, match=r'no cipher "first" here$'):
        scan().find(CIPHER, "first")


def test_metadata_that_cannot_be_read_is_passed_over(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    for name, file, content in (
        ("broken-points", "entry_points.txt", b"[tallow.hash]\nbroken = \xff\xfe\n"),
        ("broken-syntax", "entry_points.txt", b"[tallow.hash]\nno equals sign\n"),
    ):
        (site.add(name, {"hash": {"broken": "fake_broken"}}) / file).write_bytes(content)
    (site.add("no-metadata", {"hash": {"broken": "fake_broken"}}) / "METADATA").unlink()
    with caplog.at_level(logging.WARNING, "tallow.plugins"):
        catalog = scan("broken-points", "broken-syntax", "no-metadata")
    assert states(catalog) == {"tallow/first": "allowed"}
    assert len([record for record in caplog.records if "passed over" in record.getMessage()]) == 3


@pytest.mark.parametrize("claimed", ["tallow", "tallow-extra"])
def test_t27_metadata_filed_under_another_name_gains_nothing(
    site: Site, caplog: pytest.LogCaptureFixture, claimed: str
) -> None:
    info = site.add("evil", {"hash": {"evil": "fake_evil"}})
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {claimed}\nVersion: 1.0\n")
    with caplog.at_level(logging.WARNING, "tallow.plugins"):
        assert states(scan("tallow-extra")) == {"tallow/first": "allowed"}
    told = [record.getMessage() for record in caplog.records]
    assert told == (
        []
        if claimed == "tallow"
        else [
            "the distribution tallow-extra is passed over: its metadata does not agree on its name"
        ]
    )


def test_t27_metadata_filed_under_a_name_that_another_claims_gains_nothing(site: Site) -> None:
    """Two folders together: the first claims a name that is not allowed, under which the second,
    filed so, claims to be ours."""
    one, two = (
        site.add(
            name,
            {"hash": {name: f"fake_{name}"}},
            {f"fake_{name}": "raise AssertionError('imported')\n"},
        )
        for name in ("evila", "evilb")
    )
    (one / "METADATA").write_text("Metadata-Version: 2.1\nName: evilb\nVersion: 1.0\n")
    (two / "METADATA").write_text("Metadata-Version: 2.1\nName: tallow\nVersion: 1.0\n")
    assert not [
        entry
        for entry in scan().all_entries
        if entry.value.startswith("fake_evil") and entry.state == "allowed"
    ]


def test_a_distribution_seen_twice_counts_once(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.add("tallow-extra", {"hash": {"extra": "fake_extra"}}, version="1.0")
    later = Site(tmp_path / "later")
    later.add("Tallow.Extra", {"hash": {"extra": "fake_extra", "more": "fake_more"}}, version="2.0")
    monkeypatch.setattr(sys, "path", [*sys.path, str(later.folder), str(site.folder)])
    assert states(scan("tallow-extra")) == {
        "tallow-extra/extra": "allowed",
        "tallow/first": "allowed",
    }
    assert only(scan("tallow-extra"), "extra").version == "1.0"


def test_t27_nothing_is_taken_from_the_working_directory(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Site(tmp_path / "here")
    here.add("tallow-extra", {"hash": {"extra": "fake_extra"}})
    here.add("tallow", {"hash": {"extra": "fake_extra"}})
    monkeypatch.setattr(sys, "path", ["", str(here.folder), *sys.path])
    assert "tallow-extra/extra" in states(scan("tallow-extra"))
    monkeypatch.chdir(here.folder)
    assert states(scan("tallow-extra")) == {"tallow/first": "allowed"}


def test_t27_a_module_of_the_working_directory_is_not_the_plugin(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Site(tmp_path / "here")
    own = site.write("fake_first", '"""The first hash."""\n')
    assert only(scan(), "first").source() == str(own)
    here.write("fake_first", EVIL)
    monkeypatch.chdir(here.folder)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    assert only(scan(), "first").source() is None
    assert only(scan(), "first").summary() == "added by tallow 9.9"


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ('"""One line."""\n', "One line."),
        ('# a comment\n\n"""\n  First of many.\n\nMore.\n"""\n', "First of many."),
        ("r'''Raw \\x1b.'''\n", "Raw \\x1b."),
        ('"Short \x1b[31m."\n', "Short \\x1b[31m."),
        ("x = 1\n", "added by tallow 9.9"),
        ("", "added by tallow 9.9"),
    ],
)
def test_the_summary_is_read_as_text(site: Site, source: str, line: str) -> None:
    site.write("fake_first", source)
    assert only(scan(), "first").summary() == line
    assert "fake_first" not in sys.modules


def test_the_source_of_a_module_in_a_package_is_found_without_importing_the_package(
    site: Site,
) -> None:
    file = site.write("fake_package.inner.driver", '"""Deep."""\n')
    (site.folder / "fake_package" / "__init__.py").write_text(EVIL)
    site.add(
        "tallow-extra",
        {"hash": {"extra": "fake_package.inner.driver", "gone": "fake_package.missing"}},
    )
    assert only(scan("tallow-extra"), "extra").source() == str(file)
    assert only(scan("tallow-extra"), "gone").source() is None
    assert "fake_package" not in sys.modules


def test_an_editable_install_has_its_modules_in_its_source_tree(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = Site(tmp_path / "tree of mine")
    file = tree.write("fake_edited", '"""Edited."""\n')
    info = site.add("tallow-extra", {"hash": {"extra": "fake_edited"}})
    monkeypatch.syspath_prepend(str(tree.folder))
    assert only(scan(), "extra").source() is None
    url = {"url": tree.folder.as_uri(), "dir_info": {"editable": True}}
    (info / "direct_url.json").write_text(json.dumps(url))
    assert only(scan(), "extra").source() == str(file)
    (info / "direct_url.json").write_text(json.dumps(url | {"dir_info": {}}))
    assert only(scan(), "extra").source() is None


@pytest.mark.processes
def test_scanning_imports_neither_plugins_nor_their_machinery(site: Site) -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from tallow_core.registry.catalog import Catalog; from tallow_core.config.schema import"
        " Settings\n"
        "from tallow_core.cli.views.plugin_table import list_plugins\n"
        "assert list_plugins(kind=None, settings=Settings(), json=False) == 0\n"
        "print('LOADED', *sorted({'stevedore', 'pluggy', 'asyncio', 'cyclopts', 'rich',"
        " 'fake_first'} & set(sys.modules)))\n"
    )
    path = [str(entry) for entry in sys.path if entry and entry != str(site.folder)]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:] = {path!r}\n{program}", str(site.folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "LOADED"
    assert "first" in done.stdout


def test_list_is_an_aligned_table(site: Site) -> None:
    site.add("tallow-extra", {"hash": {"extra": "fake_extra", "\x1b[31m": "x"}})
    header, *rows = output(kind="hash").splitlines()
    assert header.split() == ["kind", "name", "distribution", "version", "state", "checked"]
    assert [row.split() for row in rows] == [
        ["hash", "\\x1b[31m", "tallow-extra", "1.0", "invalid", "no"],
        ["hash", "extra", "tallow-extra", "1.0", "blocked", "no"],
        ["hash", "first", "tallow", "9.9", "allowed", "built", "in"],
    ]
    assert {
        row.index("allowed") if "allowed" in row else header.index("state") for row in rows
    } == {header.index("state")}


def test_list_as_json(site: Site) -> None:
    (line,) = output(json=True, kind="hash").splitlines()
    assert json.loads(line) == {
        "event": "plugin",
        "v": 1,
        "kind": "hash",
        "name": "first",
        "distribution": "tallow",
        "version": "9.9",
        "state": "allowed",
        "checked": "built in",
    }


def test_an_unknown_kind_is_a_usage_error(site: Site) -> None:
    with pytest.raises(UsageError, match=r'no kind "hsah" of plugin, did you mean "hash"\?'):
        output(kind="hsah")
    with pytest.raises(UsageError, match="leave out --kind"):
        output(kind="kem", show="hash:first")


def test_t27_show_explains_a_blocked_plugin_without_importing_it(site: Site) -> None:
    site.add(
        "tallow-extra", {"hash": {"extra": "fake_extra"}}, {"fake_extra": f'"""Extra."""\n{EVIL}'}
    )
    (line,) = output(json=True, show="hash:extra").splitlines()
    facts = json.loads(line)
    assert facts["state"] == "blocked"
    assert facts["summary"] == "Extra."
    assert "tallow plugins allow tallow-extra" in facts["reason"]
    assert "fake_extra" not in sys.modules


def test_show_prints_the_descriptor_of_an_allowed_plugin(site: Site) -> None:
    site.write("fake_first", driver("hash", "first", labels=("b", "a")))
    facts = json.loads(output(json=True, show="first"))
    assert (facts["labels"], facts["digest_size"], facts["kdf"], facts["module"]) == (
        ["a", "b"],
        32,
        "sha256",
        "fake_first",
    )
    lines = output(show="hash:first", kind="hash").splitlines()
    assert ["labels", "a", "b"] in [line.split() for line in lines]


def test_show_names_the_nearest(site: Site) -> None:
    with pytest.raises(PluginError, match=r'no plugin "frist", did you mean "first"\?'):
        output(show="frist")


def test_a_removed_distribution_is_gone(site: Site) -> None:
    shutil.rmtree(site.add("tallow-extra", {"hash": {"extra": "fake_extra"}}))
    assert states(scan("tallow-extra")) == {"tallow/first": "allowed"}
